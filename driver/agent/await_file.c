/* Waits until something exists at a path of the guest.
 *
 * The nearest directory above the path that exists is watched. When something happens to the entry
 * that leads to the path, and ten times a second in any case, the path is looked at: some file
 * systems tell of nothing (9p, NFS), symbolic links lead elsewhere, and directories are renamed.
 *
 * Who waits for a file reads it next, so a regular file that appears during the wait must not be
 * half written. It counts
 *
 *   - at once when it was renamed to its name, as programs do with files that are complete;
 *   - when it was closed after writing, and for CLOSED_FOR nobody has opened it again: many
 *     scripts make a file first and fill it with the next command;
 *   - when it is not empty and has not changed for SAME_FOR, whoever has it open.
 *
 * A file that does neither soon is NTD_UNSETTLED, and the driver decides. It has as long when it
 * appears right before the limit, since the driver's next wait would know less of it. Everything
 * that is not a regular file counts at once, as does what is there at the first look of a wait.
 */
#include "agent/await_internal.h"
#include "agent/watch.h"

#include <string.h>
#include <sys/stat.h>

/* In ms. */
enum { LOOK_EVERY = 100, CLOSED_FOR = 30, SAME_FOR = 100, UNSETTLED_AFTER = 200 };

struct await_file {
	struct ntd_await await;
	struct ntd_agent_watch watch;
	char *directory;    /* the one that is watched, a string of its own */
	const char *entry;  /* the rest of the path below it */
	struct stat parent; /* what the directory was when the watch was set */
	bool looked;        /* the first look is over */
	bool there;
	bool limited; /* the file has its time to settle, which begins only once */
	/* What events have told of the file since it appeared. */
	bool renamed, closed;
	unsigned open; /* how often it is open, as far as was heard */
	int64_t heard; /* when the last of them came */
	/* What the looks have seen. */
	struct stat seen;
	int64_t same_since;
};

/* ---- the watch */

/* Whether the event is about the entry that leads to the path. */
static bool is_about(const struct await_file *file, const char *name)
{
	size_t len = strcspn(file->entry, "/");

	return name && strlen(name) == len && !memcmp(name, file->entry, len);
}

static bool is_last(const struct await_file *file)
{
	return !strchr(file->entry, '/');
}

static void note(struct await_file *file, uint32_t events)
{
	if (events & (IN_CREATE | IN_MOVED_TO)) {
		file->renamed = events & IN_MOVED_TO;
		file->closed = false;
		file->open = 0;
	}
	if (events & IN_OPEN)
		file->open++;
	if (events & (IN_CLOSE_WRITE | IN_CLOSE_NOWRITE))
		file->open -= file->open > 0;
	if (events & IN_CLOSE_WRITE)
		file->closed = true;
	file->heard = ntd_agent_now();
}

static void event(struct ntd_agent_watch *watch, uint32_t events, const char *name)
{
	struct await_file *file = ntd_container_of(watch, struct await_file, watch);

	if (events & (IN_IGNORED | IN_Q_OVERFLOW))
		note(file, IN_CREATE); /* nothing is known of the file */
	else if (!is_about(file, name))
		return;
	else if (is_last(file))
		note(file, events);
	ntd_await_again(&file->await, 0); /* after the other events that are there */
}

/* Cuts the last component off a path that begins with a slash. */
static void go_up(char *path)
{
	char *slash = strrchr(path, '/');

	slash[slash == path] = '\0';
}

static char *without_slashes_at_end(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return ntd_strndup(path, len);
}

static void forget_watch(struct await_file *file)
{
	ntd_agent_watch_clear(&file->watch);
	free(ntd_steal(&file->directory));
}

/* Watches the nearest directory that exists. */
static void watch_nearest(struct await_file *file)
{
	const char *path = file->await.condition.subject;

	forget_watch(file);
	note(file, IN_CREATE);
	file->directory = without_slashes_at_end(path);
	do {
		go_up(file->directory);
		if (stat(file->directory, &file->parent) == 0 &&
		    ntd_agent_watch_set(file->await.stream.agent, &file->watch, file->directory) ==
			    0)
			break;
	} while (file->directory[1]);
	file->entry = path + strlen(file->directory);
	file->entry += strspn(file->entry, "/");
}

/* Whether the watch is on a directory that still has its name, and on the nearest one. */
static bool is_well_watched(const struct await_file *file)
{
	struct stat now;
	_cleanup_free_ char *next = NULL;

	if (!file->watch.number || stat(file->directory, &now) < 0 ||
	    now.st_dev != file->parent.st_dev || now.st_ino != file->parent.st_ino)
		return false;
	if (is_last(file))
		return true;
	next = ntd_strndup(file->await.condition.subject,
			   (size_t)(strchr(file->entry, '/') - file->await.condition.subject));
	return stat(next, &now) < 0;
}

/* ---- looks */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* For how many ms a regular file must go on as it is to count; 0: it counts. */
static int64_t is_missing(struct await_file *file, const struct stat *now)
{
	int64_t time = ntd_agent_now();
	int64_t closed = file->closed && !file->open ? file->heard + CLOSED_FOR - time : SAME_FOR;
	int64_t same;

	if (!file->there || !is_same(now, &file->seen)) {
		file->seen = *now;
		file->same_since = time;
	}
	same = now->st_size ? file->same_since + SAME_FOR - time : SAME_FOR;
	if (file->renamed || closed <= 0 || same <= 0)
		return 0;
	return closed < same ? closed : same;
}

/* Looks at a regular file that has appeared. */
static void look_at_file(struct await_file *file, const struct stat *now)
{
	int64_t missing = is_missing(file, now);

	if (!missing) {
		ntd_await_answer(&file->await, NTD_MEETS, NULL);
		return;
	}
	if (!file->limited)
		ntd_await_limit(&file->await, UNSETTLED_AFTER);
	file->there = file->limited = true;
	ntd_await_again(&file->await, missing);
}

static void look(struct ntd_await *await)
{
	struct await_file *file = (struct await_file *)await;
	bool first = !file->looked && await->condition.first;
	struct stat now;

	file->looked = true;
	/* The watch is there before the look, so nothing happens unseen after it. */
	if (!is_well_watched(file))
		watch_nearest(file);
	if (stat(await->condition.subject, &now) < 0) {
		file->there = false;
		ntd_await_again(await, LOOK_EVERY);
	} else if (first || !S_ISREG(now.st_mode)) {
		ntd_await_answer(await, NTD_MEETS, NULL);
	} else {
		look_at_file(file, &now);
	}
}

static void begin(struct ntd_await *await)
{
	struct await_file *file = (struct await_file *)await;

	if (!await->condition.subject || await->condition.subject[0] != '/') {
		ntd_await_answer(await, NTD_UNSEEN, NULL);
		return;
	}
	file->watch.event = event;
	look(await);
}

/* Both times may have come at once. */
static void over(struct ntd_await *await)
{
	struct await_file *file = (struct await_file *)await;
	struct stat now;

	if (stat(await->condition.subject, &now) < 0)
		ntd_await_answer(await, NTD_FAILS, NULL);
	else if (S_ISREG(now.st_mode) && !file->limited)
		look_at_file(file, &now);
	else if (S_ISREG(now.st_mode) && is_missing(file, &now))
		ntd_await_answer(await, NTD_UNSETTLED, NULL);
	else
		ntd_await_answer(await, NTD_MEETS, NULL);
}

static void free_file(struct ntd_await *await)
{
	forget_watch((struct await_file *)await);
}

const struct ntd_await_kind ntd_await_file = {
	.size = sizeof(struct await_file),
	.begin = begin,
	.again = look,
	.over = over,
	.free = free_file,
};
