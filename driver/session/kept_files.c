/* The directory of a kept state: finding it, checking that it is whole, removing it. The main
 * thread, before anything is started, or the thread that keeps a state.
 */
#include "session/kept.h"

#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"
#include "session/directories.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* ---- finding it */

/* Where a state may be below the directory that was named: there, in a failure's directory, or in
 * the output directory. */
static const char *const places[] = {"", "/snapshot", "/" NTD_KEPT_FAILURE};

static bool is_there(const char *directory, const char *name)
{
	_cleanup_free_ char *path = ntd_asprintf("%s%s", directory, name);

	return access(path, F_OK) == 0;
}

static int not_there(const char *path, struct ntd_error **err)
{
	for (size_t i = 1; i < sizeof places / sizeof *places; i++)
		if (is_there(path, places[i]))
			return ntd_error_set(err, NTD_E_USAGE,
					     "%s%s has no " NTD_KEPT_LIST
					     ", which is written last: the run that was to keep "
					     "its state there ended before, or could not",
					     path, places[i]);
	return ntd_error_set(err, NTD_E_USAGE,
			     "%s holds no state of machines: there is no " NTD_KEPT_LIST
			     " in it, in snapshot/ or in failure/snapshot/",
			     path);
}

/* The absolute path of the directory with the list, a new string; NULL on error. */
static char *find(const char *path, struct ntd_error **err)
{
	struct stat info;
	int fault = stat(path, &info) < 0 ? errno : S_ISDIR(info.st_mode) ? 0 : ENOTDIR;

	if (fault) {
		ntd_error_set(err, NTD_E_USAGE, "%s: %s", path, strerror(fault));
		return NULL;
	}
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		_cleanup_free_ char *directory = ntd_asprintf("%s%s", path, places[i]);

		if (is_there(directory, "/" NTD_KEPT_LIST))
			return ntd_directories_absolute(directory);
	}
	not_there(path, err);
	return NULL;
}

/* ---- checking it */

static int check_file(const char *path, double size, const char *what, struct ntd_error **err)
{
	struct stat info;

	if (stat(path, &info) < 0)
		return ntd_error_set(err, NTD_E_USAGE, "%s, %s: %s", what, path, strerror(errno));
	if (access(path, R_OK) < 0 || !S_ISREG(info.st_mode))
		return ntd_error_set(err, NTD_E_USAGE, "%s, %s, is not a file that can be read",
				     what, path);
	if ((double)info.st_size != size)
		return ntd_error_set(
			err, NTD_E_USAGE,
			"%s, %s, has %lld bytes, and had %.0f: it is another one, or was cut off",
			what, path, (long long)info.st_size, size);
	return 0;
}

static int check_disk(const char *directory, const struct ntd_kept_disk *disk,
		      struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/%s", directory, disk->file);
	_cleanup_free_ char *what = ntd_asprintf("the disk %s", disk->device);
	_cleanup_free_ char *base = ntd_asprintf("the base image of the disk %s", disk->device);

	if (check_file(path, disk->size, what, err) < 0)
		return -1;
	return disk->backing ? check_file(disk->backing, disk->backing_size, base, err) : 0;
}

static int check_machine(const struct ntd_kept *kept, const struct ntd_kept_machine *machine,
			 struct ntd_error **err)
{
	_cleanup_free_ char *directory = ntd_asprintf("%s/%s", kept->directory, machine->directory);
	_cleanup_free_ char *memory = ntd_asprintf("%s/" NTD_KEPT_MEMORY, directory);

	if (!machine->running)
		return 0;
	if (check_file(memory, machine->memory_size, "its memory", err) < 0)
		return -1;
	for (size_t i = 0; i < machine->disks.count; i++)
		if (check_disk(directory, &machine->disks.items[i], err) < 0)
			return -1;
	return 0;
}

static int check(const struct ntd_kept *kept, struct ntd_error **err)
{
	for (size_t i = 0; i < kept->machines.count; i++)
		if (check_machine(kept, &kept->machines.items[i], err) < 0)
			return ntd_error_wrap(err, "machine '%s'", kept->machines.items[i].name);
	return 0;
}

struct ntd_kept *ntd_kept_open(const char *path, struct ntd_error **err)
{
	_cleanup_free_ char *directory = find(path, err), *list = NULL;
	_cleanup_cjson_ cJSON *tree = NULL;
	struct ntd_kept *kept;

	if (!directory)
		return NULL;
	list = ntd_asprintf("%s/" NTD_KEPT_LIST, directory);
	tree = ntd_json_load(list, err);
	kept = tree ? ntd_kept_from_json(tree, list, err) : NULL;
	if (!kept)
		return NULL;
	kept->directory = ntd_steal(&directory);
	if (check(kept, err) == 0)
		return kept;
	ntd_kept_free(kept);
	return NULL;
}

/* ---- removing it */

bool ntd_kept_replaceable(const char *directory)
{
	DIR *entries = ntd_fd_entries(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	bool empty = entries && !ntd_fd_next_entry(entries);

	if (entries)
		closedir(entries);
	return empty || is_there(directory, "/" NTD_KEPT_LIST);
}

static bool is_own(const char *name)
{
	return !strcmp(name, NTD_KEPT_MEMORY) || !strcmp(name, NTD_KEPT_CONSOLE) ||
	       (ntd_has_prefix(name, "disk") && ntd_has_suffix(name, ".qcow2"));
}

/* `directory` is closed. */
static void remove_images(int directory)
{
	DIR *entries = ntd_fd_entries(directory);
	const struct dirent *entry;

	while (entries && (entry = ntd_fd_next_entry(entries)))
		if (is_own(entry->d_name))
			unlinkat(directory, entry->d_name, 0);
	if (entries)
		closedir(entries);
}

void ntd_kept_remove(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *entries = ntd_fd_entries(fd);
	const struct dirent *entry;

	if (!entries)
		return;
	/* First: what has no list is no kept state. */
	unlinkat(fd, NTD_KEPT_LIST, 0);
	unlinkat(fd, NTD_KEPT_LIST ".new", 0);
	while ((entry = ntd_fd_next_entry(entries))) {
		int machine =
			openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (machine < 0)
			continue;
		remove_images(machine);
		unlinkat(fd, entry->d_name, AT_REMOVEDIR);
	}
	closedir(entries);
	rmdir(directory);
}
