/* Errands on files for the time after the driver. The keeper, a process with one thread, notes them
 * while the driver lives and runs them when it is gone. The kinds of errands differ in the fields
 * that they use; a field that is not used is -1 or NULL.
 */
#include "loop/aftermath.h"

#include "base/fd.h"
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

struct ntd_errand {
	enum { REMOVE, REMOVE_TREE, DELIVER, CUT, COMPLETE } kind;
	int file, directory;
	char *path; /* of COMPLETE: the text */
};

static void add(struct ntd_aftermath *aftermath, struct ntd_errand errand)
{
	aftermath->errands = ntd_realloc(aftermath->errands,
					 (aftermath->count + 1) * sizeof *aftermath->errands);
	aftermath->errands[aftermath->count++] = errand;
}

static int keep(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* ---- removing */

void ntd_aftermath_remove(struct ntd_aftermath *aftermath, const char *path)
{
	add(aftermath,
	    (struct ntd_errand){
		    .kind = REMOVE, .file = -1, .directory = -1, .path = ntd_strdup(path)});
}

void ntd_aftermath_remove_tree(struct ntd_aftermath *aftermath, const char *path)
{
	add(aftermath,
	    (struct ntd_errand){
		    .kind = REMOVE_TREE, .file = -1, .directory = -1, .path = ntd_strdup(path)});
}

/* A directory that is locked (net/socket_dir.h) stays: another driver, started since, uses it. */
static void remove_socket_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory)
		return;
	if (flock(dirfd(directory), LOCK_EX | LOCK_NB) == 0) {
		while ((entry = readdir(directory)))
			if (entry->d_type == DT_SOCK)
				unlinkat(dirfd(directory), entry->d_name, 0);
		rmdir(path);
	}
	closedir(directory);
}

static void remove_path(const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT)
		remove_socket_directory(path);
}

static void remove_tree(const char *path)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	if (ntd_tree_remove(path, &error) < 0)
		dprintf(STDERR_FILENO, "nixos-test-driver: %s\n", error->message);
}

/* ---- delivering */

void ntd_aftermath_deliver(struct ntd_aftermath *aftermath, int file, int directory,
			   const char *path)
{
	add(aftermath, (struct ntd_errand){.kind = DELIVER,
					   .file = keep(file),
					   .directory = keep(directory),
					   .path = ntd_strdup(path)});
}

/* Gives the file another name, which costs nothing; possible on one file system only. */
static int link_file(const struct ntd_errand *errand)
{
	char source[64];

	snprintf(source, sizeof source, "/proc/self/fd/%d", errand->file);
	return linkat(AT_FDCWD, source, errand->directory, errand->path, AT_SYMLINK_FOLLOW);
}

static int append_file(const struct ntd_errand *errand)
{
	_cleanup_fd_ int to = openat(errand->directory, errand->path,
				     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
	char bytes[64 << 10];
	off_t at = 0;
	ssize_t got;

	if (to < 0)
		return -1;
	while ((got = pread(errand->file, bytes, sizeof bytes, at)) > 0) {
		if (ntd_fd_write_all(to, bytes, (size_t)got) < 0)
			return -1;
		at += got;
	}
	return (int)got;
}

/* Only the first delivery to a path replaces what is there. */
static int deliver(const struct ntd_errand *errand, bool first)
{
	_cleanup_free_ char *parent = ntd_strdup(errand->path);

	if (first) {
		mkdirat(errand->directory, dirname(parent), 0777);
		unlinkat(errand->directory, errand->path, 0);
		if (link_file(errand) == 0)
			return 0;
	}
	return append_file(errand);
}

/* Whether no errand before this one delivers to the same path. */
static bool is_first(const struct ntd_aftermath *aftermath, size_t index)
{
	const struct ntd_errand *errand = &aftermath->errands[index];

	for (size_t i = 0; i < index; i++)
		if (aftermath->errands[i].kind == DELIVER &&
		    !strcmp(aftermath->errands[i].path, errand->path))
			return false;
	return true;
}

/* ---- cutting */

void ntd_aftermath_cut(struct ntd_aftermath *aftermath, int file)
{
	add(aftermath, (struct ntd_errand){.kind = CUT, .file = keep(file), .directory = -1});
}

static void cut(int file)
{
	off_t end = lseek(file, 0, SEEK_END);
	char bytes[4096];

	while (end > 0) {
		off_t start = end > (off_t)sizeof bytes ? end - (off_t)sizeof bytes : 0;
		ssize_t got = pread(file, bytes, (size_t)(end - start), start);
		const char *newline = got > 0 ? memrchr(bytes, '\n', (size_t)got) : NULL;

		if (got <= 0)
			return;
		end = newline ? start + (newline - bytes) + 1 : start;
		if (newline)
			break;
	}
	if (end >= 0 && ftruncate(file, end) < 0)
		dprintf(STDERR_FILENO, "nixos-test-driver: cannot cut a file: %s\n",
			strerror(errno));
}

/* ---- completing */

void ntd_aftermath_complete(struct ntd_aftermath *aftermath, int file, const char *text)
{
	add(aftermath, (struct ntd_errand){.kind = COMPLETE,
					   .file = keep(file),
					   .directory = -1,
					   .path = ntd_strdup(text)});
}

/* Where the last line of a text begins; it has its newline. */
static const char *last_line(const char *text)
{
	const char *at = text + strlen(text) - 1;

	while (at > text && at[-1] != '\n')
		at--;
	return at;
}

static bool ends_with(int file, off_t end, const char *line)
{
	char bytes[256];
	size_t len = strlen(line);

	return len <= sizeof bytes && end >= (off_t)len &&
	       pread(file, bytes, len, end - (off_t)len) == (ssize_t)len &&
	       !memcmp(bytes, line, len);
}

static void complete(int file, const char *text)
{
	off_t end = lseek(file, 0, SEEK_END);

	if (end < 0 || !*text || ends_with(file, end, last_line(text)))
		return;
	if (ntd_fd_write_all(file, text, strlen(text)) < 0)
		dprintf(STDERR_FILENO, "nixos-test-driver: cannot complete a file: %s\n",
			strerror(errno));
}

/* ---- all of it */

void ntd_aftermath_run(const struct ntd_aftermath *aftermath)
{
	for (size_t i = 0; i < aftermath->count; i++) {
		const struct ntd_errand *errand = &aftermath->errands[i];

		if (errand->kind == CUT)
			cut(errand->file);
		else if (errand->kind == COMPLETE)
			complete(errand->file, errand->path);
		else if (errand->kind == DELIVER && deliver(errand, is_first(aftermath, i)) < 0)
			dprintf(STDERR_FILENO, "nixos-test-driver: cannot write %s: %s\n",
				errand->path, strerror(errno));
	}
	for (size_t i = aftermath->count; i--;)
		if (aftermath->errands[i].kind == REMOVE)
			remove_path(aftermath->errands[i].path);
		else if (aftermath->errands[i].kind == REMOVE_TREE)
			remove_tree(aftermath->errands[i].path);
}

void ntd_aftermath_free(struct ntd_aftermath *aftermath)
{
	for (size_t i = 0; i < aftermath->count; i++) {
		ntd_close_fd(&aftermath->errands[i].file);
		ntd_close_fd(&aftermath->errands[i].directory);
		free(aftermath->errands[i].path);
	}
	free(aftermath->errands);
	*aftermath = (struct ntd_aftermath){0};
}
