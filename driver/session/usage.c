/* The text of --help, and how a usage error is told. */
#include "session/option_table.h"

#include <string.h>

#define WIDTH 80
#define INDENT 8

/* What concerns the driver or the machines it starts, beside the variables of the option table. */
static const struct {
	const char *names, *help;
} environment[] = {
	{"LOGFILE", "write an XML log of the run to this file"},
	{"XDG_RUNTIME_DIR, else TMPDIR, TEMP, TMP, else /tmp",
	 "directory of everything that exists at run time only: the states of the machines "
	 "(vm-state-NAME), sockets, files shared with the machines; a run that finds another in it "
	 "makes itself a directory ntd-run-N there"},
	{"DISPLAY, WAYLAND_DISPLAY",
	 "when one is set, QEMU opens windows; else it runs with -nographic"},
	{"QEMU_OPTS, QEMU_NET_OPTS, QEMU_KERNEL_PARAMS, NIX_DISK_IMAGE",
	 "read by the start scripts of virtual machines, which inherit the whole environment: more "
	 "options for QEMU, for its first network card, for the kernel; the disk image"},
};

static const struct {
	int status;
	const char *help;
} statuses[] = {
	{0, "the test script ended"},
	{1, "it failed; sys.exit(N) in it gives N"},
	{2, "wrong command line or configuration; nothing was started"},
	{130, "interrupted (Ctrl-C)"},
	{143, "the time limit passed, or SIGTERM"},
};

/* `text` in lines from column `indent` to WIDTH. */
static void wrapped(struct ntd_buf *out, size_t indent, const char *text)
{
	size_t column = 0; /* 0: nothing is written yet */

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len <= WIDTH) {
			ntd_buf_puts(out, " ");
			column++;
		} else {
			ntd_buf_printf(out, "%s%*s", column ? "\n" : "", (int)indent, "");
			column = indent;
		}
		ntd_buf_append(out, text, len);
		column += len;
		text += len + strspn(text + len, " ");
	}
	ntd_buf_puts(out, "\n");
}

static void option_help(struct ntd_buf *out, const struct ntd_option *option)
{
	_cleanup_free_ char *text = NULL;
	struct ntd_buf help = {0};

	ntd_buf_puts(out, "  ");
	if (option->letter)
		ntd_buf_printf(out, "-%c, ", option->letter);
	if (option->name)
		ntd_buf_printf(out, "--%s%s", option->name, option->value ? " " : "");
	ntd_buf_printf(out, "%s\n", option->value ? option->value : "");
	ntd_buf_puts(&help, option->help);
	if (option->fallback)
		ntd_buf_printf(&help, " (default: %s)", option->fallback);
	if (option->variable)
		ntd_buf_printf(&help, " [environment: %s]", option->variable);
	text = ntd_buf_take_string(&help);
	wrapped(out, INDENT, text);
}

void ntd_options_help(struct ntd_buf *out)
{
	ntd_buf_puts(out, "usage: nixos-test-driver --config FILE [OPTION]...\n"
			  "       nixos-test-driver [OPTION]... TESTSCRIPT\n\n");
	wrapped(out, 0,
		"Starts virtual machines and networks, and runs a test script, in "
		"Python, "
		"against them.");
	ntd_buf_puts(out, "\nArguments and options:\n");
	for (size_t i = 0; i < ntd_option_count; i++)
		if (ntd_option_table[i].help)
			option_help(out, &ntd_option_table[i]);
	ntd_buf_puts(out, "\n");
	wrapped(out, 0,
		"A long option may be cut short while it is unambiguous, and takes its value as "
		"--option VALUE or --option=VALUE. Where several values are possible (...), it "
		"takes all "
		"words up to the next option; -- ends it. An environment variable supplies the "
		"default; "
		"several values in it are separated by white space.");
	ntd_buf_puts(out, "\nEnvironment:\n");
	for (size_t i = 0; i < sizeof environment / sizeof *environment; i++) {
		ntd_buf_printf(out, "  %s\n", environment[i].names);
		wrapped(out, INDENT, environment[i].help);
	}
	ntd_buf_puts(out, "\nExit status:\n");
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		ntd_buf_printf(out, "  %-6d%s\n", statuses[i].status, statuses[i].help);
}

char *ntd_usage_message(const struct ntd_error *error)
{
	return ntd_asprintf("nixos-test-driver: error: %s\n"
			    "Try 'nixos-test-driver --help' for more information.\n",
			    error->message);
}
