/* Checks of directories, and the choice of the one for sockets. The main thread calls these before
 * the loop starts.
 */
#include "session/directories.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#define SHORT_DIRECTORY "/tmp/ntd-XXXXXX"

/* The longest paths below the base, less the machine's name. A libvdeplug client binds its data
 * socket in the switch's directory: a dot, its process id, a dash, a counter. */
static const size_t machine_path = sizeof "/vm-state-/monitor" - 1;
static const size_t vlan_path = sizeof "/vde4095.ctl/.4194304-0000000000" - 1;

/* Whether a file can be made in the directory `path`; errno says why not. O_TMPFILE leaves no name
 * behind even if the driver is killed here; where the file system lacks it, a file is made and
 * removed. */
static bool can_create(const char *path)
{
	_cleanup_free_ char *name = ntd_asprintf("%s/.nixos-test-driver-XXXXXX", path);
	_cleanup_fd_ int fd = open(path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0)
		return true;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return false;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return false;
	unlink(name);
	return true;
}

int ntd_directories_check(const char *path, struct ntd_error **err)
{
	struct stat info;

	if (stat(path, &info) < 0)
		return ntd_error_set(err, NTD_E_USAGE, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(info.st_mode))
		return ntd_error_set(err, NTD_E_USAGE, "%s is not a directory", path);
	if (!can_create(path))
		return ntd_error_set(err, NTD_E_USAGE, "%s is not a writable directory: %s", path,
				     strerror(errno));
	return 0;
}

int ntd_directories_check_file(const char *path, struct ntd_error **err)
{
	_cleanup_free_ char *parent = ntd_strdup(path);
	struct stat info = {0};

	if (stat(path, &info) < 0 && errno == ENOENT)
		return ntd_directories_check(dirname(parent), err);
	if (access(path, W_OK) < 0)
		return ntd_error_set(err, NTD_E_USAGE, "%s is not writable: %s", path,
				     strerror(errno));
	if (S_ISDIR(info.st_mode))
		return ntd_error_set(err, NTD_E_USAGE, "%s is a directory", path);
	return 0;
}

/* The name of the first variable that is set to something, or NULL; *value is what it is set to, or
 * the default. */
static const char *base_variable(const char **value)
{
	static const char *const names[] = {"XDG_RUNTIME_DIR", "TMPDIR", "TEMP", "TMP"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		*value = getenv(names[i]);
		if (*value && **value)
			return names[i];
	}
	*value = "/tmp";
	return NULL;
}

char *ntd_directories_absolute(const char *path)
{
	_cleanup_free_ char *here = *path == '/' ? NULL : getcwd(NULL, 0);

	return here ? ntd_asprintf("%s/%s", here, path) : ntd_strdup(path);
}

char *ntd_directories_runtime_base(struct ntd_error **err)
{
	const char *value, *variable = base_variable(&value);
	_cleanup_free_ char *path = ntd_directories_absolute(value);
	int status = 0;

	for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		status = ntd_error_set(err, NTD_E_USAGE, "%s cannot be created: %s", path,
				       strerror(errno));
	else
		status = ntd_directories_check(path, err);
	if (status < 0 && variable)
		ntd_error_wrap(err, "run-time directory (from %s)", variable);
	else if (status < 0)
		ntd_error_wrap(err, "run-time directory");
	return status < 0 ? NULL : ntd_steal(&path);
}

/* The length of the longest socket path below `base`, as the driver writes it or as libvdeplug
 * does, which resolves links. */
static size_t longest_path(const char *base, size_t name)
{
	_cleanup_free_ char *resolved = realpath(base, NULL);
	size_t base_len = strlen(base), resolved_len = resolved ? strlen(resolved) : 0;

	return (base_len > resolved_len ? base_len : resolved_len) +
	       (machine_path + name > vlan_path ? machine_path + name : vlan_path);
}

int ntd_directories_for_sockets(struct ntd_socket_directory *directory, const char *base,
				size_t longest_name, struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_strdup(SHORT_DIRECTORY);
	size_t needed = longest_path(path, longest_name);

	*directory = (struct ntd_socket_directory){0};
	if (longest_path(base, longest_name) <= NTD_SOCKET_PATH_MAX) {
		directory->path = ntd_strdup(base);
		return 0;
	}
	if (needed > NTD_SOCKET_PATH_MAX)
		return ntd_error_set(err, NTD_E_USAGE,
				     "a machine's name of %zu bytes is too long: at most %zu fit "
				     "the path of a socket",
				     longest_name, longest_name - (needed - NTD_SOCKET_PATH_MAX));
	if (!mkdtemp(path))
		return ntd_error_set(err, NTD_E_USAGE,
				     "the run-time directory %s is too long for sockets, and %s "
				     "cannot be created: %s",
				     base, SHORT_DIRECTORY, strerror(errno));
	*directory = (struct ntd_socket_directory){.path = ntd_steal(&path), .temporary = true};
	return 0;
}
