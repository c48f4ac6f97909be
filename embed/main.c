/* The program: options, configuration, session, interpreter, script, clean-up. All of this runs on
 * the main thread.
 *
 * The keeper is forked while the process has one thread and little memory. Everything that can be
 * wrong with the input is found before anything is started.
 */
#include "base/forked.h"
#include "py_program.h"
#include "report/sinks.h"
#include "session/facts.h"
#include "session/keep.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <sys/resource.h>

#ifndef NTD_VERSION
#define NTD_VERSION "unknown"
#endif

enum { EXIT_USAGE = 2 };

#define KEEPER_PATIENCE (20 * NTD_SECOND)

/* ---- command line */

static int usage_error(const struct ntd_error *error)
{
	_cleanup_free_ char *message = ntd_usage_message(error);

	fputs(message, stderr);
	return EXIT_USAGE;
}

/* Makes a page of the events of an old run. Returns an exit status. */
static int make_report(const struct ntd_options *options)
{
	_cleanup_error_ struct ntd_error *error = NULL;
	_cleanup_free_ char *directory = ntd_strdup(options->report_from);
	_cleanup_free_ char *path = options->report
					    ? ntd_strdup(options->report)
					    : ntd_asprintf("%s/report.html", dirname(directory));

	if (ntd_page_from_events(options->report_from, path, &error) < 0)
		return usage_error(error);
	puts(path);
	return fflush(stdout) ? 1 : 0;
}

/* Reads the command line and the configuration. Returns an exit status, or -1 to go on. */
static int read_command_line(struct ntd_options *options, struct ntd_config *config, int argc,
			     char **argv)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	if (ntd_options_parse(options, argc, argv, &error) < 0)
		return usage_error(error);
	if (options->help) {
		_cleanup_buf_ struct ntd_buf text = {0};

		ntd_options_help(&text);
		fwrite(ntd_buf_bytes(&text), 1, text.len, stdout);
		return fflush(stdout) ? 1 : 0;
	}
	if (options->version) {
		puts(NTD_PROGRAM " " NTD_VERSION);
		return 0;
	}
	if (options->report_from)
		return make_report(options);
	if (ntd_config_load(config, options, &error) < 0)
		return usage_error(error);
	return -1;
}

/* ---- one run */

static int fail(struct ntd_error *error)
{
	int status = error->code == NTD_E_USAGE ? usage_error(error) : 1;

	if (status == 1)
		fprintf(stderr, NTD_PROGRAM ": error: %s\n", error->message);
	ntd_error_free(error);
	return status;
}

/* Prints how to reach the machines by ssh, at the beginning of the log, where users look for it. */
static int tell_about_ssh(struct py_state *state)
{
	const struct ntd_session *session = state->session;
	_cleanup_pyref_ PyObject *result = NULL;

	if (!session->ssh_backdoor && !session->config->dump_vsocks)
		return 0;
	result = PyObject_CallMethod(state->driver, "dump_machine_ssh", NULL);
	return result ? 0 : -1;
}

/* A state that cannot be used is no exception of a script's. */
static int restore(struct ntd_session *session, struct ntd_error **refusal,
		   struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_error *error = NULL;

	if (ntd_reopen_restore(session, waiter, &error) == 0)
		return 0;
	if (error->code == NTD_E_CANCELLED)
		return ntd_error_move(err, error);
	*refusal = error;
	return 0;
}

/* Brings the machines to the state that they begin with. An exit status, or -1 to go on. */
static int begin_with_state(struct py_state *state)
{
	_cleanup_error_ struct ntd_error *refusal = NULL;
	int result;

	if (!state->session->config->kept)
		return -1;
	if (PY_BLOCKING_CALL(result, restore(state->session, &refusal, waiter, error)))
		return refusal ? fail(ntd_steal(&refusal)) : -1;
	return py_report_exception(state);
}

/* Starts all machines and waits for their boots. */
static int boot(struct ntd_session *session, struct ntd_waiter *waiter, struct ntd_error **err)
{
	size_t count;
	_cleanup_free_ struct ntd_machine **machines = ntd_session_machines(session, &count);

	if (ntd_machine_start_all(machines, count, waiter, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (ntd_machine_connect(machines[i], waiter, err) < 0)
			return -1;
	return 0;
}

/* The run of --save-boot; returns the exit status. */
static int save_boot(struct py_state *state)
{
	int result, status;

	if (!PY_BLOCKING_CALL(result, boot(state->session, waiter, error)))
		return py_report_exception(state);
	status = py_script_run(state);
	if (!status && !PY_BLOCKING_CALL(result, ntd_keep_boot(state->session, waiter, error)))
		return py_report_exception(state);
	return status;
}

static int run_driver(struct py_state *state)
{
	int status;

	state->driver = py_driver_object(state);
	if (!state->driver)
		return py_report_exception(state);
	if (tell_about_ssh(state) < 0)
		return py_report_exception(state);
	status = begin_with_state(state);
	if (status >= 0)
		return status;
	if (state->session->config->save_boot)
		return save_boot(state);
	return state->session->config->interactive ? py_prompt_run(state) : py_script_run(state);
}

static int run_in_python(struct ntd_session *session, char **argv)
{
	_cleanup_pyref_ PyObject *module = NULL;
	struct py_state *state;
	struct ntd_error *error = NULL;
	int status;
	bool failed;

	if (py_python_start(argv, PY_MODULE_NAME, py_module_init, &error) < 0)
		return fail(error);
	module = PyImport_ImportModule(PY_MODULE_NAME);
	if (!module) {
		PyErr_Print();
		return 1;
	}
	state = py_state();
	state->session = session;
	session->ending.finish_script = py_ending_finish_script;
	if (py_signals_install(session, &error) < 0 || py_forked_watch(state, &error) < 0)
		return fail(error);
	if (py_log_watch_output(state) < 0)
		return py_report_exception(state);
	if (py_script_compile(state) < 0)
		return py_report_exception(state);
	if (py_style_check(state, &error) < 0)
		return fail(error);
	failed = ntd_session_set_up(session, &error) < 0;
	ntd_session_settle(session); /* before the error, or the symbols, are printed */
	status = failed ? fail(error) : run_driver(state);
	py_ending_leave_forked(status);
	if (state->driver)
		py_driver_release_others(state->driver);
	PY_WITHOUT_GIL(ntd_session_clean_up(session));
	py_log_deliver(state);
	return status;
}

/* Ends the process as one without a handler ends: a shell sees 130, and a script that runs the
 * driver stops, too. */
static void die_of(int number)
{
	sigset_t set;

	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
}

static int run(const struct ntd_config *config, struct ntd_keeper *keeper,
	       struct ntd_summary *summary, char **argv)
{
	struct ntd_session *session = ntd_calloc(1, sizeof *session);
	struct ntd_error *error = NULL;
	int status;

	if (ntd_session_open(session, config, keeper, summary, &error) < 0) {
		status = fail(error);
	} else {
		ntd_session_tell_facts(session, argv, NTD_VERSION ", Python " PY_VERSION);
		status = run_in_python(session, argv);
		ntd_session_tell_status(session, status);
		py_ending_finish_python(session, status);
		py_signals_remove(session);
	}
	if (ntd_session_close(session))
		free(session);
	return status;
}

/* Raises the limit of open files: a full VLAN alone takes 512 descriptors, half of the usual
 * limit. */
static void allow_many_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct ntd_options options;
	struct ntd_config config = {0};
	struct ntd_keeper keeper = {.socket = -1};
	struct ntd_summary summary;
	struct ntd_error *error = NULL;
	int status;

	if (!strcmp(program_invocation_short_name, "generate-driver-symbols"))
		return py_symbols_generate(argv);
	status = read_command_line(&options, &config, argc, argv);
	if (status < 0) {
		signal(SIGPIPE, SIG_IGN);
		py_signals_hold();
		if (ntd_keeper_start(&keeper, &error) < 0) {
			status = fail(error);
		} else {
			/* for processes that the script forks; the keeper is none of these */
			ntd_forked_prepare();
			/* of the driver alone: its children keep their limit */
			allow_many_files();
			ntd_summary_init(&summary, &config);
			status = run(&config, &keeper, &summary, argv);
			ntd_keeper_stop(&keeper, ntd_after(KEEPER_PATIENCE));
			ntd_summary_print(&summary, status);
			ntd_summary_free(&summary);
		}
	}
	ntd_config_free(&config);
	ntd_options_free(&options);
	if (status == 128 + SIGINT)
		die_of(SIGINT);
	return status;
}
