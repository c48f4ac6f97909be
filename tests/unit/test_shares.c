/* Tests of how the driver's shares are unmounted in a guest and mounted again: the guest may print
 * anything in its list of mounts. The guest is a bash of this host, in which `cat`, `mount` and
 * `umount` are the test's.
 */
#include "life_fixture.h"

#include "guest/shares.h"

#include <stdlib.h>

/* Writes a program of the guest's. */
static void program(const char *directory, const char *name, const char *text)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/%s", directory, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fprintf(file, "#!/bin/bash\n%s\n", text);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

/* A connected machine whose guest has these mounts, and none once it has noted an unmounting. */
static struct ntd_machine *with_mounts(struct fixture *fixture, const char *mounts,
				       const char *mount_text, const char *umount_text)
{
	_cleanup_free_ char *before = ntd_strdup(getenv("PATH"));
	_cleanup_free_ char *directory = ntd_asprintf("%s/programs", fixture->base);
	_cleanup_free_ char *path = ntd_asprintf("%s:%s", directory, before);
	_cleanup_buf_ struct ntd_buf cat = {0};
	_cleanup_free_ char *text = NULL;
	struct ntd_machine *machine;

	assert_int_equal(mkdir(directory, 0755), 0);
	ntd_buf_puts(&cat, "[ \"$1\" = /proc/mounts ] || exec /bin/cat \"$@\"\n"
			   "[ ! -e unmounted ] || exit 0\nprintf %s ");
	ntd_shell_quote(&cat, mounts, strlen(mounts));
	text = ntd_buf_take_string(&cat);
	program(directory, "cat", text);
	program(directory, "mount", mount_text);
	program(directory, "umount", umount_text);
	setenv("PATH", path, 1);
	machine = machine_new(fixture, "server", NULL);
	start(machine);
	setenv("PATH", before, 1);
	connect_shell(machine);
	return machine;
}

/* A program that writes its arguments into a file of its name: each as printf %q does. */
#define NOTES(name) "printf '%q ' \"$@\" >> " name "; echo >> " name

static void words_stay_words(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = with_mounts(
		fixture,
		"proc /proc proc rw 0 0\n"
		"shared /tmp/a\\040b\\134c 9p rw,trans=virtio 0 0\n"
		"xchg /tmp/$(touch${IFS}pwned)'\"`touch${IFS}pwned` virtiofs -o;touch\\040pwned' 0 0\n"
		"shared /tmp/ext ext4 rw 0 0\n"
		"own own2 9p rw 0 0\n"
		"mine\\040x /tmp/m\\040y 9p rw 0 0\n"
		"9p\n\n",
		NOTES("mounted"), NOTES("unmounted"));
	_cleanup_free_ char *shares = NULL, *others = NULL;
	struct ntd_error *err = NULL;

	ntd_shares_unmount(machine, &shares, &others, NULL, &err);
	assert_no_error(err);
	assert_string_equal(others, "\n    the guest has mounted the share 'own' at own2"
				    "\n    the guest has mounted the share 'mine\\040x' at "
				    "/tmp/m\\040y");
	assert_output(
		machine, "cat unmounted",
		"-- /tmp/a\\ b\\\\c \n"
		"-- /tmp/\\$\\(touch\\$\\{IFS\\}pwned\\)\\'\\\"\\`touch\\$\\{IFS\\}pwned\\` \n");
	ntd_shares_mount(machine, shares, NULL, &err);
	assert_no_error(err);
	assert_output(machine, "cat mounted",
		      "-t 9p -o rw\\,trans=virtio -- shared /tmp/a\\ b\\\\c \n"
		      "-t virtiofs -o -o\\;touch\\\\040pwned\\' -- xchg "
		      "/tmp/\\$\\(touch\\$\\{IFS\\}pwned\\)\\'\\\"\\`touch\\$\\{IFS\\}pwned\\` \n");
	assert_output(machine, "find . -name pwned; ls -d mounted", "mounted\n");
}

static void a_share_in_use(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = with_mounts(
		fixture, "xchg /tmp/xchg 9p rw 0 0\nshared /tmp/shared 9p rw 0 0\n",
		NOTES("mounted"), "[ \"$2\" != /tmp/shared ] || { echo busy >&2; exit 1; }");
	_cleanup_free_ char *shares = NULL, *others = NULL;
	struct ntd_error *err = NULL;

	ntd_shares_unmount(machine, &shares, &others, NULL, &err);
	assert_error(err, NTD_E_MACHINE, "cannot unmount it: shared /tmp/shared busy");
	assert_string_equal(shares, "xchg /tmp/xchg 9p rw\n");
}

static void a_share_that_is_mounted(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine =
		with_mounts(fixture, "xchg /tmp/xchg 9p rw 0 0\n", NOTES("mounted"), "");
	struct ntd_error *err = NULL;

	ntd_shares_mount(machine, "xchg /tmp/xchg 9p rw\nshared /tmp/shared 9p rw\n", NULL, &err);
	assert_no_error(err);
	assert_output(machine, "cat mounted", "-t 9p -o rw -- shared /tmp/shared \n");
}

static void each_failed_mount_counts(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine =
		with_mounts(fixture, "", "[ \"$6\" != shared ] || { echo gone >&2; exit 1; }", "");
	struct ntd_error *err = NULL;

	ntd_shares_mount(machine, "shared /tmp/shared 9p rw\nxchg /tmp/xchg 9p rw\n", NULL, &err);
	assert_error(err, NTD_E_MACHINE, "gone");
	err = NULL;
	ntd_shares_mount(machine, "xchg /tmp/xchg 9p rw\n", NULL, &err);
	assert_no_error(err);
	ntd_shares_mount(machine, "", NULL, &err);
	assert_no_error(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		life_test(words_stay_words),
		life_test(a_share_in_use),
		life_test(a_share_that_is_mounted),
		life_test(each_failed_mount_counts),
	};

	return run_life_tests(tests);
}
