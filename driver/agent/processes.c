/* Processes by /proc. Nothing here can wait for a file system that does not answer: the links of
 * descriptors are read, and not followed.
 */
#include "agent/processes.h"

#include "agent/number.h"
#include "base/vec.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

enum { ROUNDS = 10, PATH_SIZE = 64, LINE_SIZE = 512 };

/* Reads the beginning of a file below /proc as a string; false: the process is gone. */
static bool read_file(pid_t pid, const char *name, char line[static LINE_SIZE])
{
	_cleanup_fd_ int fd = -1;
	char path[PATH_SIZE];
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, line, LINE_SIZE - 1);
	line[len > 0 ? len : 0] = '\0';
	return len > 0;
}

/* Reads a process's stat, and finds its state there, a letter: the first word after the name, which
 * may have any characters in it. The parent is the next word. NULL: the process is gone. */
static const char *find_state(pid_t pid, char line[static LINE_SIZE])
{
	const char *name_end = read_file(pid, "stat", line) ? strrchr(line, ')') : NULL;

	return name_end && name_end[1] == ' ' ? name_end + 2 : NULL;
}

bool ntd_agent_process_waits(pid_t pid)
{
	char line[LINE_SIZE];
	const char *state = find_state(pid, line);

	return state && *state == 'S';
}

/* The next entry of a directory whose name is a number; -1: there is no more. */
static int next_number(DIR *dir)
{
	struct dirent *entry;

	while ((entry = readdir(dir)))
		if (isdigit((unsigned char)*entry->d_name))
			return ntd_agent_number(entry->d_name, NULL);
	return -1;
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define _cleanup_dir_ _cleanup_(close_dir)

/* ---- descendants */

struct pids ntd_vec_members(pid_t);

static bool has(const struct pids *pids, pid_t pid)
{
	for (size_t i = 0; i < pids->count; i++)
		if (pids->items[i] == pid)
			return true;
	return false;
}

static pid_t parent_of(pid_t pid)
{
	char line[LINE_SIZE];
	const char *state = find_state(pid, line);
	const char *parent = state ? strchr(state + 1, ' ') : NULL;

	return parent ? ntd_agent_number(parent + 1, NULL) : -1;
}

/* Adds the children of those that are there. Returns whether there were more. */
static bool add_children(struct pids *pids)
{
	_cleanup_dir_ DIR *dir = opendir("/proc");
	size_t before = pids->count;
	pid_t pid;

	while (dir && (pid = next_number(dir)) >= 0)
		if (!has(pids, pid) && has(pids, parent_of(pid)))
			ntd_vec_push(pids, pid);
	return pids->count > before;
}

void ntd_agent_kill_tree(pid_t pid)
{
	struct pids pids = {0};
	int rounds = ROUNDS; /* processes that are started all the time have no end */

	ntd_vec_push(&pids, pid);
	while (rounds-- && add_children(&pids))
		;
	for (size_t i = 0; i < pids.count; i++) {
		kill(-pids.items[i], SIGKILL);
		kill(pids.items[i], SIGKILL);
	}
	ntd_vec_free(&pids);
}

/* ---- holders */

static bool holds(pid_t pid, const char *pipe)
{
	_cleanup_dir_ DIR *dir = NULL;
	char path[PATH_SIZE], target[PATH_SIZE];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (fd = next_number(dir)) >= 0) {
		ssize_t len;

		snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
		len = readlink(path, target, sizeof target - 1);
		target[len > 0 ? len : 0] = '\0';
		if (!strcmp(target, pipe))
			return true;
	}
	return false;
}

static void append_holder(struct ntd_buf *out, pid_t pid, size_t most)
{
	char name[LINE_SIZE];
	_cleanup_free_ char *text = NULL;

	if (!read_file(pid, "comm", name))
		return;
	name[strcspn(name, "\n")] = '\0';
	text = ntd_asprintf("%s%d (%s)", out->len ? " " : "", pid, name);
	if (out->len + strlen(text) <= most)
		ntd_buf_puts(out, text);
}

void ntd_agent_list_holders(struct ntd_buf *out, int fd, size_t most)
{
	_cleanup_dir_ DIR *dir = opendir("/proc");
	char pipe[PATH_SIZE];
	struct stat file;
	pid_t pid;

	if (fstat(fd, &file))
		return;
	snprintf(pipe, sizeof pipe, "pipe:[%llu]", (unsigned long long)file.st_ino);
	while (dir && (pid = next_number(dir)) >= 0)
		if (pid != getpid() && holds(pid, pipe))
			append_holder(out, pid, most);
}
