/* Tests of the command line and its environment variables. Each row is a command line; the parsed
 * options are rendered as text, without the fields that have their default.
 */
#include "unit.h"

#include "session/option_table.h"

#define WORDS_MAX 16
#define SPACE " "

struct row {
	const char *variables; /* NAME=value ..., + for white space in a value; NULL: none */
	const char *words;     /* the command line; . is an empty word, + a space in a word */
	const char *result;    /* the options, or the message of a refusal */
};

static void clear_environment(void)
{
	for (size_t i = 0; i < ntd_option_count; i++)
		if (ntd_option_table[i].variable)
			unsetenv(ntd_option_table[i].variable);
}

static void set_environment(const char *variables)
{
	_cleanup_free_ char *copy = ntd_strdup(variables ? variables : "");
	char *rest = copy, *name;

	clear_environment();
	while ((name = strsep(&rest, SPACE))) {
		char *value = strchr(name, '=');

		if (!value)
			continue;
		*value++ = '\0';
		for (char *c = value; *c; c++)
			*c = *c == '+' ? '\t' : *c;
		setenv(name, value, 1);
	}
}

/* Splits `line` in place. */
static int split(char *line, char **words)
{
	int count = 0;
	char *word;

	words[count++] = (char *)"nixos-test-driver";
	while ((word = strsep(&line, SPACE))) {
		assert_true(count < WORDS_MAX - 1);
		for (char *c = word; *c; c++)
			*c = *c == '+' ? ' ' : *c;
		if (*word)
			words[count++] = strcmp(word, ".") ? word : word + 1;
	}
	words[count] = NULL;
	return count;
}

static void render_text(struct ntd_buf *out, const char *name, const char *value)
{
	if (value)
		ntd_buf_printf(out, " %s=%s", name, value);
}

static void render_words(struct ntd_buf *out, const char *name, char **words)
{
	if (!words)
		return;
	ntd_buf_printf(out, " %s=", name);
	for (size_t i = 0; words[i]; i++)
		ntd_buf_printf(out, "%s%s", i ? "," : "", words[i]);
}

static char *render(const struct ntd_options *o)
{
	struct ntd_buf out = {0};

	ntd_buf_puts(&out, o->help ? " help" : "");
	ntd_buf_puts(&out, o->version ? " version" : "");
	render_text(&out, "config", o->config);
	render_text(&out, "script", o->test_script);
	render_words(&out, "vms", o->vm_start_scripts);
	render_words(&out, "containers", o->container_start_scripts);
	render_words(&out, "vm-names", o->vm_names);
	render_words(&out, "container-names", o->container_names);
	for (size_t i = 0; i < o->vlans.count; i++)
		ntd_buf_printf(&out, "%s%d", i ? "," : " vlans=", o->vlans.items[i]);
	if (o->global_timeout > 0)
		ntd_buf_printf(&out, " timeout=%g", o->global_timeout);
	if (o->boot_timeout > 0)
		ntd_buf_printf(&out, " boot-timeout=%g", o->boot_timeout);
	if (o->time_scale.given)
		ntd_buf_printf(&out, " scale=%g", o->time_scale.factor);
	render_text(&out, "out", o->output_dir);
	render_text(&out, "junit", o->junit_xml);
	render_text(&out, "events", o->events);
	render_text(&out, "hook", o->debug_hook_attach);
	ntd_buf_puts(&out, o->keep_state ? " keep" : "");
	ntd_buf_puts(&out, o->interactive ? " interactive" : "");
	ntd_buf_puts(&out, o->quiet ? " quiet" : "");
	ntd_buf_puts(&out, o->pause_on_failure ? " pause" : "");
	if (o->mode)
		ntd_buf_puts(&out, o->mode == NTD_MODE_PYTEST ? " pytest" : " legacy");
	if (o->shard.count)
		ntd_buf_printf(&out, " shard=%d/%d", o->shard.index, o->shard.count);
	ntd_buf_puts(&out, o->restart_dead ? " restart" : "");
	ntd_buf_puts(&out, o->no_skip ? " no-skip" : "");
	ntd_buf_puts(&out, o->isolation == NTD_ISOLATION_RESTORE ? " restore" : "");
	if (o->rerun)
		ntd_buf_printf(&out, " rerun=%d", o->rerun);
	if (o->seed)
		ntd_buf_printf(&out, " seed=%d", o->seed);
	ntd_buf_puts(&out, o->pytest_session ? " session" : "");
	render_words(&out, "rest", o->pytest_arguments);
	if (o->log_level != NTD_LEVEL_INFO)
		ntd_buf_printf(&out, " level=%d", (int)o->log_level);
	if (o->dump_vsocks)
		ntd_buf_printf(&out, " vsocks=%d", o->dump_vsocks);
	ntd_buf_consume(&out, out.len ? 1 : 0);
	return ntd_buf_take_string(&out);
}

static void run_rows(const struct row *rows, size_t count, int status)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup_(ntd_options_free) struct ntd_options options;
		_cleanup_error_ struct ntd_error *err = NULL;
		_cleanup_free_ char *line = ntd_strdup(rows[i].words), *got = NULL;
		char *words[WORDS_MAX];
		int argc = split(line, words);

		set_environment(rows[i].variables);
		if (ntd_options_parse(&options, argc, words, &err) != status)
			fail_msg("%s: %s", rows[i].words, err ? err->message : "was accepted");
		if (err)
			assert_string_equal(ntd_errc_name(err->code), "usage");
		got = err ? ntd_strdup(err->message) : render(&options);
		if (strcmp(got, rows[i].result) != 0) {
			print_error("%s\n", rows[i].words);
			assert_string_equal(got, rows[i].result);
		}
	}
	clear_environment();
}

static void test_accepted(void **state)
{
	static const struct row rows[] = {
		{NULL, "", ""},
		{NULL, "t.py", "script=t.py"},
		{NULL, "-c f.json", "config=f.json"},
		{NULL, "--config=f.json", "config=f.json"},
		{NULL, "--config f.json t.py", "config=f.json script=t.py"},
		{NULL, "-K t.py -I", "script=t.py keep interactive"},
		{NULL, "-KI", "keep interactive"},
		{NULL, "-KIo out", "out=out keep interactive"},
		{NULL, "-oout", "out=out"},
		{NULL, "-o=out", "out=out"},
		{NULL, "-o -", "out=-"},
		{NULL, "-o .", "out="},
		{NULL, "-o -5", "out=-5"},
		{NULL, "-o -a+b", "out=-a b"},
		{NULL, "--output_directory=-K", "out=-K"},
		{NULL, "--out a -o b", "out=b"},
		{NULL, "--keep-machine-state", "keep"},
		{NULL, "--keep-vm-state", "keep"},
		{NULL, "--interactive", "interactive"},
		{NULL, "-I --no-interactive", ""},
		{NULL, "--no-interactive --interactive", "interactive"},
		{NULL, "--debug-hook-attach /bin/attach", "hook=/bin/attach"},
		{NULL, "--junit-xml r.xml", "junit=r.xml"},
		{NULL, "--events e.jsonl --quiet t.py", "script=t.py events=e.jsonl quiet"},
		{NULL, "--log-level debug", "level=0"},
		{NULL, "--log-level warning", "level=2"},
		{NULL, "--log-level error", "level=3"},
		{NULL, "--dump-vsocks 10", "vsocks=10"},
		{NULL, "--script s.py --pause-on-failure", "script=s.py pause"},
		{"testScript=e.py", "--script s.py", "script=s.py"},
		{NULL, "-c f.json --script=s.py", "config=f.json script=s.py"},
		{NULL, "--global-timeout 60", "timeout=60"},
		{NULL, "--global-timeout 1.5", "timeout=1.5"},
		{NULL, "--global-timeout PT1H", "timeout=3600"},
		{NULL, "--boot-timeout 7", "boot-timeout=7"},
		{NULL, "--timeout-scale 2.5", "scale=2.5"},
		{NULL, "--timeout-scale=auto", "scale=0"},
		{NULL, "-h", "help"},
		{NULL, "--version", "version"},
		/* words after --help and variables are ignored */
		{"vlans=x", "-K --help --nonsense", "help keep"},
		/* prefixes of options */
		{NULL, "--junit=r.xml --keep-vm", "junit=r.xml keep"},
		{NULL, "--debug-hook=/x --keep-m", "hook=/x keep"},
		{NULL, "--int --no-i", ""},
		{NULL, "--mode pytest --mode=auto", ""},
		{NULL, "s --mode pytest --shard 2/3 --restart --no-skip",
		 "script=s pytest shard=2/3 restart no-skip"},
		{NULL, "s --isolation restore --rerun 3", "script=s restore rerun=3"},
		{NULL, "s --isolation restore --isolation none --rerun=0", "script=s"},
		{NULL, "s --seed 7", "script=s seed=7"},
		{NULL, "s --mode legacy -- -k x", "script=s legacy rest=-k,x"},
		{NULL, "-- s -k x --mode y", "script=s rest=-k,x,--mode,y"},
		{NULL, "-- -k x", "rest=-k,x"},
		{"testScript=e", "-- -k x", "script=e rest=-k,x"},
		{"testScript=e", "-- s -k", "script=s rest=-k"},
		{NULL, "-c c -- s", "config=c rest=s"},
		{NULL, "--pytest", "session"},
		{NULL, "--pytest -- s -k x", "session rest=s,-k,x"},
		{NULL, "-c c --pytest -o out", "config=c out=out session"},
		{"testScript=e", "--pytest", "session"},
		{NULL, "a -- b", "script=a rest=b"},
		{NULL, "--vlans 1 -- s", "script=s vlans=1"},
		{NULL, "--global 5 --log error --vl 3", "vlans=3 timeout=5 level=3"},
	};

	run_rows(rows, unit_count(rows), 0);
}

static void test_lists(void **state)
{
	static const struct row rows[] = {
		{NULL, "--start-scripts a b --vlans 1 2 --global-timeout 9 -o out t.py",
		 "script=t.py vms=a,b vlans=1,2 timeout=9 out=out"},
		{NULL, "t.py --start-scripts a b", "script=t.py vms=a,b"},
		{NULL, "--start-scripts a b -- t.py", "script=t.py vms=a,b"},
		{NULL, "--start-scripts a b -K t.py", "script=t.py vms=a,b keep"},
		{NULL, "--start-scripts=a t.py", "script=t.py vms=a"},
		{NULL, "--start-scripts a b t.py", "vms=a,b,t.py"},
		{NULL, "--start-scripts", ""},
		{NULL, "--start-scripts a --start-scripts b c", "vms=b,c"},
		{NULL, "--vm-start-scripts a --start-scripts b", "vms=b"},
		{NULL, "--start-scripts a+b .", "vms=a b,"},
		{NULL, "--vm-start-scripts a --container-start-scripts b c",
		 "vms=a containers=b,c"},
		{NULL, "--vm-names x y --container-names z", "vm-names=x,y container-names=z"},
		{NULL, "--vlans 3 1 3 2 1", "vlans=3,1,2"},
		{NULL, "--vlans 0 4095 007", "vlans=0,4095,7"},
		{NULL, "-- -K", "rest=-K"},
		{NULL, "-- --", "rest=--"},
		{NULL, "-", "script=-"},
	};

	run_rows(rows, unit_count(rows), 0);
}

static void test_environment(void **state)
{
	static const struct row rows[] = {
		{"startScripts=a+b vlans=1+2+1 globalTimeout=60 testScript=t.py logLevel=error", "",
		 "script=t.py vms=a,b vlans=1,2 timeout=60 level=3"},
		{"vmStartScripts=a containerStartScripts=b vmNames=x containerNames=y", "",
		 "vms=a containers=b vm-names=x container-names=y"},
		{"vmStartScripts=a startScripts=b", "", "vms=a"},
		{"startScripts=++a+++b++", "", "vms=a,b"},
		/* an option takes precedence over its variable */
		{"startScripts=a+b", "--start-scripts c", "vms=c"},
		{"startScripts=a", "--vm-start-scripts c", "vms=c"},
		{"startScripts=a vlans=1", "--start-scripts --vlans", ""},
		{"testScript=t.py", "u.py", "script=u.py"},
		{"globalTimeout=soon", "--global-timeout 5", "timeout=5"},
		{"logLevel=debug", "--log-level info", ""},
		/* an empty variable counts as absent */
		{"startScripts= vlans= globalTimeout= testScript= logLevel=", "", ""},
		/* with a configuration file, only options that it cannot have count */
		{"startScripts=a vlans=x globalTimeout=y testScript=z logLevel=debug vmNames=n",
		 "-c f", "config=f level=0"},
	};

	run_rows(rows, unit_count(rows), 0);
}

static void test_refused(void **state)
{
	static const struct row rows[] = {
		{NULL, "--keep",
		 "ambiguous option: --keep could be --keep-machine-state, --keep-vm-state"},
		{NULL, "--v=1",
		 "ambiguous option: --v could be --vm-start-scripts, --vm-names, --vlans, "
		 "--version"},
		{NULL, "--nonsense", "unknown option: --nonsense"},
		{NULL, "--nonsense=1", "unknown option: --nonsense"},
		{NULL, "--output-directory x",
		 "unknown option: --output-directory (did you mean --output_directory?)"},
		{NULL, "--vlan-s=1", "unknown option: --vlan-s (did you mean --vlans?)"},
		{NULL, "--junti x", "unknown option: --junti (did you mean --junit-xml?)"},
		{NULL, "-x", "unknown option: -x"},
		{NULL, "-Kx", "unknown option: -x"},
		{NULL, "-o", "argument -o/--output_directory: expected one argument"},
		{NULL, "--junit-xml", "argument --junit-xml: expected one argument"},
		{NULL, "-o -K", "argument -o/--output_directory: expected one argument"},
		{NULL, "-o --", "argument -o/--output_directory: expected one argument"},
		{NULL, "--interactive=yes", "argument -I/--interactive: takes no value"},
		{NULL, "a b", "unrecognized argument: b"},
		{NULL, "--no s",
		 "ambiguous option: --no could be --no-interactive, --no-skip, --no-agent"},
		{NULL, "--mode x", "argument --mode: 'x' is not one of auto, legacy, pytest"},
		{NULL, "--isolation restart",
		 "argument --isolation: 'restart' is not one of none, restore"},
		{NULL, "--rerun -1", "argument --rerun: '-1' is not a number from 0 to 2147483647"},
		{NULL, "--shard 2",
		 "argument --shard: '2' is not K/N, such as 1/4 for the first of four parts"},
		{NULL, "--shard 0/2",
		 "argument --shard: '0/2' is not K/N, such as 1/4 for the first of four parts"},
		{NULL, "--shard 3/2",
		 "argument --shard: '3/2' is not K/N, such as 1/4 for the first of four parts"},
		{NULL, "--shard 1/x",
		 "argument --shard: '1/x' is not K/N, such as 1/4 for the first of four parts"},
		{NULL, "--log-level loud",
		 "argument --log-level: 'loud' is not one of debug, info, warning, error"},
		{NULL, "--vlans 1 two", "argument --vlans: 'two' is not a number from 0 to 4095"},
		{NULL, "--start-scripts a --vlans 1 2 t.py",
		 "argument --vlans: 't.py' is not a number from 0 to 4095"},
		{NULL, "--vlans 4096", "argument --vlans: '4096' is not a number from 0 to 4095"},
		{NULL, "--vlans 99999999999999999999",
		 "argument --vlans: '99999999999999999999' is not a number from 0 to 4095"},
		{NULL, "--vlans -1", "argument --vlans: '-1' is not a number from 0 to 4095"},
		{NULL, "--vlans -12", "argument --vlans: '-12' is not a number from 0 to 4095"},
		{NULL, "--vlans .", "argument --vlans: '' is not a number from 0 to 4095"},
		{NULL, "--global-timeout 0",
		 "argument --global-timeout: '0' is not a time above 0: seconds, or a duration "
		 "such as PT1H"},
		{NULL, "--global-timeout -5",
		 "argument --global-timeout: '-5' is not a time above 0: seconds, or a duration "
		 "such as PT1H"},
		{NULL, "--script a.py b.py", "unrecognized argument: b.py"},
		{NULL, "--pytest t.py",
		 "argument --pytest: there can be no test script (t.py); what pytest is to run "
		 "follows --"},
		{NULL, "--dump-vsocks many",
		 "argument --dump-vsocks: 'many' is not a number from 0 to 2147483647"},
		{"vlans=1+x", "", "environment variable vlans: 'x' is not a number from 0 to 4095"},
		{"globalTimeout=soon", "",
		 "environment variable globalTimeout: 'soon' is not a time above 0: seconds, or "
		 "a duration such as PT1H"},
		{"logLevel=loud", "-c f",
		 "environment variable logLevel: 'loud' is not one of debug, info, warning, error"},
		{NULL, "-c f --vlans 1", "argument --vlans: not allowed with argument -c/--config"},
		{NULL, "--start-scripts a -c f",
		 "argument --start-scripts: not allowed with argument -c/--config"},
	};

	run_rows(rows, unit_count(rows), -1);
}

/* A refused command line does not influence a later one. */
static void test_parse_again(void **state)
{
	static const struct row refused[] = {{NULL, "-KxI a b", "unknown option: -x"}};
	static const struct row accepted[] = {{NULL, "-K t.py", "script=t.py keep"}};

	run_rows(refused, 1, -1);
	run_rows(accepted, 1, 0);
}

static void test_seconds(void **state)
{
	static const struct {
		const char *text;
		double seconds; /* 0: refused */
	} table[] = {
		{"1", 1},           {"0.5", 0.5},      {".5", 0.5},
		{"2.", 2},          {"1e3", 1000},     {"PT1H", 3600},
		{"PT90M", 5400},    {"PT1.5S", 1.5},   {"PT1H30M5S", 5405},
		{"P1D", 86400},     {"P1DT1S", 86401}, {"P2W", 1209600},
		{"P0DT0H1M0S", 60}, {"", 0},           {"0", 0},
		{"-1", 0},          {"+1", 0},         {" 1", 0},
		{"1 ", 0},          {"1s", 0},         {"0x10", 0},
		{"inf", 0},         {"nan", 0},        {"1e999", 0},
		{"1.2.3", 0},       {".", 0},          {"P", 0},
		{"PT", 0},          {"PT0S", 0},       {"P1DT", 0},
		{"P1H", 0},         {"PT1D", 0},       {"PT1M1H", 0},
		{"PT1H1H", 0},      {"P1Y", 0},        {"P1M", 0},
		{"PT1", 0},         {"P-1D", 0},       {"pt1h", 0},
		{"PT1Hx", 0},
	};

	for (size_t i = 0; i < unit_count(table); i++) {
		double seconds = -1;
		int status = ntd_values_parse_seconds(table[i].text, &seconds, NULL);

		if (table[i].seconds > 0 ? status < 0 || seconds != table[i].seconds : !status)
			fail_msg("%s: %d, %g", table[i].text, status, seconds);
	}
}

static char *help_text(void)
{
	struct ntd_buf out = {0};

	ntd_options_help(&out);
	return ntd_buf_take_string(&out);
}

/* --help names every option but the hidden alias, its variable and its default. */
static void test_help_is_complete(void **state)
{
	_cleanup_free_ char *help = help_text();

	assert_int_equal(strncmp(help, "usage: nixos-test-driver ", 25), 0);
	for (size_t i = 0; i < ntd_option_count; i++) {
		const struct ntd_option *option = &ntd_option_table[i];

		if (option->name && strcmp(option->name, "keep-vm-state") != 0)
			assert_non_null(option->help);
		if (option->name)
			assert_non_null(strstr(help, option->name));
		if (option->variable)
			assert_non_null(strstr(help, option->variable));
	}
	assert_non_null(strstr(help, "\n  -o, --output_directory DIR\n        where"));
	assert_non_null(strstr(help, "(default: 3600)"));
	assert_non_null(strstr(help, "XDG_RUNTIME_DIR, else TMPDIR, TEMP, TMP"));
	assert_non_null(strstr(help, "\n  143   "));
}

static void test_help_fits(void **state)
{
	_cleanup_free_ char *help = help_text();

	for (char *line = help; *line;) {
		size_t len = strcspn(line, "\n");

		if (len > 80 || (len && line[len - 1] == ' '))
			fail_msg("%.*s", (int)len, line);
		line += len + 1;
	}
}

static void test_usage_message(void **state)
{
	_cleanup_error_ struct ntd_error *err = ntd_error_new(NTD_E_USAGE, "no 100%%");
	_cleanup_free_ char *message = ntd_usage_message(err);

	assert_string_equal(message, "nixos-test-driver: error: no 100%\n"
				     "Try 'nixos-test-driver --help' for more information.\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),         cmocka_unit_test(test_lists),
		cmocka_unit_test(test_environment),      cmocka_unit_test(test_refused),
		cmocka_unit_test(test_parse_again),      cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_help_is_complete), cmocka_unit_test(test_help_fits),
		cmocka_unit_test(test_usage_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
