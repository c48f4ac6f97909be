/* A program of the build: prints the manual page, nixos-test-driver.1, from the tables behind
 * --help. It is linked with the core and is not a part of it.
 *
 * The page is written in the macros of man(7). One thread.
 */
#include "session/option_table.h"
#include "session/usage.h"

#include <stdio.h>
#include <string.h>

#ifndef NTD_VERSION
#define NTD_VERSION "unknown"
#endif

/* clang-format off */
static const char before_options[] =
".SH NAME\n"
"nixos\\-test\\-driver, generate\\-driver\\-symbols \\- run tests of NixOS virtual machines\n"
".SH SYNOPSIS\n"
".B nixos\\-test\\-driver\n"
".B \\-\\-config\n"
".I FILE\n"
".RI [ OPTION ].\\|.\\|.\n"
".RB [ \\-\\-\n"
".IR PYTEST\\-ARGUMENT .\\|.\\|.]\n"
".PP\n"
".B nixos\\-test\\-driver\n"
".RI [ OPTION ].\\|.\\|.\n"
".I TESTSCRIPT\n"
".RB [ \\-\\-\n"
".IR PYTEST\\-ARGUMENT .\\|.\\|.]\n"
".PP\n"
".B nixos\\-test\\-driver\n"
".RI [ OPTION ].\\|.\\|.\n"
".B \\-\\-pytest\n"
".RB [ \\-\\-\n"
".IR PYTEST\\-ARGUMENT .\\|.\\|.]\n"
".PP\n"
".B generate\\-driver\\-symbols\n"
".SH DESCRIPTION\n";

static const char description[] =
".PP\n"
"NixOS builds a start script for each virtual machine,\n"
".RI run\\- NAME \\-vm;\n"
"the test script finds this machine as an object called\n"
".IR NAME .\n"
"The object's methods start the machine, run commands in it as root and wait for its units,\n"
"ports, files and console.\n"
"The driver ends all machines and networks when it ends, whatever the reason.\n"
".PP\n"
"A test script is a program, or consists of functions that pytest collects and calls;\n"
"arguments after\n"
".B \\-\\-\n"
"are pytest's.\n"
"In the interactive prompt,\n"
".I help(machine)\n"
"explains the methods of a machine.\n"
".PP\n"
"The log goes to standard error.\n"
"On a terminal, a line below it says what the run waits for, and how long that may take.\n"
"The last five lines of a failed run say what failed, where in the script, with which machine,\n"
"and where to look.\n"
".PP\n"
".B generate\\-driver\\-symbols\n"
"writes the global names of every test script, joined by commas, to the file\n"
".I driver\\-symbols\n"
"in the current directory.\n"
"It takes no arguments.\n"
"The builds of nixpkgs check test scripts with these names.\n"
".SH OPTIONS\n";

static const char before_variables[] =
".SH ENVIRONMENT\n"
"The description of an option names its variable, if it has one.\n"
"The driver and the start scripts also read these:\n";

static const char after_variables[] =
".PP\n"
".I OUT\n"
"is the output directory,\n"
".I RUN\n"
"the directory that\n"
".B XDG_RUNTIME_DIR\n"
"or another variable above names.\n"
".SH \"EXIT STATUS\"\n";

static const char after_statuses[] =
".PP\n"
"In pytest style the exit status is that of pytest:\n"
"0 if all tests passed, 1 if some failed, 2 to 5 for reasons of pytest's own.\n"
".SH EXAMPLES\n"
"Run a test from the configuration file that nixpkgs builds for it:\n"
".PP\n"
".RS 4\n"
".EX\n"
"nixos\\-test\\-driver \\-\\-config driverConfiguration.json \\-o out\n"
".EE\n"
".RE\n"
".PP\n"
"Run a script against machines on one network:\n"
".PP\n"
".RS 4\n"
".EX\n"
"nixos\\-test\\-driver \\-\\-vlans 1 \\e\n"
"    \\-\\-vm\\-start\\-scripts result/bin/run\\-*\\-vm \\-o out testScript.py\n"
".EE\n"
".RE\n"
".PP\n"
"Run the tests whose names contain\n"
".IR network ,\n"
"until one fails, and stop there with a prompt:\n"
".PP\n"
".RS 4\n"
".EX\n"
"nixos\\-test\\-driver \\-\\-config driverConfiguration.json \\-o out \\e\n"
"    \\-\\-pause\\-on\\-failure \\-\\- \\-k network \\-x\n"
".EE\n"
".RE\n"
".SH \"SEE ALSO\"\n"
".BR qemu (1),\n"
".BR systemd\\-nspawn (1),\n"
".BR pytest (1)\n"
".PP\n"
"The reference of the script's names is embed/README.md in the source of this program;\n"
"the NixOS manual describes how tests are made.\n";

static const struct {
	const char *path, *help;
} files[] = {
	{"OUT/console-logs/NAME.log",
	 "The raw console of the machine, of all its starts in the run; written at the end."},
	{"OUT/failure/NAME/",
	 "After a failed run: the last console lines of the machine, the status of QEMU, a screenshot, "
	 "processes, failed units and the end of the journal. In pytest style OUT/failure/TEST/NAME/."},
	{"OUT/failed-units/NAME/UNIT.txt",
	 "The status and the journal of a unit that a wait has found failed or inactive."},
	{"RUN/vm-state-NAME/",
	 "The state of the machine: disks, sockets, and its console in console.log. The next run "
	 "empties it, unless --keep-machine-state is given."},
	{"driver-symbols", "What generate-driver-symbols writes."},
};
/* clang-format on */

/* Text in which no character means something to roff. */
static void escaped(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else
			putchar(*text);
	}
}

/* Sentences, each on a line of its own, as roff wants them for the space between; the last one gets
 * its full stop. */
static void paragraph(const char *text)
{
	while (*text) {
		const char *end = strstr(text, ". ");
		size_t len = end ? (size_t)(end - text) : strlen(text);
		_cleanup_free_ char *sentence = ntd_asprintf("%.*s", (int)len, text);

		escaped(sentence);
		puts(len && sentence[len - 1] == '.' ? "" : ".");
		text += end ? len + 2 : len;
	}
}

static void print_option(const struct ntd_option *option)
{
	puts(".TP");
	if (option->letter)
		printf("\\fB\\-%c\\fR, ", option->letter);
	if (option->name) {
		fputs("\\fB\\-\\-", stdout);
		escaped(option->name);
		printf("\\fR%s", option->value ? " " : "");
	}
	if (option->value) {
		fputs("\\fI", stdout);
		escaped(option->value);
		fputs("\\fR", stdout);
	}
	putchar('\n');
	paragraph(option->help);
	if (option->fallback) {
		fputs("Default: ", stdout);
		paragraph(option->fallback);
	}
	if (option->variable)
		printf("Environment:\n.BR %s .\n", option->variable);
}

static void print_options(void)
{
	for (size_t i = 0; i < ntd_option_count; i++) {
		if (ntd_option_table[i].heading) {
			fputs(".SS \"", stdout);
			escaped(ntd_option_table[i].heading);
			puts("\"");
		}
		if (ntd_option_table[i].help)
			print_option(&ntd_option_table[i]);
	}
	puts(".SS \"How options are written\"");
	paragraph(ntd_usage_syntax);
}

static void tagged(const char *tag, const char *text)
{
	fputs(".TP\n\\fI", stdout);
	escaped(tag);
	puts("\\fR");
	paragraph(text);
}

int main(void)
{
	puts(".\\\" Printed from the option table of the driver; see driver/session/man_page.c.\n"
	     ".TH NIXOS\\-TEST\\-DRIVER 1 \"\" \"nixos\\-test\\-driver " NTD_VERSION
	     "\" \"User Commands\"");
	fputs(before_options, stdout);
	paragraph(ntd_usage_summary);
	fputs(description, stdout);
	print_options();
	fputs(before_variables, stdout);
	for (size_t i = 0; i < ntd_usage_environment_count; i++)
		tagged(ntd_usage_environment[i].names, ntd_usage_environment[i].help);
	puts(".SH FILES");
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		tagged(files[i].path, files[i].help);
	fputs(after_variables, stdout);
	for (size_t i = 0; i < ntd_usage_status_count; i++)
		printf(".TP\n.B %d\n%s\n", ntd_usage_statuses[i].status,
		       ntd_usage_statuses[i].help);
	fputs(after_statuses, stdout);
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
