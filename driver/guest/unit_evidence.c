/* The status and the journal of a unit that a wait has found failed or inactive, on the thread that
 * waits; see unit_evidence.h.
 *
 * When a file was written is its time of modification: it says whether a retry would only write the
 * same again, and needs no memory of earlier waits.
 */
#include "guest/unit_evidence.h"

#include "base/fd.h"
#include "base/text.h"
#include "base/tree.h"
#include "guest/ask.h"
#include "report/outfile.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
	SECONDS = 3,       /* for the answer, on a fast machine */
	FRESH_SECONDS = 5, /* for this long a file is not written again */
	NAME_BYTES = 200,  /* most of a unit's name in a file's name */
};

#define LINES "1000"
#define BYTES "1000000"
#define SUFFIX ".txt"

/* A name as a single part of a path. */
static char *file_part(const char *name)
{
	char *part = ntd_strndup(name, strnlen(name, NAME_BYTES));

	for (char *c = part; *c; c++)
		if (*c == '/' || (unsigned char)*c < ' ')
			*c = '_';
	if (*part == '.')
		*part = '_';
	return part;
}

static char *directory_of(const struct ntd_machine *machine)
{
	_cleanup_free_ char *name = file_part(ntd_machine_name(machine));

	return ntd_asprintf("%s/" NTD_UNIT_EVIDENCE "/%s", ntd_machine_context(machine)->out_dir,
			    name);
}

static bool is_fresh(const char *path)
{
	time_t now = time(NULL);
	struct stat status;

	return stat(path, &status) == 0 && status.st_mtime <= now &&
	       now - status.st_mtime < FRESH_SECONDS;
}

/* ---- the question */

/* For a unit of the system. What the programs complain about is part of the answer. */
static char *question(const char *unit)
{
	_cleanup_free_ char *quoted = ntd_shell_quoted(unit);

	return ntd_asprintf("{ systemctl status --no-pager --full --lines=0 -- %s || :; echo; "
			    "journalctl --no-pager --lines=" LINES " --unit=%s || :; } 2>&1 | "
			    "tail -c " BYTES,
			    quoted, quoted);
}

/* For a unit of a user's manager, which the user asks; root alone may read the whole journal. The
 * journal has names with their types. */
static char *question_about_user(const char *unit, const char *user)
{
	_cleanup_free_ char *whole =
		ntd_asprintf("%s%s", unit, strchr(unit, '.') ? "" : ".service");
	_cleanup_free_ char *quoted = ntd_shell_quoted(whole), *name = ntd_shell_quoted(user);
	_cleanup_free_ char *text = ntd_asprintf("XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl "
						 "--user status --no-pager --full --lines=0 -- %s",
						 quoted);
	_cleanup_free_ char *asked = ntd_shell_quoted(text);

	return ntd_asprintf("{ su -l %s --shell /bin/sh -c %s || :; echo; u=_UID=$(id -u %s); "
			    "journalctl --no-pager --lines=" LINES
			    " $u USER_UNIT=%s + $u _SYSTEMD_USER_UNIT=%s || :; } 2>&1 | "
			    "tail -c " BYTES,
			    name, asked, name, quoted, quoted);
}

/* ---- the file */

static int write_file(const char *directory, const char *path, const struct ntd_buf *contents,
		      struct ntd_error **err)
{
	struct ntd_outfile file;

	if (ntd_tree_make(directory, err) < 0 || ntd_outfile_open(&file, path, err) < 0)
		return -1;
	ntd_outfile_write(&file, ntd_buf_bytes(contents), contents->len);
	return ntd_outfile_close(&file, err);
}

static int collect(struct ntd_machine *machine, const char *unit, const char *user,
		   const char *directory, const char *path, const struct ntd_waiter *waiter,
		   struct ntd_error **err)
{
	_cleanup_free_ char *text = user ? question_about_user(unit, user) : question(unit);
	_cleanup_result_ struct ntd_result result = {0};

	if (ntd_machine_ask(machine, text, ntd_ask_patience(machine, SECONDS), &result, waiter,
			    err) < 0)
		return -1;
	return write_file(directory, path, &result.output, err);
}

char *ntd_unit_evidence_collect(struct ntd_machine *machine, const char *unit, const char *user,
				const struct ntd_waiter *waiter)
{
	_cleanup_free_ char *directory = directory_of(machine), *part = file_part(unit);
	_cleanup_free_ char *whose = user ? file_part(user) : NULL;
	_cleanup_free_ char *path = ntd_asprintf("%s/%s%s%s" SUFFIX, directory, part,
						 whose ? "@user-" : "", whose ? whose : "");
	_cleanup_error_ struct ntd_error *error = NULL;

	if (ntd_machine_state(machine) != NTD_MACHINE_CONNECTED)
		return NULL;
	if (is_fresh(path) || collect(machine, unit, user, directory, path, waiter, &error) == 0)
		return ntd_steal(&path);
	if (error->code != NTD_E_CANCELLED)
		ntd_log(ntd_machine_report(machine), NTD_LEVEL_WARNING, ntd_machine_name(machine),
			"the journal of unit %s cannot be had: %.*s", unit,
			(int)strcspn(error->message, "\n"), error->message);
	return NULL;
}

void ntd_unit_evidence_name(struct ntd_machine *machine, const char *unit, const char *user,
			    const struct ntd_waiter *waiter, struct ntd_error *error)
{
	_cleanup_free_ char *path = ntd_unit_evidence_collect(machine, unit, user, waiter);

	if (path)
		ntd_error_note(error, "The unit's status and journal are in %s.", path);
}

void ntd_unit_evidence_remove(const char *directory)
{
	DIR *entries = opendir(directory);
	const struct dirent *entry;

	while (entries && (entry = ntd_fd_next_entry(entries)))
		if (ntd_has_suffix(entry->d_name, SUFFIX))
			unlinkat(dirfd(entries), entry->d_name, 0);
	if (!entries)
		return;
	closedir(entries);
	rmdir(directory);
}
