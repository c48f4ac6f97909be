/* Which syntax a test script has: a program, executed from top to bottom, or tests for pytest. All
 * of this runs on the main thread, with the GIL held.
 *
 * Most scripts are programs, and start without a look at their syntax: test_driver_pytest.style is
 * asked only where a line defines something that could be a test, or a comment names the style.
 */
#include "run/py_run.h"

#include <assert.h>
#include <sys/stat.h>

static const char *const names[] = {
	[NTD_MODE_LEGACY] = "legacy",
	[NTD_MODE_PYTEST] = "pytest",
};
static_assert(sizeof names / sizeof *names == NTD_MODE_PYTEST + 1, "every style has a name");

static bool begins(const char *line, const char *word)
{
	return !strncmp(line, word, strlen(word));
}

/* Whether any line could make the script more than a plain program. */
static bool may_have_style(const char *text)
{
	static const char *const words[] = {"def test", "async def test", "class Test", "#"};

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		line += strspn(line, " \t");
		for (size_t i = 0; i < sizeof words / sizeof *words; i++)
			if (begins(line, words[i]) &&
			    (*line != '#' || ntd_find(line, strcspn(line, "\n"), "nixos-test:")))
				return true;
	}
	return false;
}

/* Sets the style, and logs it at this level. */
static int decide(struct py_state *state, enum ntd_mode mode, enum ntd_level level, const char *why)
{
	state->mode = mode;
	free(state->mode_reason);
	state->mode_reason = ntd_strdup(why);
	py_log(state->session->report, level, NULL, "the test script is %s style: %s", names[mode],
	       why);
	return 0;
}

/* Takes the traceback from a SyntaxError: it shows the way through the driver, which says nothing
 * about the script. */
static void forget_traceback(void)
{
	PyObject *type, *exception, *traceback;

	PyErr_Fetch(&type, &exception, &traceback);
	PyErr_NormalizeException(&type, &exception, &traceback);
	Py_CLEAR(traceback);
	PyException_SetTraceback(exception, Py_None);
	PyErr_Restore(type, exception, NULL);
}

/* Chooses the style by the script's text; the exception may be a SyntaxError. */
static int by_text(struct py_state *state, PyObject *text)
{
	const char *utf8 = PyUnicode_AsUTF8(text), *name, *reason;
	_cleanup_pyref_ PyObject *found = NULL;

	if (!utf8)
		return -1;
	if (!may_have_style(utf8))
		return decide(state, NTD_MODE_LEGACY, NTD_LEVEL_DEBUG, "it defines no tests");
	found = py_call("test_driver_pytest.style", "style_of", "(O)", text);
	if (!found && PyErr_ExceptionMatches(PyExc_SyntaxError))
		forget_traceback();
	if (!found || !PyArg_ParseTuple(found, "ss", &name, &reason))
		return -1;
	return decide(state, strcmp(name, "pytest") ? NTD_MODE_LEGACY : NTD_MODE_PYTEST,
		      NTD_LEVEL_INFO, reason);
}

bool py_style_is_directory(const struct py_state *state)
{
	struct stat info;

	return stat(state->session->config->test_script, &info) == 0 && S_ISDIR(info.st_mode);
}

int py_style_choose(struct py_state *state, PyObject *text)
{
	const struct ntd_config *config = state->session->config;

	if (config->pytest_session && config->mode == NTD_MODE_AUTO)
		return decide(state, NTD_MODE_PYTEST, NTD_LEVEL_DEBUG, "--pytest says so");
	if (config->save_boot)
		return decide(state, NTD_MODE_LEGACY, NTD_LEVEL_DEBUG, "--save-boot says so");
	if (config->mode != NTD_MODE_AUTO)
		return decide(state, config->mode, NTD_LEVEL_INFO, "--mode says so");
	if (!text)
		return decide(state, NTD_MODE_PYTEST, NTD_LEVEL_INFO, "it is a directory");
	return by_text(state, text);
}

int py_style_check(const struct py_state *state, struct ntd_error **err)
{
	const struct ntd_config *config = state->session->config;
	const char *given = config->pytest_arguments && *config->pytest_arguments
				    ? "arguments after -- are"
			    : config->shard.count  ? "--shard is"
			    : config->restart_dead ? "--restart-dead is"
			    : config->no_skip      ? "--no-skip is"
			    : config->isolation    ? "--isolation is"
			    : config->rerun        ? "--rerun is"
						   : NULL;

	if (state->mode == NTD_MODE_LEGACY && py_style_is_directory(state))
		return ntd_error_set(err, NTD_E_USAGE,
				     "argument --mode: %s is a directory, which holds pytest style "
				     "tests only",
				     config->test_script);
	/* What is said of the test script means nothing for the script of --save-boot. */
	if (state->mode == NTD_MODE_LEGACY && given && !config->save_boot)
		return ntd_error_set(err, NTD_E_USAGE,
				     "%s for pytest style scripts, but %s is legacy style: %s "
				     "(--mode pytest takes it as pytest style)",
				     given, config->test_script, state->mode_reason);
	return 0;
}
