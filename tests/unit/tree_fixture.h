/* A directory of its own for each test of trees of files, and functions that make, check and copy
 * files below the directory.
 */
#pragma once

#include "unit.h"

#include "base/tree.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

static char *base; /* the directory of the current test */

static inline int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	base = ntd_asprintf("%s/ntd-tree-XXXXXX", tmp ? tmp : "/tmp");
	umask(022);
	return mkdtemp(base) ? 0 : -1;
}

/* Removes the directory by the host's rm, not by the code under test. */
static inline int tear_down(void **state)
{
	_cleanup_free_ char *command = ntd_asprintf(
		"chattr -R -f -i -a %s; chmod -R u+rwX %s; rm -rf %s", base, base, base);
	int failed = system(command);

	free(base);
	return failed ? -1 : 0;
}

/* Returns a path below the base; the results of two calls are valid at a time. */
static inline const char *at(const char *name)
{
	static char paths[4][256];
	static int turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", base, name);
	return path;
}

static inline void write_file(const char *name, const char *text, mode_t mode)
{
	_cleanup_fd_ int fd = open(at(name), O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static inline void assert_file(const char *name, const char *text, mode_t mode)
{
	_cleanup_fd_ int fd = open(at(name), O_RDONLY | O_NOFOLLOW);
	char bytes[64] = "";
	struct stat info;

	assert_true(fd >= 0);
	assert_true(read(fd, bytes, sizeof bytes - 1) >= 0);
	assert_string_equal(bytes, text);
	assert_int_equal(fstat(fd, &info), 0);
	assert_int_equal(info.st_mode & 07777, mode);
}

static inline void make_dir(const char *name, mode_t mode)
{
	assert_int_equal(mkdir(at(name), 0700), 0);
	assert_int_equal(chmod(at(name), mode), 0);
}

/* Makes a tree `from` of usual and odd names and modes. */
static inline void make_tree(void)
{
	make_dir("from", 0755);
	make_dir("from/sub", 0750);
	make_dir("from/empty", 0701);
	write_file("from/file", "1", 0644);
	write_file("from/.hidden", "2", 0600);
	write_file("from/sub/run", "3", 0755);
	write_file("from/sub/\xff name\n\"'*", "4", 0400);
}

static inline bool exists(const char *name)
{
	struct stat info;

	return lstat(at(name), &info) == 0;
}

static inline int open_base(void)
{
	int fd = open(base, O_RDONLY | O_DIRECTORY);

	assert_true(fd >= 0);
	return fd;
}

static inline int from_guest(const char *source, const char *target, struct ntd_error **err)
{
	_cleanup_fd_ int directory = open_base();

	return ntd_tree_copy_from_guest(directory, source, at(target), err);
}

static inline int to_guest(const char *source, const char *target, struct ntd_error **err)
{
	_cleanup_fd_ int directory = open_base();

	return ntd_tree_copy_to_guest(at(source), directory, target, err);
}

/* Copies `from` to `to`, in either direction; the result is `to`. */
static inline void copy(int (*function)(const char *, const char *, struct ntd_error **))
{
	struct ntd_error *err = NULL;

	function("from", "to", &err);
	assert_no_error(err);
}

static inline void copy_both_ways(void)
{
	copy(to_guest);
	assert_int_equal(ntd_tree_remove(at("from"), NULL), 0);
	assert_int_equal(rename(at("to"), at("from")), 0);
	copy(from_guest);
}
