/* Tests of the ends of copies by the agent: what the guest could not do is told from an agent that
 * was lost. The copies themselves are in test_agent_copies.c and test_agent_copy_file.c.
 */
#include "agent_call_fixture.h"

#include "agent_channel/copy.h"

struct copying {
	struct ntd_agent_channel *agent;
	pthread_t thread;
	int result;
	struct ntd_error *error;
};

static void *copy_main(void *arg)
{
	struct copying *copying = arg;
	const struct ntd_agent_copy copy = {.channel = copying->agent,
					    .machine = "server",
					    .direction = NTD_SFTP_PUT,
					    .source = "/etc/passwd",
					    .target = "/target"};

	ntd_agent_copy(&copy, NULL, &copying->error);
	return NULL;
}

static void begin_copy(struct fixture *fixture, struct copying *copying)
{
	*copying = (struct copying){.agent = fixture->agent};
	assert_int_equal(pthread_create(&copying->thread, NULL, copy_main, copying), 0);
}

static void copy_fails(struct copying *copying, enum ntd_errc code, const char *message)
{
	pthread_join(copying->thread, NULL);
	assert_error(copying->error, code, message);
}

static void what_the_guest_cannot_do_is_an_assertion(void **state)
{
	struct copying copying;

	begin_copy(*state, &copying);
	peer_expects(*state, 1, NTD_FRAME_PUT, "");
	peer_text(*state, 1, NTD_FRAME_FAILED, "no processes");
	copy_fails(&copying, NTD_E_ASSERTION, "machine 'server': no processes");
}

static void a_new_root_shell_is_none(void **state)
{
	struct fixture *fixture = *state;
	struct copying copying;

	begin_copy(fixture, &copying);
	peer_expects(fixture, 1, NTD_FRAME_PUT, "");
	peer_say(fixture->shell_peer, "Spawning backdoor root shell...\n");
	copy_fails(&copying, NTD_E_MACHINE, "the root shell began anew");
}

/* The channel was chosen a moment before. */
static void neither_is_one_that_came_before_the_copy(void **state)
{
	struct fixture *fixture = *state;
	struct copying copying;

	peer_say(fixture->shell_peer, "Spawning backdoor root shell...\n");
	while (ntd_agent_channel_of(fixture->agent)->ready)
		settle(fixture->loop);
	begin_copy(fixture, &copying);
	copy_fails(&copying, NTD_E_MACHINE, "the root shell began anew");
}

/* ---- within the guest */

static void *copy_in_guest_main(void *arg)
{
	struct copying *copying = arg;
	struct ntd_channel *channel = ntd_agent_channel_of(copying->agent);

	copying->result =
		channel->ops->copy_in_guest(channel, "/source", "/target", NULL, &copying->error);
	return NULL;
}

static void begin_in_guest(struct fixture *fixture, struct copying *copying)
{
	*copying = (struct copying){.agent = fixture->agent};
	assert_int_equal(pthread_create(&copying->thread, NULL, copy_in_guest_main, copying), 0);
}

static void peer_expects_copy(struct fixture *fixture, uint32_t stream)
{
	struct ntd_frame frame = peer_receive(fixture);
	struct ntd_unpack in = {.at = frame.bytes, .left = frame.len};
	_cleanup_free_ char *source = ntd_unpack_text(&in), *target = ntd_unpack_text(&in);

	assert_int_equal(frame.kind, NTD_FRAME_COPY);
	assert_int_equal(frame.stream, stream);
	assert_true(ntd_unpack_is_whole(&in));
	assert_string_equal(source, "/source");
	assert_string_equal(target, "/target");
}

static void ends_with(struct copying *copying, int result)
{
	pthread_join(copying->thread, NULL);
	assert_no_error(copying->error);
	assert_int_equal(copying->result, result);
}

static void a_copy_in_the_guest_is_made_or_left_to_cp(void **state)
{
	struct copying copying;

	begin_in_guest(*state, &copying);
	peer_expects_copy(*state, 1);
	peer_send(*state, 1, NTD_FRAME_DONE, "\1", 1);
	ends_with(&copying, 0);
	begin_in_guest(*state, &copying);
	peer_expects_copy(*state, 2);
	peer_send(*state, 2, NTD_FRAME_DONE, "\0", 1);
	ends_with(&copying, 1);
	begin_in_guest(*state, &copying);
	peer_expects_copy(*state, 3);
	peer_text(*state, 3, NTD_FRAME_FAILED, "no processes");
	ends_with(&copying, 1);
}

static void an_answer_that_is_none_is_an_error(void **state)
{
	struct copying copying;

	begin_in_guest(*state, &copying);
	peer_expects_copy(*state, 1);
	peer_send(*state, 1, NTD_FRAME_DONE, "\2", 1);
	copy_fails(&copying, NTD_E_PROTOCOL, "the agent's answer to a copy is none");
	begin_in_guest(*state, &copying);
	peer_expects_copy(*state, 2);
	peer_send(*state, 2, NTD_FRAME_DONE, "", 0);
	copy_fails(&copying, NTD_E_PROTOCOL, "the agent's answer to a copy is none");
	begin_in_guest(*state, &copying);
	peer_expects_copy(*state, 3);
	peer_text(*state, 3, NTD_FRAME_DATA, "bytes");
	copy_fails(&copying, NTD_E_PROTOCOL,
		   "machine 'server': the agent in the guest sent more than the end of what it was "
		   "asked for");
}

/* `cp` in another boot of the guest would not be what the script has asked for. */
static void a_reboot_is_not_left_to_cp(void **state)
{
	struct fixture *fixture = *state;
	struct copying copying;

	begin_in_guest(fixture, &copying);
	peer_expects_copy(fixture, 1);
	peer_say(fixture->shell_peer, "Spawning backdoor root shell...\n");
	copy_fails(&copying, NTD_E_MACHINE, "the root shell began anew");
}

/* As after a script has begun to speak to the root shell: nothing has been asked for yet. */
static void a_copy_that_cannot_begin_is_left_to_cp(void **state)
{
	struct fixture *fixture = *state;
	struct copying copying;

	peer_say(fixture->shell_peer, "Spawning backdoor root shell...\n");
	while (ntd_agent_channel_of(fixture->agent)->ready)
		settle(fixture->loop);
	begin_in_guest(fixture, &copying);
	ends_with(&copying, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		agent_test(what_the_guest_cannot_do_is_an_assertion),
		agent_test(a_new_root_shell_is_none),
		agent_test(neither_is_one_that_came_before_the_copy),
		agent_test(a_copy_in_the_guest_is_made_or_left_to_cp),
		agent_test(an_answer_that_is_none_is_an_error),
		agent_test(a_reboot_is_not_left_to_cp),
		agent_test(a_copy_that_cannot_begin_is_left_to_cp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
