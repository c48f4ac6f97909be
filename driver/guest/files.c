/* Copies of files between host and guest, on a script thread. The guest can write to the shared
 * directory, too: it may put anything into it at any time, also where a copy is being made.
 * base/tree.h says how that is harmless.
 */
#include "guest/files.h"

#include "base/text.h"
#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define SHARED_IN_GUEST "/tmp/shared"

/* ---- the shared directory */

/* The directory of one copy in the shared directory. `shared` and `directory` are descriptors of
 * the two; `guest` is the path of `directory` in the guest. */
struct place {
	int shared, directory;
	char *name, *guest;
};

#define NO_PLACE ((struct place){.shared = -1, .directory = -1})

static void place_free(struct place *place)
{
	if (place->name)
		ntd_tree_remove_at(place->shared, place->name, NULL);
	ntd_cleanup_fd(&place->shared);
	ntd_cleanup_fd(&place->directory);
	free(place->name);
	free(place->guest);
}

#define _cleanup_place_ _cleanup_(place_free)

static int make_place(const struct ntd_machine *machine, struct place *place,
		      struct ntd_error **err)
{
	enum { DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
	_cleanup_free_ char *path = ntd_asprintf("%s/copy-XXXXXX", ntd_machine_shared_dir(machine));

	place->shared = open(ntd_machine_shared_dir(machine), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (place->shared < 0 || !mkdtemp(path)) {
		ntd_error_sys(err, errno, "cannot make %s", path);
		return -1;
	}
	place->name = ntd_strdup(ntd_file_name(path));
	place->guest = ntd_asprintf(SHARED_IN_GUEST "/%s", place->name);
	place->directory = openat(place->shared, place->name, DIRECTORY);
	if (place->directory < 0) {
		ntd_error_sys(err, errno, "cannot read %s", path);
		return -1;
	}
	return 0;
}

/* Whether the directory is there, and nothing of that name in it. */
static bool got_nothing(const struct place *place, const char *name)
{
	struct stat now, then;

	return fstatat(place->shared, place->name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(place->directory, &then) == 0 && now.st_ino == then.st_ino &&
	       now.st_dev == then.st_dev &&
	       faccessat(place->directory, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

static bool has_directory(const struct place *place, const char *name)
{
	struct stat info;

	return fstatat(place->directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(info.st_mode);
}

/* A new string: the path without slashes, and components that are only a dot, at its end. */
static char *trimmed(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && (path[len - 1] == '/' || (path[len - 1] == '.' && path[len - 2] == '/')))
		len--;
	return ntd_strndup(path, len);
}

/* The path must end in a name, which the copy has in another directory. */
static int check_name(const char *path, struct ntd_error **err)
{
	const char *name = ntd_file_name(path);

	if (*name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		return 0;
	return ntd_error_set(err, NTD_E_VALUE, "%s cannot be copied: it has no name of its own",
			     path);
}

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return ntd_strdup(".");
	return slash == path ? ntd_strdup("/") : ntd_strndup(path, (size_t)(slash - path));
}

/* ---- the commands of a copy
 *
 * A copy is made by commands that scripts know, by the log or because they run them by functions of
 * their own. Otherwise the last one does the work of all, or a channel does.
 */

typedef int work_function(void *arg, struct ntd_waiter *waiter, struct ntd_error **err);

/* Appends `WORDS FIRST SECOND`, with each path quoted; `second` may be NULL. */
static void write_command(struct ntd_buf *out, const char *words, const char *first,
			  const char *second)
{
	ntd_buf_puts(out, words);
	ntd_buf_puts(out, " ");
	ntd_shell_quote(out, first, strlen(first));
	if (second) {
		ntd_buf_puts(out, " ");
		ntd_shell_quote(out, second, strlen(second));
	}
}

/* One command, which must succeed: the script's function runs it, or `work` does its work. */
static int command(const struct ntd_copy *copy, const char *words, const char *first,
		   const char *second, work_function *work, void *arg, struct ntd_waiter *waiter,
		   struct ntd_error **err)
{
	_cleanup_buf_ struct ntd_buf text = {0};

	write_command(&text, words, first, second);
	if (copy->succeed)
		return copy->succeed(copy->arg, ntd_buf_view(&text), waiter, err);
	return ntd_machine_instead(copy->machine, ntd_buf_view(&text), work, arg, waiter, err);
}

static int make_directory(const struct ntd_copy *copy, const char *path, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	return command(copy, "mkdir -p", path, NULL, NULL, NULL, waiter, err);
}

/* The work of a channel. */
struct by_channel {
	struct ntd_machine *machine;
	struct ntd_channel *channel;
	int (*operation)(struct ntd_channel *channel, const char *source, const char *target,
			 struct ntd_waiter *waiter, struct ntd_error **err);
	const char *from, *to;
};

static int run_channel(void *arg, struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct by_channel *by = arg;
	struct ntd_report *report = ntd_machine_report(by->machine);
	_cleanup_user_ struct ntd_machine *used = NULL;
	_cleanup_free_ char *what = ntd_asprintf("copying %s to %s", by->from, by->to);
	int result;

	used = ntd_machine_enter(by->machine, waiter, err);
	if (!used)
		return -1;
	/* The state of the guest may have been saved or replaced since the channel was picked. */
	if (!by->channel->ready && ntd_machine_prepare_channels(by->machine, waiter, err) < 0)
		return -1;
	ntd_log_busy(report, ntd_machine_name(by->machine), what, strlen(what), 0);
	result = by->operation(by->channel, by->from, by->to, waiter, err);
	ntd_log_idle(report);
	return result;
}

/* `mkdir -p DIRECTORY`, where there is none, since a process takes an emulated guest 10 ms; and a
 * command that copies. */
struct both {
	struct ntd_machine *machine;
	const char *directory, *words, *from, *to;
	/* Copies a file without these commands, if it can; without a channel: there is none that
	 * can. */
	struct by_channel copier;
	/* Where `to` is, in the shared directory, of a copy from the guest; else NULL. */
	const struct place *place;
};

static int run_both(void *arg, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct both *both = arg;
	_cleanup_buf_ struct ntd_buf text = {0};
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_command run = {.timeout = NTD_NO_TIMEOUT};
	int left = both->copier.channel ? run_channel(&both->copier, waiter, err) : 1;

	if (left <= 0)
		return left;
	write_command(&text, "[ -d", both->directory, NULL);
	ntd_buf_puts(&text, " ]");
	write_command(&text, " || mkdir -p", both->directory, NULL);
	ntd_buf_puts(&text, " && ");
	write_command(&text, both->words, both->from, both->to);
	run.text = ntd_buf_bytes(&text);
	run.text_len = text.len;
	if (ntd_machine_run(both->machine, &run, &result, waiter, err) < 0)
		return -1;
	if (result.status) {
		_cleanup_free_ char *output =
			ntd_shown(ntd_buf_bytes(&result.output), result.output.len);

		return ntd_error_set(err, NTD_E_ASSERTION, "output: %s", output);
	}
	if (both->place && has_directory(both->place, ntd_file_name(both->to)))
		return ntd_machine_copy_links(both->machine, both->from, both->to, waiter, err);
	return 0;
}

#define NO_PLACE_IN_GUEST SHARED_IN_GUEST "/copy-by-agent"

/* A channel in place of the shared directory: the commands are those of a copy by the directory. */
static int put_by_channel(const struct ntd_copy *copy, struct ntd_channel *channel,
			  const char *from, const char *to, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	struct by_channel by = {copy->machine, channel, channel->ops->put, from, to};
	_cleanup_free_ char *parent = parent_of(to);
	_cleanup_free_ char *in_guest = ntd_asprintf(NO_PLACE_IN_GUEST "/%s", ntd_file_name(from));

	if (!channel->prefers_shared)
		return run_channel(&by, waiter, err);
	if (make_directory(copy, NO_PLACE_IN_GUEST, waiter, err) < 0 ||
	    make_directory(copy, parent, waiter, err) < 0)
		return -1;
	return command(copy, "cp -r", in_guest, to, run_channel, &by, waiter, err);
}

static int get_by_channel(const struct ntd_copy *copy, struct ntd_channel *channel,
			  const char *from, const char *to, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	struct by_channel by = {copy->machine, channel, channel->ops->get, from, to};
	_cleanup_free_ char *in_guest = ntd_asprintf(NO_PLACE_IN_GUEST "/%s", ntd_file_name(from));

	if (!channel->prefers_shared)
		return run_channel(&by, waiter, err);
	if (make_directory(copy, NO_PLACE_IN_GUEST, waiter, err) < 0)
		return -1;
	return command(copy, "cp -r", from, in_guest, run_channel, &by, waiter, err);
}

static int not_shared(const struct ntd_copy *copy, struct ntd_error **err)
{
	return ntd_machine_error(err, copy->machine, NTD_E_MACHINE,
				 "files are copied by the directory " SHARED_IN_GUEST
				 ", which the guest does not share with the host; after use_ssh() "
				 "they are copied by SSH, and copy_from_host_via_shell() copies a "
				 "file by a command");
}

/* Whether a copy from the shared directory in the guest has failed because the guest does not have
 * it. Most often the target is to blame. */
static bool is_not_shared(const struct ntd_copy *copy, const char *in_guest,
			  const struct ntd_error *error, struct ntd_waiter *waiter)
{
	_cleanup_free_ char *quoted = ntd_shell_quoted(in_guest);
	_cleanup_free_ char *text = ntd_asprintf("test -e %s", quoted);
	struct ntd_bytes command = {.data = text, .len = strlen(text)};

	return error->code == NTD_E_ASSERTION &&
	       ntd_machine_status_of(copy->machine, command, NULL, waiter, NULL) == 1;
}

/* ---- copies */

/* The channel that can copy files, after the machine has been connected. NULL without an error: the
 * shared directory is used. */
static struct ntd_channel *file_channel(const struct ntd_copy *copy, struct ntd_waiter *waiter,
					struct ntd_error **err)
{
	struct ntd_channel *channel;

	if ((copy->succeed && !ntd_machine_has_channel(copy->machine, NTD_CHANNEL_FILES)) ||
	    ntd_machine_before_command(copy->machine, waiter, err) < 0 ||
	    ntd_machine_connect(copy->machine, waiter, err) < 0 ||
	    ntd_machine_prepare_channels(copy->machine, waiter, err) < 0)
		return NULL;
	channel = ntd_machine_channel(copy->machine, NTD_CHANNEL_FILES);
	return channel && copy->succeed && channel->prefers_shared ? NULL : channel;
}

/* Whether a file or a tree has so many bytes that the shared directory is quicker, where each file
 * costs more than by a channel. Of a large tree, the first files decide. */
static bool is_large(const char *path)
{
	enum { BYTES = 4 << 20, BYTES_OF_FILE = 128 << 10, FILES = 1000, BLOCK = 512 };
	char *const paths[] = {(char *)path, NULL};
	FTS *walk = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	off_t bytes = 0, files = 0;
	FTSENT *entry;

	while (walk && files < FILES && (entry = fts_read(walk)))
		if (entry->fts_info == FTS_F) {
			bytes +=
				(off_t)entry->fts_statp->st_blocks * BLOCK; /* holes cost nothing */
			files++;
		}
	if (walk)
		fts_close(walk);
	return bytes >= BYTES && bytes >= files * BYTES_OF_FILE;
}

/* Whether the channel copies the file within the guest as commands of root do. */
static bool copies_in_guest(const struct ntd_channel *channel, const char *path)
{
	struct stat info;

	return channel && channel->ops->copy_in_guest && !channel->user && stat(path, &info) == 0 &&
	       S_ISREG(info.st_mode);
}

/* `channel`: one that could copy, too; NULL: none. `*unshared`: the copy has failed because the
 * guest does not have the shared directory. */
static int put_by_shared_directory(const struct ntd_copy *copy, struct ntd_channel *channel,
				   const char *from, const char *to, bool *unshared,
				   struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_place_ struct place place = NO_PLACE;
	_cleanup_free_ char *parent = parent_of(to), *in_guest = NULL;
	struct both both = {copy->machine, parent, "cp -r", NULL, to, {0}, NULL};
	struct ntd_error *error = NULL;

	if (make_place(copy->machine, &place, err) < 0)
		return -1;
	both.from = in_guest = ntd_asprintf("%s/%s", place.guest, ntd_file_name(from));
	if (copies_in_guest(channel, from))
		both.copier = (struct by_channel){copy->machine, channel,
						  channel->ops->copy_in_guest, in_guest, to};
	if (make_directory(copy, place.guest, waiter, err) < 0 ||
	    ntd_tree_copy_to_guest(from, place.directory, ntd_file_name(from), err) < 0 ||
	    make_directory(copy, parent, waiter, err) < 0)
		return -1;
	if (command(copy, "cp -r", in_guest, to, run_both, &both, waiter, &error) == 0)
		return 0;
	*unshared = is_not_shared(copy, in_guest, error, waiter);
	if (!*unshared)
		return ntd_error_move(err, error);
	ntd_error_free(error);
	return not_shared(copy, err);
}

int ntd_machine_copy_from_host(const struct ntd_copy *copy, const char *source, const char *target,
			       struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct ntd_machine *machine = copy->machine;
	_cleanup_free_ char *from = trimmed(source), *to = trimmed(target);
	struct ntd_error *error = NULL;
	struct ntd_channel *channel;
	bool unshared = false;
	struct stat info;

	if (stat(from, &info) < 0)
		return ntd_error_sys(err, errno, "cannot copy %s to machine '%s'", source,
				     ntd_machine_name(machine));
	if (check_name(from, err) < 0)
		return -1;
	channel = file_channel(copy, waiter, &error);
	if (error)
		return ntd_error_move(err, error);
	if (channel && !(channel->prefers_shared && is_large(from)))
		return put_by_channel(copy, channel, from, to, waiter, err);
	if (put_by_shared_directory(copy, channel, from, to, &unshared, waiter, &error) == 0)
		return 0;
	if (!channel || !unshared)
		return ntd_error_move(err, error);
	ntd_error_free(error);
	return run_channel(
		&(struct by_channel){copy->machine, channel, channel->ops->put, from, to}, waiter,
		err);
}

/* Where a function of the script runs the command, which may be in another guest, all links are
 * followed there (-L). */
int ntd_machine_copy_from_guest(const struct ntd_copy *copy, const char *source,
				const char *target_dir, struct ntd_waiter *waiter,
				struct ntd_error **err)
{
	const struct ntd_machine *machine = copy->machine;
	_cleanup_place_ struct place place = NO_PLACE;
	_cleanup_free_ char *from = trimmed(source), *directory = NULL, *target = NULL;
	_cleanup_free_ char *in_guest = NULL;
	struct ntd_error *error = NULL;
	struct ntd_channel *channel;
	struct both both;

	if (check_name(from, err) < 0)
		return -1;
	directory =
		target_dir[0] == '/'
			? ntd_strdup(target_dir)
			: ntd_asprintf("%s/%s", ntd_machine_context(machine)->out_dir, target_dir);
	target = ntd_asprintf("%s/%s", directory, ntd_file_name(from));
	channel = file_channel(copy, waiter, &error);
	if (error)
		return ntd_error_move(err, error);
	if (channel)
		return ntd_tree_make(directory, err) < 0
			       ? -1
			       : get_by_channel(copy, channel, from, target, waiter, err);
	if (make_place(copy->machine, &place, err) < 0)
		return -1;
	in_guest = ntd_asprintf("%s/%s", place.guest, ntd_file_name(from));
	both = (struct both){copy->machine, place.guest, "cp -rH", from, in_guest, {0}, &place};
	if (make_directory(copy, place.guest, waiter, err) < 0 ||
	    command(copy, copy->succeed ? "cp -rL" : "cp -r", from, in_guest, run_both, &both,
		    waiter, err) < 0)
		return -1;
	if (got_nothing(&place, ntd_file_name(from)))
		return not_shared(copy, err);
	if (ntd_tree_make(directory, err) < 0)
		return -1;
	return ntd_tree_copy_from_guest(place.directory, ntd_file_name(from), target, err);
}
