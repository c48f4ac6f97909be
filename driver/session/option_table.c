#include "session/option_table.h"

#include <assert.h>
#include <string.h>

static int add_on(void *field, const char *word, struct ntd_error **err)
{
	*(bool *)field = true;
	return 0;
}

static int add_off(void *field, const char *word, struct ntd_error **err)
{
	*(bool *)field = false;
	return 0;
}

static void clear_text(void *field)
{
	free(*(char **)field);
	*(char **)field = NULL;
}

static int add_text(void *field, const char *word, struct ntd_error **err)
{
	clear_text(field);
	*(char **)field = ntd_strdup(word);
	return 0;
}

static void clear_words(void *field)
{
	ntd_strv_free(*(char ***)field);
	*(char ***)field = NULL;
}

static int add_word(void *field, const char *word, struct ntd_error **err)
{
	ntd_strv_add(field, word);
	return 0;
}

static void clear_numbers(void *field)
{
	ntd_numbers_free(field);
}

static int add_vlan(void *field, const char *word, struct ntd_error **err)
{
	int number;

	if (ntd_values_parse_number(word, NTD_VLAN_MAX, &number, err) < 0)
		return -1;
	ntd_numbers_add(field, number);
	return 0;
}

static int add_seconds(void *field, const char *word, struct ntd_error **err)
{
	return ntd_values_parse_seconds(word, field, err);
}

static int add_factor(void *field, const char *word, struct ntd_error **err)
{
	return ntd_values_parse_factor(word, field, err);
}

static int add_number(void *field, const char *word, struct ntd_error **err)
{
	return ntd_values_parse_number(word, INT32_MAX, field, err);
}

static int add_level(void *field, const char *word, struct ntd_error **err)
{
	int level = ntd_level_parse(word);

	if (level < 0)
		return ntd_error_set(err, NTD_E_USAGE,
				     "'%s' is not one of debug, info, warning, error", word);
	*(enum ntd_level *)field = (enum ntd_level)level;
	return 0;
}

static int add_mode(void *field, const char *word, struct ntd_error **err)
{
	static const char *const names[] = {
		[NTD_MODE_AUTO] = "auto",
		[NTD_MODE_LEGACY] = "legacy",
		[NTD_MODE_PYTEST] = "pytest",
	};
	static_assert(sizeof names / sizeof *names == NTD_MODE_PYTEST + 1, "every mode has a name");

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(names[i], word)) {
			*(enum ntd_mode *)field = (enum ntd_mode)i;
			return 0;
		}
	return ntd_error_set(err, NTD_E_USAGE, "'%s' is not one of auto, legacy, pytest", word);
}

static int add_isolation(void *field, const char *word, struct ntd_error **err)
{
	bool restore = !strcmp(word, "restore");

	if (!restore && strcmp(word, "none") != 0)
		return ntd_error_set(err, NTD_E_USAGE, "'%s' is not one of none, restore", word);
	*(enum ntd_isolation *)field = restore ? NTD_ISOLATION_RESTORE : NTD_ISOLATION_NONE;
	return 0;
}

static int add_shard(void *field, const char *word, struct ntd_error **err)
{
	return ntd_values_parse_shard(word, field, err);
}

/* clang-format off */
static const struct ntd_option_type
	on      = {.add = add_on},
	off     = {.add = add_off},
	text    = {.takes = NTD_ONE_WORD, .add = add_text, .clear = clear_text},
	words   = {.takes = NTD_WORDS, .add = add_word, .clear = clear_words},
	vlans   = {.takes = NTD_WORDS, .add = add_vlan, .clear = clear_numbers},
	seconds = {.takes = NTD_ONE_WORD, .add = add_seconds},
	factor  = {.takes = NTD_ONE_WORD, .add = add_factor},
	number  = {.takes = NTD_ONE_WORD, .add = add_number},
	level   = {.takes = NTD_ONE_WORD, .add = add_level},
	mode    = {.takes = NTD_ONE_WORD, .add = add_mode},
	shard   = {.takes = NTD_ONE_WORD, .add = add_shard},
	isolation = {.takes = NTD_ONE_WORD, .add = add_isolation};

#define FIELD(name) offsetof(struct ntd_options, name)

/* The positional argument first; the rest in the order of --help and the man page. */
const struct ntd_option ntd_option_table[] = {
	{.heading = "Test script",
	 .type = &text, .field = FIELD(test_script), .value = "TESTSCRIPT",
	 .variable = "testScript", .with_config = NTD_OVERRIDES,
	 .help = "the test script to run; required unless --config names one"},
	{.name = "config", .letter = 'c', .type = &text, .field = FIELD(config), .value = "FILE",
	 .help = "JSON configuration: machines, VLANs, time limit and test script. It replaces the "
		 "options for start scripts, names and VLANs, and their variables"},
	{.name = "script", .type = &text, .field = FIELD(test_script), .value = "FILE",
	 .with_config = NTD_OVERRIDES,
	 .help = "the same as the argument TESTSCRIPT; with --config it replaces the test script that "
		 "the configuration names. After a change to the file, reload() at the prompt reads "
		 "it again"},
	{.heading = "Output and state",
	 .name = "output_directory", .letter = 'o', .type = &text, .field = FIELD(output_dir),
	 .value = "DIR", .fallback = "the current directory",
	 .help = "where screenshots, files copied from machines and reports go; the directory must "
		 "exist. After a failed run, failure/NAME in it describes the machine NAME. Only if "
		 "this option is given, console-logs/NAME.log gets the machine's raw console"},
	{.name = "keep-machine-state", .letter = 'K', .type = &on, .field = FIELD(keep_state),
	 .help = "reuse the state of the machines from the last run, disks included, instead of "
		 "deleting it at the start (also --keep-vm-state, the older name)"},
	{.name = "keep-vm-state", .type = &on, .field = FIELD(keep_state)},
	{.heading = "Debugging",
	 .name = "interactive", .letter = 'I', .type = &on, .field = FIELD(interactive),
	 .help = "start a Python prompt with the machines instead of running the test script; "
		 "test_script() at the prompt runs it. The prompt is ptpython or IPython if Python "
		 "finds one of them"},
	{.name = "no-interactive", .type = &off, .field = FIELD(interactive),
	 .help = "run the test script; this is the default"},
	{.name = "snapshot-on-failure", .type = &on, .field = FIELD(snapshot_on_failure),
	 .help = "when the test fails, in pytest style the first test, keep the state of all virtual "
		 "machines - memory, devices, disks and console - in failure/snapshot in the output "
		 "directory, for --reopen"},
	{.name = "reopen", .type = &text, .field = FIELD(reopen), .value = "DIR",
	 .help = "start the Python prompt with the virtual machines in the state that a run with "
		 "--snapshot-on-failure has kept in DIR, its output directory or failure/snapshot in "
		 "that. The start scripts are those of then unless a configuration or "
		 "--vm-start-scripts has others of these names; QEMU must be the same. What is in "
		 "DIR stays as it is"},
	{.name = "save-boot", .type = &text, .field = FIELD(save_boot), .value = "DIR",
	 .help = "do not run the test script, but boot all machines and keep their state in the new "
		 "directory DIR, for --boot-from"},
	{.name = "boot-script", .type = &text, .field = FIELD(boot_script), .value = "FILE",
	 .help = "with --save-boot: a script, a program as legacy test scripts are, that is run "
		 "before the machines are saved"},
	{.name = "boot-from", .type = &text, .field = FIELD(boot_from), .value = "DIR",
	 .help = "begin with all machines in the state that a run with --save-boot has kept in DIR, "
		 "instead of booting them; they, their disks and QEMU must be the same. What is in "
		 "DIR stays as it is"},
	{.name = "pause-on-failure", .type = &on, .field = FIELD(pause_on_failure),
	 .help = "when the test script fails, keep the machines and start a Python prompt with the "
		 "script's names and without a time limit; leaving the prompt ends the run. Needs a "
		 "terminal"},
	{.name = "debug-hook-attach", .type = &text, .field = FIELD(debug_hook_attach),
	 .value = "PATH",
	 .help = "make debug.breakpoint(), and failures, wait for a debugger; PATH is the program "
		 "that attaches to the sandbox"},
	{.heading = "Time limits",
	 .name = "global-timeout", .type = &seconds, .field = FIELD(global_timeout),
	 .value = "SECONDS", .variable = "globalTimeout", .fallback = "3600",
	 .with_config = NTD_OVERRIDES,
	 .help = "end the run with exit status 143 after this time; seconds, or a duration such "
		 "as PT1H30M"},
	{.name = "boot-timeout", .type = &seconds, .field = FIELD(boot_timeout),
	 .value = "SECONDS",
	 .help = "give up on a machine that takes longer to start, or then to show its root shell. By "
		 "default the driver gives up after 300 seconds without a word on the machine's "
		 "console or shell; four times as long where QEMU emulates the processor (TCG)"},
	{.name = "timeout-scale", .type = &factor, .field = FIELD(time_scale), .value = "FACTOR",
	 .fallback = "1",
	 .help = "multiply the time-outs of the machines' wait_* methods, also where the script gives "
		 "one; auto: by 4 where QEMU emulates the processor (TCG). The time-outs of execute(), "
		 "succeed() and retry() stay as they are"},
	{.heading = "Log and reports",
	 .name = "log-level", .type = &level, .field = FIELD(log_level), .value = "LEVEL",
	 .variable = "logLevel", .fallback = "info",
	 .help = "debug, info, warning or error: messages below it are not shown"},
	{.name = "quiet", .type = &on, .field = FIELD(quiet),
	 .help = "show steps, warnings and errors only; when a step fails, also what was logged in "
		 "it, and after a failed run the last console lines of every machine"},
	{.name = "junit-xml", .type = &text, .field = FIELD(junit_xml), .value = "PATH",
	 .help = "write a JUnit report to this file, relative to the output directory"},
	{.name = "events", .type = &text, .field = FIELD(events), .value = "FILE",
	 .help = "write every event of the run as one JSON object a line to this file, relative to "
		 "the output directory"},
	{.name = "report", .type = &text, .field = FIELD(report), .value = "FILE",
	 .help = "write a page about the run to this file, relative to the output directory: one HTML "
		 "file for a browser, which needs no network, with a timeline, the script, the consoles "
		 "and the screens. A run that is killed leaves the page as far as it got"},
	{.name = "report-from", .type = &text, .field = FIELD(report_from), .value = "EVENTS",
	 .help = "run nothing, but make such a page of a file that --events has written; without "
		 "--report it is report.html beside that file"},
	{.heading = "Tests in pytest style",
	 .name = "mode", .type = &mode, .field = FIELD(mode), .value = "MODE", .fallback = "auto",
	 .help = "the style of the test script: legacy (a program), pytest (functions such as "
		 "\"def test_ping(client, server)\", or a directory of test_*.py files), or auto: "
		 "pytest if it defines tests and does nothing else at its top level. A first comment "
		 "\"# nixos-test: pytest\" or legacy says the same in the script. Arguments after -- "
		 "are pytest's"},
	{.name = "pytest", .type = &on, .field = FIELD(pytest_session),
	 .help = "run no test script, but pytest as it is run by hand: in the current directory, with "
		 "the arguments after -- and the project's own configuration. Without "
		 "--global-timeout the session may take a day"},
	{.name = "shard", .type = &shard, .field = FIELD(shard), .value = "K/N",
	 .help = "run the Kth of N parts of the tests of a pytest script; which part a test is in "
		 "depends on its name alone"},
	{.name = "restart-dead", .type = &on, .field = FIELD(restart_dead),
	 .help = "when a machine has died, start it again for the next test that uses it, instead of "
		 "failing that test; @pytest.mark.restart_machines does this for one test"},
	{.name = "no-skip", .type = &on, .field = FIELD(no_skip),
	 .help = "fail tests whose @pytest.mark.requires is not met, instead of skipping them"},
	{.name = "isolation", .type = &isolation, .field = FIELD(isolation), .value = "HOW",
	 .fallback = "none",
	 .help = "where each test begins: none (where the test before has left the machines), or "
		 "restore: from a snapshot of all machines and networks, which is made after the "
		 "fixtures of session, package, module and class; a machine that has died is restored, "
		 "too. @pytest.mark.isolated does this for one test"},
	{.name = "rerun", .type = &number, .field = FIELD(rerun), .value = "N", .fallback = "0",
	 .help = "run a test that has failed N times more, each time from a snapshot of the machines "
		 "as its fixtures of session, package, module and class have left them, and tell "
		 "whether it fails always, sometimes or only after the tests before it. It remains a "
		 "failed test"},
	{.name = "seed", .type = &number, .field = FIELD(seed), .value = "N", .fallback = "0",
	 .help = "vary what no test may depend on, by a generator that begins with N: the order in "
		 "which start_all() starts machines, and when, within 5 ms, a network passes a "
		 "machine's frames. 0 varies nothing. Each run of --rerun has a seed of its own"},
	{.heading = "Machines and networks, without --config",
	 .name = "vm-start-scripts", .type = &words, .field = FIELD(vm_start_scripts),
	 .value = "SCRIPT...", .variable = "vmStartScripts", .with_config = NTD_EXCLUDED,
	 .help = "commands that start the virtual machines. A machine is called NAME if its command "
		 "ends in run-NAME-vm, else \"machine\""},
	{.name = "start-scripts", .type = &words, .field = FIELD(vm_start_scripts),
	 .value = "SCRIPT...", .variable = "startScripts", .with_config = NTD_EXCLUDED,
	 .help = "older name of --vm-start-scripts"},
	{.name = "container-start-scripts", .type = &words, .field = FIELD(container_start_scripts),
	 .value = "SCRIPT...", .variable = "containerStartScripts", .with_config = NTD_EXCLUDED,
	 .help = "the same for containers, named by run-NAME-nspawn; systemd-nspawn needs root"},
	{.name = "vm-names", .type = &words, .field = FIELD(vm_names), .value = "NAME...",
	 .variable = "vmNames", .fallback = "from the start scripts", .with_config = NTD_EXCLUDED,
	 .help = "names of the virtual machines, one for each start script"},
	{.name = "container-names", .type = &words, .field = FIELD(container_names),
	 .value = "NAME...", .variable = "containerNames", .fallback = "from the start scripts",
	 .with_config = NTD_EXCLUDED,
	 .help = "names of the containers, one for each start script"},
	{.name = "vlans", .type = &vlans, .field = FIELD(vlans), .value = "NUMBER...",
	 .variable = "vlans", .fallback = "none", .with_config = NTD_EXCLUDED,
	 .help = "the virtual networks to make, 0 to 4095 each"},
	{.heading = "Other",
	 .name = "no-agent", .type = &on, .field = FIELD(no_agent),
	 .help = "start no program of the driver's in guests: their root shells run all commands, one "
		 "at a time on each machine"},
	{.name = "dump-vsocks", .type = &number, .field = FIELD(dump_vsocks), .value = "OFFSET",
	 .help = "print the ssh commands for machines that have a vsock device of the kernel; the "
		 "device of the first machine by name has the number OFFSET+1, that of the second "
		 "OFFSET+2 and so on; 0: do not"},
	{.name = "help", .letter = 'h', .type = &on, .field = FIELD(help),
	 .help = "print this text and exit"},
	{.name = "version", .type = &on, .field = FIELD(version),
	 .help = "print the version and exit"},
};
/* clang-format on */

const size_t ntd_option_count = sizeof ntd_option_table / sizeof *ntd_option_table;

char *ntd_option_name(const struct ntd_option *option)
{
	if (!option->name)
		return ntd_strdup(option->value);
	if (option->letter)
		return ntd_asprintf("-%c/--%s", option->letter, option->name);
	return ntd_asprintf("--%s", option->name);
}
