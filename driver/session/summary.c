/* The last lines of a failed run; see summary.h. */
#include "session/summary.h"

#include "base/printable.h"
#include "guest/unit_evidence.h"
#include "session/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

/* How long a reader of standard error is waited for. */
enum { PATIENCE_MS = 2000 };

enum { LINE_MOST = 300, MACHINES_MOST = 6 };

void ntd_summary_init(struct ntd_summary *summary, const struct ntd_config *config)
{
	*summary = (struct ntd_summary){.config = config, .began = ntd_now()};
	pthread_mutex_init(&summary->mutex, NULL);
	ntd_failed_step_init(&summary->failed_step);
}

void ntd_summary_free(struct ntd_summary *summary)
{
	free(summary->what);
	free(summary->place);
	free(summary->source);
	free(summary->machines);
	ntd_failed_step_free(&summary->failed_step);
	pthread_mutex_destroy(&summary->mutex);
}

/* ---- the machines */

static char *told(struct ntd_machine *machine)
{
	_cleanup_free_ char *line =
		ntd_console_last_line_now(ntd_machine_console(machine), LINE_MOST / 2);
	const char *state = ntd_machine_state_name(ntd_machine_state(machine));

	return *line ? ntd_asprintf("%s is %s; its console's last line: %s",
				    ntd_machine_name(machine), state, line)
		     : ntd_asprintf("%s is %s; its console has no lines", ntd_machine_name(machine),
				    state);
}

/* The machine whose step has failed, or is open when the run is ended in it; else the only machine,
 * or the first one that is dead; NULL. */
static struct ntd_machine *culprit(struct ntd_session *session, struct ntd_machine *const *machines,
				   size_t count)
{
	struct ntd_failed_step *step = &session->summary->failed_step;
	_cleanup_free_ char *failed =
		session->ending.begun ? ntd_open_step_machine(step) : ntd_failed_step_machine(step);

	for (size_t i = 0; failed && i < count; i++)
		if (!strcmp(ntd_machine_name(machines[i]), failed))
			return machines[i];
	for (size_t i = 0; i < count; i++)
		if (count == 1 || ntd_machine_state(machines[i]) == NTD_MACHINE_DEAD)
			return machines[i];
	return NULL;
}

static char *machines_text(struct ntd_session *session)
{
	size_t count;
	_cleanup_free_ struct ntd_machine **machines = ntd_session_machines(session, &count);
	struct ntd_machine *machine = culprit(session, machines, count);
	struct ntd_buf text = {0};

	if (machine)
		return told(machine);
	for (size_t i = 0; i < count && i < MACHINES_MOST; i++)
		ntd_buf_printf(&text, "%s%s is %s", i ? ", " : "", ntd_machine_name(machines[i]),
			       ntd_machine_state_name(ntd_machine_state(machines[i])));
	if (count > MACHINES_MOST)
		ntd_buf_printf(&text, " and %zu more", count - MACHINES_MOST);
	if (!count)
		ntd_buf_puts(&text, "there are none");
	return ntd_buf_take_string(&text);
}

/* ---- what is known */

/* Takes `text`, unless there is one already. */
static void keep(char **member, char *text)
{
	if (*member)
		free(text);
	else
		*member = text;
}

void ntd_summary_failure(struct ntd_session *session, const char *what)
{
	struct ntd_summary *summary = session->summary;
	char *machines;

	if (!summary)
		return;
	machines = machines_text(session);
	pthread_mutex_lock(&summary->mutex);
	if (!summary->what)
		summary->seconds = ntd_seconds(ntd_now() - summary->began);
	keep(&summary->what, ntd_printable_line(what, LINE_MOST));
	keep(&summary->machines, ntd_printable_line(machines, LINE_MOST));
	pthread_mutex_unlock(&summary->mutex);
	free(machines);
}

void ntd_summary_place(struct ntd_session *session, const char *place, const char *source)
{
	struct ntd_summary *summary = session->summary;

	if (!summary)
		return;
	pthread_mutex_lock(&summary->mutex);
	if (!summary->place) {
		keep(&summary->place, ntd_printable_line(place, LINE_MOST));
		keep(&summary->source, ntd_printable_line(source, LINE_MOST));
	}
	pthread_mutex_unlock(&summary->mutex);
}

/* ---- where to look */

/* Appends the path if there is something to read; within the output directory without that. NixOS
 * has the log of a build written to /dev/null. */
static void put_path(struct ntd_buf *out, const struct ntd_config *config, const char *path)
{
	size_t len = strlen(config->output_dir);
	bool inside = path && !strncmp(path, config->output_dir, len) && path[len] == '/';
	struct stat info;

	if (path && stat(path, &info) == 0 && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)))
		ntd_buf_printf(out, "%s%s", out->len ? ", " : "", inside ? path + len + 1 : path);
}

/* "OUT: failure, console-logs, junit.xml", of what there is. */
static char *files_text(const struct ntd_config *config)
{
	_cleanup_free_ char *failure = ntd_asprintf("%s/failure", config->output_dir);
	_cleanup_free_ char *units = ntd_asprintf("%s/" NTD_UNIT_EVIDENCE, config->output_dir);
	_cleanup_free_ char *logs = ntd_asprintf("%s/console-logs", config->output_dir);
	_cleanup_buf_ struct ntd_buf files = {0};
	_cleanup_free_ char *list = NULL;
	const char *const paths[] = {config->report,    failure,        units,           logs,
				     config->junit_xml, config->events, config->log_file};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		put_path(&files, config, paths[i]);
	list = ntd_buf_take_string(&files);
	return *list ? ntd_asprintf("%s: %s", config->output_dir, list)
		     : ntd_asprintf("%s, where this run has left no files", config->output_dir);
}

/* ---- printing */

/* Written when the report has ended, so nothing else is. */
static void write_out(const struct ntd_buf *text)
{
	const char *bytes = ntd_buf_bytes(text);
	size_t left = text->len;

	while (left) {
		struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
		int ready = poll(&fd, 1, PATIENCE_MS);
		ssize_t written = ready > 0 ? write(STDERR_FILENO, bytes, left) : ready;

		if (ready == 0 || (written < 0 && errno != EINTR))
			return;
		if (written < 0)
			continue;
		bytes += written;
		left -= (size_t)written;
	}
}

void ntd_summary_print(struct ntd_summary *summary, int status)
{
	_cleanup_buf_ struct ntd_buf text = {0};
	_cleanup_free_ char *files = NULL, *shown = NULL;
	bool colours = isatty(STDERR_FILENO);

	pthread_mutex_lock(&summary->mutex);
	if (summary->what && status && status != 128 + SIGINT) {
		files = files_text(summary->config);
		shown = ntd_printable_text(files);
		ntd_buf_printf(&text, "%sthe test failed: %s%s\n", colours ? "\033[1;31m" : "",
			       summary->what, colours ? "\033[0m" : "");
		ntd_buf_printf(&text, "  where    %s, after %.1f seconds\n",
			       summary->place ? summary->place : "not in the test script",
			       summary->seconds);
		ntd_buf_printf(&text, "  line     %s\n", summary->source ? summary->source : "-");
		ntd_buf_printf(&text, "  machine  %s\n", summary->machines);
		ntd_buf_printf(&text, "  look in  %s\n", shown);
		free(ntd_steal(&summary->what)); /* once */
	}
	pthread_mutex_unlock(&summary->mutex);
	write_out(&text);
}
