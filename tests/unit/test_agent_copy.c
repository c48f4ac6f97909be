/* Tests of the errors of copies by the agent: what the guest could not do is told from an agent
 * that was lost. The copies themselves are in test_agent_copies.c.
 */
#include "agent_call_fixture.h"

#include "agent_channel/copy.h"

struct copying {
	struct ntd_agent_channel *agent;
	pthread_t thread;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		agent_test(what_the_guest_cannot_do_is_an_assertion),
		agent_test(a_new_root_shell_is_none),
		agent_test(neither_is_one_that_came_before_the_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
