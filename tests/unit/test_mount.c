/* Tests of the agent's mounts, agent/mount.c: what is read of a list, and the service. What it asks
 * of the kernel is noted here and not done: it would be done to the host.
 */
#include "agent_fixture.h"

#include "agent/mount.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/mount.h>

/* Shared with the agent's process. */
static struct notes {
	char text[4096];
} * notes;

int ntd_agent_mount_share(const struct ntd_mount *share, const char *options)
{
	size_t len = strlen(notes->text);

	snprintf(notes->text + len, sizeof notes->text - len, "<%s|%s|%s|%lx|%s>", share->tag,
		 share->directory, share->type, share->flags, options);
	return !strcmp(share->tag, "gone") ? ENOENT : 0;
}

/* ---- lines */

static void assert_line(const char *line, const char *expected)
{
	_cleanup_mount_ struct ntd_mount mount;
	_cleanup_free_ char *exact = ntd_strndup(line, strlen(line)), *options = NULL;

	assert_true(ntd_mount_read(exact, strlen(line), &mount));
	options = ntd_buf_take_string(&mount.options);
	notes->text[0] = '\0';
	ntd_agent_mount_share(&mount, options);
	assert_string_equal(notes->text, expected);
}

static void test_lines(void **state)
{
	_cleanup_free_ char *expected = ntd_asprintf(
		"<shared|/tmp/shared|9p|%lx|access=client,trans=virtio>",
		(unsigned long)(MS_SYNCHRONOUS | MS_DIRSYNC | MS_RELATIME | MS_RDONLY));

	assert_line("shared /tmp/shared 9p ro,sync,dirsync,relatime,access=client,trans=virtio",
		    expected);
	assert_line("xchg /tmp/xchg virtiofs rw", "<xchg|/tmp/xchg|virtiofs|0|>");
	assert_line("xchg /tmp/xchg virtiofs rw,,x 0 0", "<xchg|/tmp/xchg|virtiofs|0|x>");
	assert_line("x\\134 /a\\040b\\011c\\ t rw,rwx=rw,nosuidd",
		    "<x\\|/a b\tc\\|t|0|rwx=rw,nosuidd>");
	assert_line("x /\\04 \\400\\08 rw", "<x|/\\04|\\400\\08|0|>");
}

static void test_no_lines(void **state)
{
	static const char *const lines[] = {"", " ", "shared", "shared /tmp/shared 9p",
					    "shared /tmp/shared 9p "};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		_cleanup_mount_ struct ntd_mount mount;

		assert_false(ntd_mount_read(lines[i], strlen(lines[i]), &mount));
	}
}

/* ---- the service */

static void ask(struct agent *agent, uint32_t stream, const char *list)
{
	notes->text[0] = '\0';
	tell_bytes(agent, NTD_FRAME_MOUNT, stream, list, strlen(list));
}

static void test_all_are_mounted_that_can_be(void **state)
{
	struct agent agent = start_agent();

	ask(&agent, 1, "a /a 9p rw\nb /b 9p rw,x\n");
	assert_int_equal(hear_kind(&agent, NTD_FRAME_DONE, 1).len, 0);
	assert_string_equal(notes->text, "<a|/a|9p|0|><b|/b|9p|0|x>");
	ask(&agent, 2, "gone /a 9p rw\nnothing\nb /b 9p rw");
	hear_failure(&agent, 2,
		     "cannot mount gone at /a: No such file or directory; not a mount: nothing");
	assert_string_equal(notes->text, "<gone|/a|9p|0|><b|/b|9p|0|>");
	ask(&agent, 3, "");
	hear_kind(&agent, NTD_FRAME_DONE, 3);
	stop_agent(&agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_no_lines),
		cmocka_unit_test(test_all_are_mounted_that_can_be),
	};

	notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	return notes == MAP_FAILED || cmocka_run_group_tests(tests, NULL, NULL);
}
