/* The text of --help, and how a usage error is told. Any thread. */
#include "session/usage.h"

#include "session/option_table.h"

#include <string.h>

#define WIDTH 80
#define INDENT 8

/* clang-format off */
const char ntd_usage_summary[] =
	"Starts virtual machines and networks, and runs a test script, in Python, against them.";

const char ntd_usage_syntax[] =
	"A long option may be cut short while it is unambiguous, and takes its value as --option "
	"VALUE or --option=VALUE. Where several values are possible (...), it takes all words up to "
	"the next option; -- ends it. An environment variable supplies the default; several values "
	"in it are separated by white space.";

const struct ntd_usage_variable ntd_usage_environment[] = {
	{"LOGFILE", "write an XML log of the run to this file"},
	{"XDG_RUNTIME_DIR, else TMPDIR, TEMP, TMP, else /tmp",
	 "the directory for the states of the machines (vm-state-NAME), sockets and the files "
	 "shared with the machines; if another run uses it, the driver makes a directory ntd-run-N "
	 "in it for its own"},
	{"TERM",
	 "the kind of the terminal: unless it is unset or dumb, a line below the log says what the "
	 "run waits for"},
	{"DISPLAY, WAYLAND_DISPLAY",
	 "when one is set, QEMU opens windows; else it runs with -nographic"},
	{"QEMU_OPTS, QEMU_NET_OPTS, QEMU_KERNEL_PARAMS, NIX_DISK_IMAGE",
	 "read by the start scripts of virtual machines, which inherit the whole environment: more "
	 "options for QEMU, for its first network card and for the kernel; the disk image"},
};

const struct ntd_usage_status ntd_usage_statuses[] = {
	{0, "the test script ended"},
	{1, "it failed; sys.exit(N) in it gives N"},
	{2, "wrong command line or configuration; nothing was started"},
	{130, "interrupted (Ctrl-C)"},
	{143, "the time limit passed, or SIGTERM"},
};
/* clang-format on */

const size_t ntd_usage_environment_count =
	sizeof ntd_usage_environment / sizeof *ntd_usage_environment;
const size_t ntd_usage_status_count = sizeof ntd_usage_statuses / sizeof *ntd_usage_statuses;

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
			  "       nixos-test-driver [OPTION]... TESTSCRIPT\n"
			  "       nixos-test-driver [OPTION]... --pytest [-- ARGUMENT...]\n\n");
	wrapped(out, 0, ntd_usage_summary);
	for (size_t i = 0; i < ntd_option_count; i++) {
		if (ntd_option_table[i].heading)
			ntd_buf_printf(out, "\n%s:\n", ntd_option_table[i].heading);
		if (ntd_option_table[i].help)
			option_help(out, &ntd_option_table[i]);
	}
	ntd_buf_puts(out, "\n");
	wrapped(out, 0, ntd_usage_syntax);
	ntd_buf_puts(out, "\nEnvironment:\n");
	for (size_t i = 0; i < ntd_usage_environment_count; i++) {
		ntd_buf_printf(out, "  %s\n", ntd_usage_environment[i].names);
		wrapped(out, INDENT, ntd_usage_environment[i].help);
	}
	ntd_buf_puts(out, "\nExit status:\n");
	for (size_t i = 0; i < ntd_usage_status_count; i++)
		ntd_buf_printf(out, "  %-6d%s\n", ntd_usage_statuses[i].status,
			       ntd_usage_statuses[i].help);
}

char *ntd_usage_message(const struct ntd_error *error)
{
	return ntd_asprintf("nixos-test-driver: error: %s\n"
			    "Try 'nixos-test-driver --help' for more information.\n",
			    error->message);
}
