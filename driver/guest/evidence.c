/* Evidence of a machine after a failure, on the thread that collects it.
 *
 * A table lists the pieces, from what the driver itself knows to what needs the guest's help.
 * `reach` says how far into the machine questions are answered: it begins with the machine's state,
 * and sinks when two pieces in a row get no answer, so that a machine that hangs costs two
 * deadlines and not one for each piece.
 */
#include "guest/evidence.h"

#include "base/tree.h"
#include "guest/ask.h"
#include "guest/screen.h"
#include "machine/qemu.h"
#include "report/outfile.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { CONSOLE_LINES = 200 };

/* How much longer the driver waits than a piece should take. */
#define REPLY_GRACE (NTD_SECOND / 2)

/* The guest subtracts the journal's span from its clock a moment after the driver has measured the
 * span; the margin covers that moment. */
#define JOURNAL_MARGIN (NTD_SECOND / 2)

/* The end of a run should not take much longer than this in all. */
#define COLLECTION_MOST (25 * NTD_SECOND)

#define NOTES "notes.txt"

enum reach { REACH_DRIVER, REACH_QEMU, REACH_SHELL };

static const char *const silent[] = {
	[REACH_QEMU] = "QEMU does not answer",
	[REACH_SHELL] = "the root shell does not answer",
};
static_assert(sizeof silent / sizeof *silent == REACH_SHELL + 1, "every reach has a message");

struct evidence {
	struct ntd_machine *machine;
	const char *directory;
	struct ntd_waiter waiter; /* its deadline is that of the present piece */
	int64_t deadline, since;
	enum reach reach;
	char *barrier; /* why `reach` is not higher */
	/* The part that did not answer the last piece; REACH_DRIVER: it was answered. */
	enum reach missed;
	struct ntd_buf notes;
};

struct piece {
	const char *file; /* NULL: asks whether the root shell is free */
	enum reach needs;
	unsigned seconds; /* to wait for the piece, on a fast machine */
	/* Appends to `contents` what becomes the file, also when it fails. */
	int (*collect)(struct evidence *evidence, const struct piece *piece,
		       struct ntd_buf *contents, struct ntd_error **err);
	const char *command; /* for the guest */
};

static void lower(struct evidence *evidence, enum reach reach, const char *why)
{
	evidence->reach = reach;
	free(evidence->barrier);
	evidence->barrier = ntd_strdup(why);
}

/* ---- time */

/* Seconds. */
static double patience(const struct ntd_machine *machine, const struct piece *piece)
{
	if (piece->needs == REACH_SHELL)
		return ntd_ask_patience(machine, piece->seconds);
	return piece->seconds * ntd_ask_slowness(machine);
}

int64_t ntd_machine_collect_patience(const struct ntd_machine *machine)
{
	int64_t all = ntd_span(10 * ntd_ask_slowness(machine) + 16 * ntd_machine_pace(machine));

	return all < COLLECTION_MOST ? all : COLLECTION_MOST;
}

/* ---- the pieces */

static int console(struct evidence *evidence, const struct piece *piece, struct ntd_buf *contents,
		   struct ntd_error **err)
{
	ntd_console_copy_tail(ntd_machine_console(evidence->machine), CONSOLE_LINES, contents);
	return 0;
}

static int status(struct evidence *evidence, const struct piece *piece, struct ntd_buf *contents,
		  struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *reply =
		ntd_qmp_execute(ntd_machine_qmp(evidence->machine), "query-status", NULL,
				NTD_FOREVER, &evidence->waiter, err);
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(reply, "return");
	const cJSON *word = cJSON_GetObjectItemCaseSensitive(value, "status");
	_cleanup_free_ char *text = reply ? cJSON_Print(value ? value : reply) : NULL;

	if (!text)
		return -1;
	ntd_buf_printf(contents, "%s\n", text);
	if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(value, "running"))) {
		_cleanup_free_ char *why = ntd_asprintf(
			"the guest is stopped: %s", cJSON_IsString(word) ? word->valuestring : "?");

		lower(evidence, REACH_QEMU, why);
	}
	return 0;
}

static int screen(struct evidence *evidence, const struct piece *piece, struct ntd_buf *contents,
		  struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/%s", evidence->directory, piece->file);

	if (ntd_machine_screenshot(evidence->machine, path, &evidence->waiter, err) < 0)
		return -1;
	ntd_log_detail(ntd_machine_report(evidence->machine), NTD_DETAIL_PICTURE,
		       ntd_machine_name(evidence->machine), path, NULL);
	return 0;
}

static int run(struct evidence *evidence, const struct piece *piece, const char *text,
	       struct ntd_buf *contents, struct ntd_error **err)
{
	_cleanup_result_ struct ntd_result result = {0};
	int asked = ntd_machine_ask(evidence->machine, text, patience(evidence->machine, piece),
				    &result, &evidence->waiter, err);

	ntd_buf_append(contents, ntd_buf_bytes(&result.output), result.output.len);
	return asked;
}

static int command(struct evidence *evidence, const struct piece *piece, struct ntd_buf *contents,
		   struct ntd_error **err)
{
	return run(evidence, piece, piece->command, contents, err);
}

/* The guest is told how long ago `since` is, not its date: the guest's clock may differ from the
 * host's. */
static int journal(struct evidence *evidence, const struct piece *piece, struct ntd_buf *contents,
		   struct ntd_error **err)
{
	int64_t ago = ntd_now() - evidence->since + JOURNAL_MARGIN;
	_cleanup_free_ char *option =
		evidence->since ? ntd_asprintf("--since=-%lldms", (long long)(ago / NTD_MS))
				: ntd_strdup("");
	_cleanup_free_ char *text = ntd_asprintf("since=%s; %s", option, piece->command);

	return run(evidence, piece, text, contents, err);
}

static int shell_is_free(struct evidence *evidence, const struct piece *piece,
			 struct ntd_buf *contents, struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *error = NULL;
	struct ntd_channel *channel = ntd_machine_channel(evidence->machine, NTD_CHANNEL_ANY);
	_cleanup_free_ char *running = NULL, *why = NULL;

	if (channel && channel->ops->busy)
		running = channel->ops->busy(channel);
	if (command(evidence, piece, contents, &error) == 0)
		return 0;
	if (error->code == NTD_E_TIMEOUT && running)
		why = ntd_asprintf("the root shell is busy with `%.200s`", running);
	else if (error->code == NTD_E_TIMEOUT)
		return ntd_error_move(err, ntd_steal(&error));
	else
		why = ntd_strdup(error->message);
	lower(evidence, REACH_QEMU, why);
	return 0;
}

/* The most useful pieces come first. The commands run in any guest: busybox' ps has no options, and
 * a guest without systemd has the kernel's log only. What a command complains about is in its file,
 * not on the console. */
static const struct piece pieces[] = {
	{"console.log", REACH_DRIVER, 1, console, NULL},
	{"qmp-status.json", REACH_QEMU, 2, status, NULL},
	{"screen.png", REACH_QEMU, 2, screen, NULL},
	{NULL, REACH_SHELL, 2, shell_is_free, "true"},
	{"journal.txt", REACH_SHELL, 3, journal,
	 "if type -P journalctl > /dev/null; then journalctl --no-pager --lines=200 $since 2>&1; "
	 "else dmesg 2>&1 | tail -n 200; fi"},
	{"processes.txt", REACH_SHELL, 3, command, "ps auxww 2> /dev/null || ps 2>&1"},
	{"failed-units.txt", REACH_SHELL, 3, command,
	 "systemctl --failed --no-pager --full 2>&1 && "
	 "{ systemctl status --state=failed --no-pager --full --lines=20 2>&1 || test $? -eq 3; }"},
};
enum { PIECES = sizeof pieces / sizeof *pieces };

/* ---- going through them */

/* Adds the first line of `text` to notes.txt. The other lines of an error are the last of the
 * console, which console.log has. */
static void note(struct evidence *evidence, const struct piece *piece, const char *text)
{
	if (piece->file)
		ntd_buf_printf(&evidence->notes, "%s: %.*s\n", piece->file,
			       (int)strcspn(text, "\n"), text);
}

static void write_file(struct evidence *evidence, const char *name, const struct ntd_buf *contents)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/%s", evidence->directory, name);
	struct ntd_error *error = NULL;
	struct ntd_outfile file;

	if (ntd_outfile_open(&file, path, &error) == 0) {
		ntd_outfile_write(&file, ntd_buf_bytes(contents), contents->len);
		ntd_outfile_close(&file, &error);
	}
	if (error)
		ntd_log(ntd_machine_report(evidence->machine), NTD_LEVEL_WARNING,
			ntd_machine_name(evidence->machine), "%s", error->message);
	ntd_error_free(error);
}

/* Takes note that the part `needs` did not answer a piece in time. The second time in a row, no
 * other piece asks that part. */
static void miss(struct evidence *evidence, enum reach needs)
{
	if (evidence->missed == needs)
		lower(evidence, needs - 1, silent[needs]);
	evidence->missed = needs;
}

/* Collects one piece; returns whether to go on with the next. */
static bool collect(struct evidence *evidence, const struct piece *piece)
{
	_cleanup_buf_ struct ntd_buf contents = {0};
	_cleanup_error_ struct ntd_error *error = NULL;
	bool late = false;
	int64_t limit = ntd_after(ntd_span(patience(evidence->machine, piece)) + REPLY_GRACE);

	if (piece->needs == REACH_QEMU && !ntd_machine_qmp(evidence->machine))
		return true; /* there is no QEMU */
	if (ntd_now() >= evidence->deadline)
		lower(evidence, REACH_DRIVER, "no time was left for it");
	if (piece->needs > evidence->reach) {
		note(evidence, piece, evidence->barrier);
		return true;
	}
	evidence->waiter.deadline = ntd_earlier(limit, evidence->deadline);
	if (piece->collect(evidence, piece, &contents, &error) < 0) {
		if (error->code == NTD_E_CANCELLED)
			return false;
		late = error->code == NTD_E_TIMEOUT;
		note(evidence, piece, late ? silent[piece->needs] : error->message);
	}
	if (late)
		miss(evidence, piece->needs);
	else
		evidence->missed = REACH_DRIVER;
	if (contents.len && piece->file)
		write_file(evidence, piece->file, &contents);
	return true;
}

/* Sets `reach` by the machine's state. */
static void find_reach(struct evidence *evidence)
{
	_cleanup_free_ char *obstacle = ntd_ask_obstacle(evidence->machine);

	if (!obstacle)
		evidence->reach = REACH_SHELL;
	else if (ntd_machine_status(evidence->machine).state == NTD_MACHINE_UP)
		lower(evidence, REACH_QEMU, obstacle);
	else
		lower(evidence, REACH_DRIVER, obstacle);
}

bool ntd_machine_was_started(struct ntd_machine *machine)
{
	struct ntd_machine_status now = ntd_machine_status(machine);

	return now.state != NTD_MACHINE_DOWN || now.ended;
}

void ntd_machine_collect(struct ntd_machine *machine, const char *directory, int64_t since,
			 const struct ntd_waiter *limits)
{
	struct evidence evidence = {.machine = machine,
				    .directory = directory,
				    .waiter.cancel_fd = limits->cancel_fd,
				    .deadline = limits->deadline,
				    .barrier = ntd_strdup(""),
				    .since = since};
	_cleanup_error_ struct ntd_error *error = NULL;
	bool going_on = ntd_tree_make(directory, &error) == 0;

	if (error)
		ntd_log(ntd_machine_report(machine), NTD_LEVEL_WARNING, ntd_machine_name(machine),
			"%s", error->message);
	else
		find_reach(&evidence);
	for (size_t i = 0; going_on && i < PIECES; i++)
		going_on = collect(&evidence, &pieces[i]);
	if (evidence.notes.len)
		write_file(&evidence, NOTES, &evidence.notes);
	ntd_buf_free(&evidence.notes);
	free(evidence.barrier);
}

void ntd_evidence_remove(const char *directory)
{
	for (size_t i = 0; i <= PIECES; i++) {
		const char *name = i < PIECES ? pieces[i].file : NOTES;
		_cleanup_free_ char *path = ntd_asprintf("%s/%s", directory, name ? name : "");

		if (name)
			unlink(path);
	}
	rmdir(directory);
}
