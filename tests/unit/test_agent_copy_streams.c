/* Tests of the streams of copies within the guest: the answer, and that the process of a copy ends
 * when nobody waits for it. A function here stands in for the work of agent/copy_file_readers.c.
 */
#include "agent_fixture.h"
#include "tree_fixture.h"

#include "agent/copy_file.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

/* Whether the port or another descriptor of the agent's is open. */
static bool holds_descriptors(void)
{
	for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return true;
	return false;
}

/* The source says what to do: "wait" makes the target, and waits for ever. */
bool ntd_copy_file(const char *source, const char *target)
{
	if (!strcmp(source, "wait")) {
		close(open(target, O_WRONLY | O_CREAT, 0600));
		for (;;)
			pause();
	}
	return !strcmp(source, "yes") && !holds_descriptors();
}

static void ask(struct agent *agent, uint32_t number, const char *source, const char *target)
{
	_cleanup_buf_ struct ntd_buf payload = {0};

	ntd_pack_text(&payload, source);
	ntd_pack_text(&payload, target);
	tell(agent, NTD_FRAME_COPY, number, &payload);
}

static void assert_answer(struct agent *agent, uint32_t number, uint8_t expected)
{
	struct ntd_frame frame = hear_kind(agent, NTD_FRAME_DONE, number);

	assert_int_equal(frame.len, 1);
	assert_int_equal(frame.bytes[0], expected);
}

static void the_answer_is_whether_there_is_a_copy(void **state)
{
	struct agent agent = start_agent();

	ask(&agent, 1, "yes", "/target");
	assert_answer(&agent, 1, 1);
	ask(&agent, 2, "no", "/target");
	assert_answer(&agent, 2, 0);
	stop_agent(&agent);
}

static void nonsense_is_refused(void **state)
{
	struct agent agent = start_agent();
	_cleanup_buf_ struct ntd_buf payload = {0};

	tell(&agent, NTD_FRAME_COPY, 1, NULL);
	hear_kind(&agent, NTD_FRAME_FAILED, 1);
	ntd_pack_text(&payload, "yes");
	tell(&agent, NTD_FRAME_COPY, 2, &payload);
	hear_kind(&agent, NTD_FRAME_FAILED, 2);
	ntd_pack_bytes(&payload, "/tar\0get", 8);
	tell(&agent, NTD_FRAME_COPY, 3, &payload);
	hear_kind(&agent, NTD_FRAME_FAILED, 3);
	ntd_buf_clear(&payload);
	ntd_pack_text(&payload, "yes");
	ntd_pack_text(&payload, "/target");
	ntd_pack_u8(&payload, 0);
	tell(&agent, NTD_FRAME_COPY, 4, &payload);
	hear_kind(&agent, NTD_FRAME_FAILED, 4);
	ask(&agent, 5, "yes", "/target");
	tell(&agent, NTD_FRAME_END, 5, NULL);
	assert_answer(&agent, 5, 1);
	stop_agent(&agent);
}

static void begin_to_wait(struct agent *agent, uint32_t number, const char *name)
{
	ask(agent, number, "wait", at(name));
	while (!exists(name))
		poll(NULL, 0, 1);
}

static void a_copy_can_be_cancelled(void **state)
{
	struct agent agent = start_agent();

	begin_to_wait(&agent, 1, "begun");
	ask(&agent, 2, "yes", "/target"); /* others go on */
	assert_answer(&agent, 2, 1);
	tell(&agent, NTD_FRAME_CANCEL, 1, NULL);
	assert_answer(&agent, 1, 0);
	stop_agent(&agent);
}

/* The processes of copies become children of this process. */
static void assert_all_ended(void)
{
	int status;

	assert_true(waitpid(-1, &status, 0) > 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
}

static void a_copy_ends_with_the_port(void **state)
{
	struct agent agent = start_agent();

	begin_to_wait(&agent, 1, "begun");
	stop_agent(&agent);
	assert_all_ended();
}

static void a_copy_ends_with_the_agent(void **state)
{
	struct agent agent = start_agent();

	begin_to_wait(&agent, 1, "begun");
	kill(agent.pid, SIGKILL);
	assert_int_equal(waitpid(agent.pid, NULL, 0), agent.pid);
	ntd_close_fd(&agent.fd);
	ntd_buf_free(&agent.in);
	assert_all_ended();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define each(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		each(the_answer_is_whether_there_is_a_copy),
		each(nonsense_is_refused),
		each(a_copy_can_be_cancelled),
		each(a_copy_ends_with_the_port),
		each(a_copy_ends_with_the_agent),
	};

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
