/* Tests of the configuration, from JSON and from options, and of the checks before anything is
 * started. Each test runs in an empty directory of its own.
 */
#include "unit.h"

#include "base/json.h"
#include "base/text.h"
#include "session/config.h"

#include <sys/stat.h>

struct fixture {
	char directory[32];
	struct ntd_options options;
	struct ntd_config config;
};

static int set_up(void **state)
{
	struct fixture *f = ntd_calloc(1, sizeof *f);

	unsetenv("LOGFILE");
	strcpy(f->directory, "/tmp/test_config-XXXXXX"); /* NOLINT: it fits */
	*state = f;
	return !mkdtemp(f->directory) || chdir(f->directory);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *command = ntd_asprintf("rm -rf %s", f->directory);

	ntd_options_free(&f->options);
	ntd_config_free(&f->config);
	free(f);
	return chdir("/") || system(command); /* NOLINT: a path that we made */
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void assert_message(struct ntd_error *err, const char *message)
{
	assert_non_null(err);
	assert_string_equal(err->message, message);
	assert_string_equal(ntd_errc_name(err->code), "usage");
	ntd_error_free(err);
}

/* Loads the configuration of a command line of at most 20 words, separated by spaces. */
static int load(struct fixture *f, const char *line, struct ntd_error **err)
{
	_cleanup_free_ char *copy = ntd_asprintf("driver %s", line);
	char *words[21], *rest = copy;
	int count = 0;

	while (rest && count < 20)
		words[count++] = strsep(&rest, " ");
	words[count] = NULL;
	ntd_options_free(&f->options);
	ntd_config_free(&f->config);
	if (ntd_options_parse(&f->options, count, words, err) < 0)
		return -1;
	return ntd_config_load(&f->config, &f->options, err);
}

static void assert_loads(struct fixture *f, const char *line)
{
	struct ntd_error *err = NULL;

	load(f, line, &err);
	assert_no_error(err);
}

static void assert_refused(struct fixture *f, const char *line, const char *message)
{
	struct ntd_error *err = NULL;

	assert_int_equal(load(f, line, &err), -1);
	assert_message(err, message);
}

static void assert_machine(const struct ntd_machine_config *machine, const char *name,
			   const char *python_name, const char *start_script)
{
	assert_string_equal(machine->name, name);
	assert_string_equal(machine->python_name, python_name);
	assert_string_equal(machine->start_script, start_script);
}

/* --- JSON --- */

static void test_json(void **state)
{
	struct fixture *f = *state;
	const struct ntd_config *c = &f->config;

	write_file("t.py", "");
	write_file("c.json",
		   "{\"vms\": {\"web-1\": {\"name\": \"ignored\", \"start_script\": "
		   "\"/x/run-web-1-vm\"},"
		   " \"b\": {\"start_script\": \"/x/run-b-vm\", \"future\": [1]}},"
		   " \"containers\": {\"c1\": {\"start_script\": \"/x/run-c1-nspawn\"}},"
		   " \"vlans\": [2, 1, 2.0, 4095], \"global_timeout\": 90.5,"
		   " \"enable_ssh_backdoor\": true, \"test_script\": \"t.py\", \"vnc\": null}");
	assert_loads(f, "-c c.json");
	assert_int_equal(c->vms.count, 2);
	assert_machine(&c->vms.items[0], "b", "b", "/x/run-b-vm");
	assert_machine(&c->vms.items[1], "web-1", "web_1", "/x/run-web-1-vm");
	assert_int_equal(c->containers.count, 1);
	assert_machine(&c->containers.items[0], "c1", "c1", "/x/run-c1-nspawn");
	assert_int_equal(c->vlans.count, 3);
	assert_int_equal(c->vlans.items[0], 2);
	assert_int_equal(c->vlans.items[1], 1);
	assert_int_equal(c->vlans.items[2], 4095);
	assert_true(c->global_timeout == 90.5);
	assert_true(c->enable_ssh_backdoor);
	assert_true(*c->test_script == '/' && ntd_has_suffix(c->test_script, "/t.py"));
	assert_int_equal(ntd_config_longest_name(c), 7); /* "machine" */
}

static void test_json_defaults(void **state)
{
	struct fixture *f = *state;
	const struct ntd_config *c = &f->config;

	write_file("t.py", "");
	write_file("u.py", "");
	write_file("c.json", "{\"vms\": {}, \"test_script\": \"t.py\"}");
	assert_loads(f, "-c c.json");
	assert_int_equal(c->vms.count + c->containers.count + c->vlans.count, 0);
	assert_true(c->global_timeout == 3600);
	assert_false(c->enable_ssh_backdoor);
	/* options about the run, not about machines, may be given with a file */
	assert_loads(f, "-c c.json --global-timeout 5 --boot-t 6 u.py");
	assert_true(c->global_timeout == 5 && c->boot_timeout == 6);
	assert_true(ntd_has_suffix(c->test_script, "/u.py"));
	write_file("c.json", "{\"containers\": {}, \"global_timeout\": \"PT1H\"}");
	assert_loads(f, "-c c.json t.py");
	assert_true(c->global_timeout == 3600);
}

static void test_json_duplicate_keys(void **state)
{
	struct fixture *f = *state;

	write_file("t.py", "");
	write_file("c.json", "{\"vms\": 1, \"test_script\": 2,"
			     " \"vms\": {\"a\": 3, \"b\": {\"start_script\": \"first\"},"
			     " \"a\": {\"start_script\": \"last\"}}, \"test_script\": \"t.py\"}");
	assert_loads(f, "-c c.json");
	assert_int_equal(f->config.vms.count, 2);
	assert_machine(&f->config.vms.items[0], "a", "a", "last");
	assert_machine(&f->config.vms.items[1], "b", "b", "first");
}

#define VM(name) "\"" name "\": {\"start_script\": \"s-" name "\"}"
#define VMS(members) "{\"vms\": {" members "}, \"test_script\": \"t\"}"
#define WITH(members) "{\"vms\": {}, \"test_script\": \"t\", " members "}"

static void test_json_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} table[] = {
		{"[]", "c: expected an object, found an array"},
		{"{}", "c: missing required key \"vms\""},
		{"{\"vm\": {}, \"test_script\": \"t\"}", "c: missing required key \"vms\""},
		{"{\"vms\": {}}", "c: missing required key \"test_script\""},
		{"{\"vms\": []}", "c: vms: expected an object, found an array"},
		{"{\"containers\": null}", "c: containers: expected an object, found null"},
		{VMS("\"server\": {\"start_script\": 1}"),
		 "c: vms.server.start_script: expected a string, found a number"},
		{VMS("\"server\": {}"), "c: vms.server: missing required key \"start_script\""},
		{VMS("\"server\": \"s\""), "c: vms.server: expected an object, found a string"},
		{VMS("\"a\": {\"start_script\": \"\"}"), "c: vms.a: the start script is empty"},
		{VMS(VM("")), "c: vms[\"\"]: the name of a machine is empty"},
		{VMS(VM("a/b")), "c: vms[\"a/b\"]: the name of a machine holds a slash or a "
				 "control character"},
		{VMS("\"a\\n\": {\"start_script\": \"s\"}"),
		 "c: vms[\"a\\n\"]: the name of a machine holds a slash or a control character"},
		{VMS(VM("a-b") "," VM("a_b")),
		 "c: the machines \"a-b\" and \"a_b\" would both be a_b in the test script"},
		{VMS(VM("1x") "," VM("2x")),
		 "c: the machines \"1x\" and \"2x\" would both be _x in the test script"},
		{"{\"vms\": {" VM("a") "}, \"containers\": {" VM("a") "}, \"test_script\": \"t\"}",
		 "c: two machines are called \"a\", started by s-a and s-a"},
		{WITH("\"vlans\": 1"), "c: vlans: expected an array, found a number"},
		{WITH("\"vlans\": [1, \"2\"]"), "c: vlans[1]: expected a number, found a string"},
		{WITH("\"vlans\": [-1]"), "c: vlans[0]: -1 is not a number from 0 to 4095"},
		{WITH("\"vlans\": [4096]"), "c: vlans[0]: 4096 is not a number from 0 to 4095"},
		{WITH("\"vlans\": [1, 1, 1.5]"), "c: vlans[2]: 1.5 is not a number from 0 to 4095"},
		{WITH("\"vlans\": [1e300]"), "c: vlans[0]: 1e+300 is not a number from 0 to 4095"},
		{WITH("\"global_timeout\": 0"),
		 "c: global_timeout: 0 is not a time above 0 seconds"},
		{WITH("\"global_timeout\": -3.5"),
		 "c: global_timeout: -3.5 is not a time above 0 seconds"},
		{WITH("\"global_timeout\": 1e999"),
		 "c: global_timeout: inf is not a time above 0 seconds"},
		{WITH("\"global_timeout\": \"1 hour\""),
		 "c: global_timeout: '1 hour' is not a time above 0: seconds, or a duration such "
		 "as PT1H"},
		{WITH("\"global_timeout\": true"),
		 "c: global_timeout: expected a string or a number, found true or false"},
		{WITH("\"enable_ssh_backdoor\": 1"),
		 "c: enable_ssh_backdoor: expected true or false, found a number"},
		{"{\"vms\": {}, \"test_script\": []}",
		 "c: test_script: expected a string, found an array"},
		{"{\"vms\": {\n \"a\": {},\n}}",
		 "c:3:1: expected a key in double quotes, found '}'"},
	};
	struct fixture *f = *state;

	write_file("t", "");
	for (size_t i = 0; i < unit_count(table); i++) {
		write_file("c", table[i].text);
		assert_refused(f, "-c c", table[i].message);
	}
}

static void test_json_too_many(void **state)
{
	_cleanup_buf_ struct ntd_buf text = {0};
	_cleanup_free_ char *whole = NULL;

	ntd_buf_puts(&text, "{\"vms\": {");
	for (int i = 0; i <= NTD_MACHINES_MAX; i++)
		ntd_buf_printf(&text, "%s\"m%d\": {\"start_script\": \"s\"}", i ? "," : "", i);
	ntd_buf_puts(&text, "}}");
	whole = ntd_buf_take_string(&text);
	write_file("c", whole);
	assert_refused(*state, "-c c", "c: vms: too many machines");
}

static void test_json_files(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "-c none", "cannot read none: No such file or directory");
	assert_refused(f, "-c .", "cannot read .: Is a directory");
	write_file("c", "{\"vms\": {}, \"test_script\": \"none.py\"}");
	assert_refused(f, "-c c", "cannot read the test script none.py: No such file or directory");
}

/* --- options --- */

static void test_options(void **state)
{
	struct fixture *f = *state;
	const struct ntd_config *c = &f->config;

	write_file("t.py", "");
	assert_loads(f, "--start-scripts /x/run-b-vm /x/run-a-1-vm --container-start-scripts "
			"/x/run-c-nspawn --vlans 2 1 --global-timeout 60 -KI --log-level error "
			"--dump-vsocks 7 --debug-hook-attach /a t.py");
	assert_int_equal(c->vms.count, 2);
	assert_machine(&c->vms.items[0], "a-1", "a_1", "/x/run-a-1-vm");
	assert_machine(&c->vms.items[1], "b", "b", "/x/run-b-vm");
	assert_int_equal(c->containers.count, 1);
	assert_machine(&c->containers.items[0], "c", "c", "/x/run-c-nspawn");
	assert_int_equal(c->vlans.count, 2);
	assert_int_equal(c->vlans.items[0], 2);
	assert_true(c->global_timeout == 60);
	assert_true(c->keep_state && c->interactive);
	assert_int_equal(c->log_level, NTD_LEVEL_ERROR);
	assert_int_equal(c->dump_vsocks, 7);
	assert_string_equal(c->debug_hook_attach, "/a");
	assert_false(c->enable_ssh_backdoor);
	assert_loads(f, "t.py");
	assert_true(c->global_timeout == 3600 && c->boot_timeout == 0);
	assert_int_equal(c->log_level, NTD_LEVEL_INFO);
	assert_int_equal(c->vms.count, 0);
}

static void test_names_given(void **state)
{
	struct fixture *f = *state;

	write_file("t", "");
	assert_loads(f, "--vm-names b a-long-name --vm-start-scripts x y -- t");
	assert_machine(&f->config.vms.items[0], "a-long-name", "a_long_name", "y");
	assert_machine(&f->config.vms.items[1], "b", "b", "x");
	assert_int_equal(ntd_config_longest_name(&f->config), 11);
	assert_refused(f, "--vm-names a --vm-start-scripts x y -- t",
		       "1 names (--vm-names) for 2 start scripts (--vm-start-scripts)");
	assert_refused(f, "--container-names a b -- t",
		       "2 names (--container-names) for 0 start scripts "
		       "(--container-start-scripts)");
}

static void test_options_refused(void **state)
{
	struct fixture *f = *state;

	write_file("t", "");
	assert_refused(f, "--start-scripts a t",
		       "no test script given: name it after the other options (with -- before it "
		       "if the last takes several words), or use --config FILE");
	assert_refused(f, "--start-scripts one two -- t",
		       "two machines are called \"machine\", started by one and two");
	assert_refused(f, "--start-scripts run-x.y-vm run-x-y-vm -- t",
		       "the machines \"x-y\" and \"x.y\" would both be x_y in the test script");
	assert_refused(f, "--vm-names a/b --vm-start-scripts x -- t",
		       "start script 'x': the name of a machine holds a slash or a control "
		       "character");
	assert_refused(f, "--start-scripts= -- t", "start script '': the start script is empty");
}

static void test_start_script_names(void **state)
{
	static const struct {
		const char *command, *suffix, *name;
	} table[] = {
		{"/nix/store/x-vm/bin/run-server-vm", "-vm", "server"},
		{"run-a-vm", "-vm", "a"},
		{"run-a-b_c.d-vm", "-vm", "a-b_c.d"},
		{"run-vm-vm", "-vm", "vm"},
		{"run-run-a-vm", "-vm", "run-a"},
		{"/run-1/bin/run-a-vm", "-vm", "a"},
		{"env X=1 /bin/run-a-vm", "-vm", "a"},
		{"run-a-nspawn", "-nspawn", "a"},
		{"run-a-nspawn", "-vm", "machine"},
		{"run-a-vm ", "-vm", "machine"},
		{"run-a-vm -m 512", "-vm", "machine"},
		{"run--vm", "-vm", "machine"},
		{"run-vm", "-vm", "machine"},
		{"/run-a-vm/qemu", "-vm", "machine"},
		{"qemu", "-vm", "machine"},
		{"", "-vm", "machine"},
	};

	for (size_t i = 0; i < unit_count(table); i++) {
		_cleanup_free_ char *name =
			ntd_machine_configs_name(table[i].command, table[i].suffix);

		assert_string_equal(name, table[i].name);
	}
}

/* Paths become absolute and quoted, since a shell starts the machine in another directory. */
static void test_start_script_paths(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *plain = ntd_asprintf("%s/./run-a-vm", f->directory);
	_cleanup_free_ char *quoted = ntd_asprintf("'%s/my vms/run-b-vm'", f->directory);

	write_file("t", "");
	write_file("run-a-vm", "");
	assert_int_equal(mkdir("my vms", 0700), 0);
	write_file("my vms/run-b-vm", "");
	write_file("c", "{\"vms\": {\"a\": {\"start_script\": \"./run-a-vm\"},"
			" \"b\": {\"start_script\": \"my vms/run-b-vm\"},"
			" \"c\": {\"start_script\": \"./none -x\"},"
			" \"d\": {\"start_script\": \"run-a-vm\"}}, \"test_script\": \"t\"}");
	assert_loads(f, "-c c");
	assert_string_equal(f->config.vms.items[0].start_script, plain);
	assert_string_equal(f->config.vms.items[1].start_script, quoted);
	assert_string_equal(f->config.vms.items[2].start_script, "./none -x");
	assert_string_equal(f->config.vms.items[3].start_script, "run-a-vm");
}

/* --- files and directories of the run --- */

static void test_output(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *out = ntd_asprintf("%s/out", f->directory);
	_cleanup_free_ char *report = ntd_asprintf("%s/r.xml", out);
	_cleanup_free_ char *events = ntd_asprintf("%s/e", out);

	write_file("t", "");
	assert_loads(f, "t");
	assert_string_equal(f->config.output_dir, f->directory);
	assert_null(f->config.junit_xml);
	assert_int_equal(mkdir("out", 0700) | symlink("out", "link"), 0);
	assert_loads(f, "-o ./link/ --junit r.xml --events e t");
	assert_string_equal(f->config.output_dir, out);
	assert_string_equal(f->config.junit_xml, report);
	assert_string_equal(f->config.events, events);
	assert_loads(f, "-o out --junit /dev/null t");
	assert_string_equal(f->config.junit_xml, "/dev/null");
}

static void test_output_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *missing = ntd_asprintf(
		"argument --junit-xml: %s/none: No such file or directory", f->directory);
	_cleanup_free_ char *taken =
		ntd_asprintf("argument --junit-xml: %s/sub is a directory", f->directory);

	write_file("t", "");
	assert_int_equal(mkdir("sub", 0700), 0);
	assert_refused(f, "-o none t",
		       "argument -o/--output_directory: none: No such file or directory");
	assert_refused(f, "-o t t", "argument -o/--output_directory: t is not a directory");
	assert_refused(f, "--junit none/r.xml t", missing);
	assert_refused(f, "--events / t", "argument --events: / is a directory");
	assert_refused(f, "--junit sub t", taken);
	setenv("LOGFILE", "none/log.xml", 1);
	assert_refused(f, "t", "environment variable LOGFILE: none: No such file or directory");
	unsetenv("LOGFILE");
}

static void test_script_refused(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "none", "cannot read the test script none: No such file or directory");
}

static void test_log_file(void **state)
{
	struct fixture *f = *state;

	write_file("t", "");
	assert_loads(f, "t");
	assert_null(f->config.log_file);
	setenv("LOGFILE", "/dev/null", 1);
	assert_loads(f, "t");
	assert_string_equal(f->config.log_file, "/dev/null");
	setenv("LOGFILE", "", 1);
	assert_loads(f, "t");
	assert_null(f->config.log_file);
	unsetenv("LOGFILE");
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_json),
		test(test_json_defaults),
		test(test_json_duplicate_keys),
		test(test_json_refused),
		test(test_json_too_many),
		test(test_json_files),
		test(test_options),
		test(test_names_given),
		test(test_options_refused),
		test(test_start_script_names),
		test(test_start_script_paths),
		test(test_output),
		test(test_output_refused),
		test(test_script_refused),
		test(test_log_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
