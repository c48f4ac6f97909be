/* Tests of the run-time directory and of the places of sockets. Each test has a directory of its
 * own.
 */
#include "unit.h"

#include "base/buf.h"
#include "base/text.h"
#include "session/directories.h"

#include <sys/stat.h>
#include <sys/un.h>

static const char *const variables[] = {"XDG_RUNTIME_DIR", "TMPDIR", "TEMP", "TMP"};

static int set_up(void **state)
{
	char *directory = ntd_strdup("/tmp/test_directories-XXXXXX");

	for (size_t i = 0; i < unit_count(variables); i++)
		unsetenv(variables[i]);
	*state = directory;
	return !mkdtemp(directory) || chdir(directory);
}

static int tear_down(void **state)
{
	_cleanup_free_ char *directory = *state;
	_cleanup_free_ char *command = ntd_asprintf("rm -rf %s", directory);

	return chdir("/") || system(command); /* NOLINT: a path that we made */
}

static void write_file(const char *path)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
}

static void assert_base(const char *expected)
{
	struct ntd_error *err = NULL;
	_cleanup_free_ char *base = ntd_directories_runtime_base(&err);

	assert_no_error(err);
	assert_string_equal(base, expected);
}

static void assert_no_base(const char *message)
{
	struct ntd_error *err = NULL;

	assert_null(ntd_directories_runtime_base(&err));
	assert_non_null(err);
	assert_string_equal(err->message, message);
	assert_string_equal(ntd_errc_name(err->code), "usage");
	ntd_error_free(err);
}

/* Each variable takes precedence over the later ones of the list. */
static void test_base_order(void **state)
{
	assert_base("/tmp");
	for (size_t i = unit_count(variables); i-- > 0;) {
		_cleanup_free_ char *path = ntd_asprintf("%s/%zu", (char *)*state, i);

		setenv(variables[i], path, 1);
		assert_base(path);
	}
	setenv("XDG_RUNTIME_DIR", "", 1); /* an empty variable counts as unset */
	assert_base(getenv("TMPDIR"));
}

static void test_base_is_made(void **state)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/new", (char *)*state);
	struct stat info;

	setenv("XDG_RUNTIME_DIR", "new//", 1); /* the path becomes absolute */
	assert_base(path);
	assert_int_equal(stat("new", &info), 0);
	assert_int_equal(info.st_mode, S_IFDIR | 0700);
	assert_base(path); /* the next run finds the directory */
}

static void test_base_refused(void **state)
{
	const char *directory = *state;
	_cleanup_free_ char *orphan =
		ntd_asprintf("run-time directory (from TMPDIR): %s/no/parent cannot be created: "
			     "No such file or directory",
			     directory);
	_cleanup_free_ char *file = ntd_asprintf(
		"run-time directory (from TMP): %s/file is not a directory", directory);

	setenv("TMPDIR", "no/parent", 1);
	assert_no_base(orphan);
	unsetenv("TMPDIR");
	write_file("file");
	setenv("TMP", "file", 1);
	assert_no_base(file);
}

static void assert_not_writable(const char *path, const char *message)
{
	assert_fails(ntd_directories_check(path, &err), NTD_E_USAGE, message);
}

/* Root may write in spite of the mode, so the check is done as another user; a directory in which
 * no file can be made at all is refused for root, too. */
static void test_not_writable(void **state)
{
	assert_int_equal(mkdir("locked", 0500), 0);
	if (geteuid()) {
		assert_not_writable("locked",
				    "locked is not a writable directory: Permission denied");
	} else {
		assert_int_equal(chmod(".", 0755), 0);
		assert_int_equal(seteuid(65534), 0);
		assert_not_writable("locked",
				    "locked is not a writable directory: Permission denied");
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(ntd_directories_check("locked", NULL), 0);
	}
	assert_not_writable("/proc", "/proc is not a writable directory: ");
	assert_not_writable("none", "none: No such file or directory");
}

/* The check for a writable directory leaves no file behind. */
static void test_writable(void **state)
{
	assert_int_equal(ntd_directories_check(".", NULL), 0);
	assert_int_equal(chdir("/") | rmdir(*state), 0);
	assert_int_equal(mkdir(*state, 0700), 0); /* tear_down() removes a directory */
}

static void test_writable_file(void **state)
{
	write_file("there");
	assert_int_equal(ntd_directories_check_file("there", NULL), 0);
	assert_int_equal(ntd_directories_check_file("new", NULL), 0);
	assert_int_equal(access("new", F_OK), -1);
	assert_int_equal(ntd_directories_check_file("/dev/null", NULL), 0);
	assert_fails(ntd_directories_check_file(".", &err), NTD_E_USAGE, ". is a directory");
	assert_fails(ntd_directories_check_file("none/new", &err), NTD_E_USAGE,
		     "none: No such file or directory");
	assert_fails(ntd_directories_check_file("there/new", &err), NTD_E_USAGE,
		     "there/new is not writable: Not a directory");
}

static void test_absolute(void **state)
{
	_cleanup_free_ char *same = ntd_directories_absolute("/a/b"),
			    *below = ntd_directories_absolute("a/b");
	_cleanup_free_ char *expected = ntd_asprintf("%s/a/b", (char *)*state);

	assert_string_equal(same, "/a/b");
	assert_string_equal(below, expected);
}

/* Returns a path of `len` bytes for a base directory that need not exist. */
static char *base_of(size_t len)
{
	char *base = ntd_malloc(len + 1);

	memset(base, 'd', len);
	base[0] = '/';
	base[len] = '\0';
	return base;
}

/* vm-state-NAME/monitor fills a socket's path to the last byte, or is one byte too long. */
static void test_sockets_fit(void **state)
{
	const char *tail = "/vm-state-machine-of-20-bytes./monitor";
	size_t limit = sizeof((struct sockaddr_un *)0)->sun_path - 1;

	for (size_t len = limit - strlen(tail) - 1; len <= limit - strlen(tail) + 1; len++) {
		_cleanup_free_ char *base = base_of(len);
		struct ntd_socket_directory directory;
		struct stat info;

		assert_int_equal(ntd_directories_for_sockets(&directory, base, 20, NULL), 0);
		assert_int_equal(directory.temporary, len + strlen(tail) > limit);
		if (directory.temporary) {
			assert_true(ntd_has_prefix(directory.path, "/tmp/ntd-"));
			assert_int_equal(stat(directory.path, &info), 0);
			assert_int_equal(info.st_mode, S_IFDIR | 0700);
			assert_int_equal(rmdir(directory.path), 0);
		} else {
			assert_string_equal(directory.path, base);
		}
		free(directory.path);
	}
}

/* With a short name of the machine, a VLAN's ports have the longest sockets:
 * vde4095.ctl/.PID-COUNTER. */
static void test_vlan_sockets_fit(void **state)
{
	_cleanup_free_ char *fits = base_of(107 - 13 - 20), *too_long = base_of(107 - 13);
	struct ntd_socket_directory directory;

	assert_int_equal(ntd_directories_for_sockets(&directory, fits, 1, NULL), 0);
	assert_false(directory.temporary);
	free(directory.path);
	assert_int_equal(ntd_directories_for_sockets(&directory, too_long, 1, NULL), 0);
	assert_true(directory.temporary);
	assert_int_equal(rmdir(directory.path), 0);
	free(directory.path);
}

/* The length counts with symbolic links resolved, since libvdeplug resolves them before it binds.
 */
static void test_sockets_behind_link(void **state)
{
	_cleanup_free_ char *long_name = base_of(90);
	struct ntd_socket_directory directory;

	assert_int_equal(mkdir(long_name + 1, 0700) | symlink(long_name + 1, "link"), 0);
	assert_int_equal(ntd_directories_for_sockets(&directory, "link", 1, NULL), 0);
	assert_true(directory.temporary);
	assert_int_equal(rmdir(directory.path), 0);
	free(directory.path);
}

static void test_no_place_for_sockets(void **state)
{
	_cleanup_free_ char *base = base_of(80);
	struct ntd_socket_directory directory;

	assert_fails(ntd_directories_for_sockets(&directory, base, 75, &err), NTD_E_USAGE,
		     "a machine's name of 75 bytes is too long: at most 74 fit the path of a "
		     "socket");
	assert_null(directory.path);
	assert_int_equal(ntd_directories_for_sockets(&directory, base, 74, NULL), 0);
	assert_true(directory.temporary);
	assert_int_equal(rmdir(directory.path), 0);
	free(directory.path);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_base_order),
		test(test_base_is_made),
		test(test_base_refused),
		test(test_not_writable),
		test(test_writable),
		test(test_writable_file),
		test(test_absolute),
		test(test_sockets_fit),
		test(test_vlan_sockets_fit),
		test(test_sockets_behind_link),
		test(test_no_place_for_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
