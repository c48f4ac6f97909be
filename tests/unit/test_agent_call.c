/* Tests of the calls of the agent channel, and of agents that do not keep to the protocol. */
#include "agent_call_fixture.h"

/* ---- calls */

static void a_call_hears_what_the_agent_sends(void **state)
{
	struct probe probe = {0};

	probe_begin(*state, &probe, NULL, "please");
	peer_expects(*state, 1, NTD_FRAME_RUN, "please");
	peer_text(*state, 1, NTD_FRAME_DATA, "one ");
	peer_text(*state, 1, NTD_FRAME_ERROR_DATA, "two ");
	peer_text(*state, 1, NTD_FRAME_ITEM, "three ");
	peer_text(*state, 1, NTD_FRAME_END, "");
	peer_text(*state, 1, NTD_FRAME_DONE, "four");
	probe_succeeds(&probe, "one <33>two <34>three <17><done>four");
}

static void calls_go_on_at_the_same_time(void **state)
{
	struct probe first = {0}, second = {0};

	probe_begin(*state, &first, NULL, "a");
	peer_expects(*state, 1, NTD_FRAME_RUN, "a");
	probe_begin(*state, &second, NULL, "b");
	peer_expects(*state, 2, NTD_FRAME_RUN, "b");
	peer_text(*state, 2, NTD_FRAME_DATA, "2");
	peer_text(*state, 1, NTD_FRAME_DATA, "1");
	peer_text(*state, 2, NTD_FRAME_DONE, "");
	probe_succeeds(&second, "2<done>");
	peer_text(*state, 1, NTD_FRAME_FAILED, "no such thing");
	probe_fails(&first, NTD_E_MACHINE, "machine 'server': no such thing");
}

static void a_refused_answer_cancels_the_call(void **state)
{
	struct probe probe = {.refuses = true};

	probe_begin(*state, &probe, NULL, "");
	peer_expects(*state, 1, NTD_FRAME_RUN, "");
	peer_text(*state, 1, NTD_FRAME_DATA, "1");
	probe_fails(&probe, NTD_E_PROTOCOL, "the probe refuses");
	peer_expects(*state, 1, NTD_FRAME_CANCEL, "");
}

static void a_late_call_is_cancelled_and_its_frames_are_ignored(void **state)
{
	struct fixture *fixture = *state;
	struct probe late = {.deadline = ntd_after(NTD_MS)}, next = {0};

	probe_begin(fixture, &late, NULL, "late");
	probe_fails(&late, NTD_E_TIMEOUT, "timed out");
	peer_expects(fixture, 1, NTD_FRAME_RUN, "late");
	peer_expects(fixture, 1, NTD_FRAME_CANCEL, "");
	peer_text(fixture, 1, NTD_FRAME_DATA, "lost");
	peer_credit(fixture, 1, 5);
	peer_text(fixture, 1, NTD_FRAME_DONE, "");
	peer_text(fixture, 1, NTD_FRAME_DONE, "again");
	probe_begin(fixture, &next, NULL, "next");
	peer_expects(fixture, 2, NTD_FRAME_RUN, "next");
	peer_text(fixture, 2, NTD_FRAME_DONE, "");
	probe_succeeds(&next, "<done>");
}

static void a_call_may_outlive_its_thread(void **state)
{
	struct probe late = {.deadline = ntd_after(NTD_MS), .call.outlives = true}, next = {0};

	probe_begin(*state, &late, NULL, "late");
	probe_fails(&late, NTD_E_TIMEOUT, "timed out");
	peer_expects(*state, 1, NTD_FRAME_RUN, "late");
	probe_begin(*state, &next, NULL, "next");
	peer_expects(*state, 2, NTD_FRAME_RUN, "next");
	peer_text(*state, 2, NTD_FRAME_DONE, "");
	probe_succeeds(&next, "<done>");
}

static void a_payload_has_a_limit(void **state)
{
	struct probe probe = {0};

	memset(ntd_buf_reserve(&probe.call.payload, NTD_FRAME_MOST), 'x', NTD_FRAME_MOST);
	ntd_buf_added(&probe.call.payload, NTD_FRAME_MOST);
	probe_begin(*state, &probe, NULL, "y");
	probe_fails(&probe, NTD_E_VALUE, "65537 bytes are too many");
}

/* ---- flow control */

static size_t receive_data(struct fixture *fixture, size_t most)
{
	size_t total = 0;

	while (total < most) {
		struct ntd_frame frame = peer_receive(fixture);

		assert_int_equal(frame.kind, NTD_FRAME_DATA);
		total += frame.len;
	}
	return total;
}

static void no_more_is_sent_than_the_agent_has_room_for(void **state)
{
	enum { TOTAL = NTD_FRAME_WINDOW * 2 + 10 };
	struct fixture *fixture = *state;
	struct probe probe = {0};

	memset(ntd_buf_reserve(&probe.input, TOTAL), 'x', TOTAL);
	ntd_buf_added(&probe.input, TOTAL);
	probe_begin(fixture, &probe, &sender_ops, "");
	peer_expects(fixture, 1, NTD_FRAME_RUN, "");
	assert_int_equal(receive_data(fixture, NTD_FRAME_WINDOW), NTD_FRAME_WINDOW);
	settle(fixture->loop);
	assert_false(peer_hears(fixture->peer, 50));
	peer_credit(fixture, 1, 100);
	assert_int_equal(receive_data(fixture, 100), 100);
	peer_credit(fixture, 1, NTD_FRAME_WINDOW);
	assert_int_equal(receive_data(fixture, TOTAL - NTD_FRAME_WINDOW - 100),
			 TOTAL - NTD_FRAME_WINDOW - 100);
	peer_expects(fixture, 1, NTD_FRAME_END, "");
	peer_credit(fixture, 1, NTD_FRAME_WINDOW - 90);
	peer_text(fixture, 1, NTD_FRAME_DONE, "");
	probe_succeeds(&probe, "<done>");
}

/* Begins a call, which the agent has heard of. */
static void begin_run(struct fixture *fixture, struct probe *probe)
{
	probe_begin(fixture, probe, NULL, "");
	peer_expects(fixture, 1, NTD_FRAME_RUN, "");
}

/* ---- the end of the connection */

/* Does the same; then the agent is gone, and the root shell has been asked. */
static void begin_run_and_lose_agent(struct fixture *fixture, struct probe *probe)
{
	begin_run(fixture, probe);
	ntd_close_fd(&fixture->peer);
	assert_true(peer_hears(fixture->shell_peer, -1));
}

static void calls_end_with_the_channel(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {0}, later = {0};

	begin_run(fixture, &probe);
	ntd_loop_call(fixture->loop, close_agent, fixture);
	probe_fails(&probe, NTD_E_DEAD, "QEMU has ended");
	probe_begin(fixture, &later, NULL, "");
	probe_fails(&later, NTD_E_DEAD, "QEMU has ended");
	assert_int_equal(later.call.stream, 0);
}

static void what_was_sent_before_the_end_counts(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {0};

	begin_run(fixture, &probe);
	peer_text(fixture, 1, NTD_FRAME_DATA, "all");
	peer_text(fixture, 1, NTD_FRAME_DONE, "");
	ntd_close_fd(&fixture->peer);
	probe_succeeds(&probe, "all<done>");
}

static void calls_end_with_the_agent(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {0};

	begin_run(fixture, &probe);
	assert_true(fixture->agent->channel.ready);
	ntd_close_fd(&fixture->peer);
	shell_answers(fixture);
	probe_fails(&probe, NTD_E_DEAD, "the agent in the guest has ended");
	assert_false(fixture->agent->channel.ready);
	assert_true(fixture->agent->channel.absent);
}

/* At a reboot the agent may be killed before the shell. */
static void calls_of_a_lost_agent_end_with_the_shell(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {0};

	begin_run_and_lose_agent(fixture, &probe);
	peer_say(fixture->shell_peer, "Spawning backdoor root shell...\n");
	probe_fails(&probe, NTD_E_MACHINE, "the root shell began anew (the guest rebooted?)");
}

static void calls_of_a_lost_agent_end_with_the_machine(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {0};

	begin_run_and_lose_agent(fixture, &probe);
	ntd_loop_call(fixture->loop, close_agent, fixture);
	probe_fails(&probe, NTD_E_DEAD, "QEMU has ended");
}

static void calls_end_with_a_new_root_shell(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {0};

	begin_run(fixture, &probe);
	peer_say(fixture->shell_peer, "Spawning backdoor root shell...\n");
	probe_fails(&probe, NTD_E_MACHINE, "the root shell began anew (the guest rebooted?)");
	assert_false(fixture->agent->channel.ready);
}

static void a_script_that_speaks_to_the_shell_takes_the_commands_there(void **state)
{
	struct fixture *fixture = *state;
	struct probe goes_on = {0}, yields = {.call.yields = true}, stays = {0};

	probe_begin(fixture, &goes_on, NULL, "");
	peer_expects(fixture, 1, NTD_FRAME_RUN, "");
	assert_int_equal(ntd_shell_send(fixture->shell, "cd /\n", 5, NULL), 0);
	assert_false(fixture->agent->channel.ready);
	probe_begin(fixture, &yields, NULL, "");
	probe_fails(&yields, NTD_E_DEAD, "");
	assert_int_equal(yields.call.stream, 0);
	probe_begin(fixture, &stays, NULL, "");
	peer_expects(fixture, 2, NTD_FRAME_RUN, "");
	peer_text(fixture, 2, NTD_FRAME_DONE, "");
	probe_succeeds(&stays, "<done>");
	peer_text(fixture, 1, NTD_FRAME_DONE, "");
	probe_succeeds(&goes_on, "<done>");
}

/* ---- agents that do not keep to the protocol */

static void assert_broken(struct fixture *fixture, struct probe *probe, const char *message)
{
	char byte;

	shell_answers(fixture);
	probe_fails(probe, NTD_E_PROTOCOL, message);
	settle(fixture->loop);
	assert_false(fixture->agent->channel.ready);
	assert_int_equal(recv(fixture->peer, &byte, 1, 0), 0);
}

static void broken_frames_end_the_connection(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {0};

	begin_run(fixture, &probe);
	peer_say(fixture->peer, "login: something that is no frame");
	assert_broken(fixture, &probe, "bytes that are no frame");
}

static void nonsense_ends_the_connection(void **state, uint32_t stream, uint8_t kind,
					 const char *payload, const char *message)
{
	struct fixture *fixture = *state;
	struct probe probe = {0};

	begin_run(fixture, &probe);
	peer_text(fixture, stream, kind, payload);
	assert_broken(fixture, &probe, message);
}

static void frames_of_unknown_streams_are_nonsense(void **state)
{
	nonsense_ends_the_connection(state, 2, NTD_FRAME_DATA, "x", "a stream that has not begun");
}

static void a_second_greeting_is_nonsense(void **state)
{
	nonsense_ends_the_connection(state, 0, NTD_FRAME_HELLO, "x", "a stream that has not begun");
}

static void questions_of_the_agent_are_nonsense(void **state)
{
	nonsense_ends_the_connection(state, 1, NTD_FRAME_RUN, "x", "a kind that is not its own");
}

static void unknown_kinds_are_nonsense(void **state)
{
	nonsense_ends_the_connection(state, 1, 99, "x", "bytes that are no frame");
}

static void too_much_credit_is_nonsense(void **state)
{
	nonsense_ends_the_connection(state, 1, NTD_FRAME_CREDIT, "\1\0\0", "credit for bytes");
}

static void credit_for_nothing_is_nonsense(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {0};

	begin_run(fixture, &probe);
	peer_credit(fixture, 1, 1);
	assert_broken(fixture, &probe, "credit for bytes");
}

/* An agent that has taken leave has not begun what it has not answered. */
static void calls_fail_when_the_agent_takes_leave(void **state)
{
	struct fixture *fixture = *state;
	struct probe answered = {0}, unanswered = {0};

	probe_begin(fixture, &answered, NULL, "a");
	peer_expects(fixture, 1, NTD_FRAME_RUN, "a");
	peer_text(fixture, 1, NTD_FRAME_DONE, "");
	probe_succeeds(&answered, "<done>");
	assert_int_equal(answered.call.how, NTD_CALL_ANSWERED);
	probe_begin(fixture, &unanswered, NULL, "b");
	peer_expects(fixture, 2, NTD_FRAME_RUN, "b");
	peer_text(fixture, 0, NTD_FRAME_END, "");
	probe_fails(&unanswered, NTD_E_DEAD, "the agent in the guest has ended");
	assert_int_equal(unanswered.call.how, NTD_CALL_FAILED);
	assert_true(ntd_agent_channel_of(fixture->agent)->absent);
}

/* ---- the greeting */

static void the_greeting_makes_the_channel_ready(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {0};

	probe_begin(fixture, &probe, NULL, "");
	probe_fails(&probe, NTD_E_DEAD, "machine 'server' has no agent");
	assert_false(fixture->agent->channel.ready);
	assert_true(fixture->agent->channel.absent);
	peer_hello(fixture, NTD_AGENT_VERSION);
	assert_true(fixture->agent->channel.ready);
	assert_false(fixture->agent->channel.absent);
}

static void expect_no_greeting(struct fixture *fixture, const char *message)
{
	struct probe probe = {0};

	settle(fixture->loop);
	assert_false(fixture->agent->channel.ready);
	probe_begin(fixture, &probe, NULL, "");
	probe_fails(&probe, NTD_E_PROTOCOL, message);
}

static void the_version_has_to_be_the_drivers(void **state)
{
	peer_hello(*state, NTD_AGENT_VERSION + 1);
	expect_no_greeting(*state, "another version");
}

static void nothing_comes_before_the_greeting(void **state)
{
	peer_text(*state, 1, NTD_FRAME_DONE, "");
	expect_no_greeting(*state, "something else than a greeting");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		agent_test(a_call_hears_what_the_agent_sends),
		agent_test(calls_go_on_at_the_same_time),
		agent_test(a_refused_answer_cancels_the_call),
		agent_test(a_late_call_is_cancelled_and_its_frames_are_ignored),
		agent_test(a_call_may_outlive_its_thread),
		agent_test(a_payload_has_a_limit),
		agent_test(no_more_is_sent_than_the_agent_has_room_for),
		agent_test(calls_end_with_the_channel),
		agent_test(what_was_sent_before_the_end_counts),
		agent_test(calls_end_with_the_agent),
		agent_test(calls_of_a_lost_agent_end_with_the_shell),
		agent_test(calls_of_a_lost_agent_end_with_the_machine),
		agent_test(calls_end_with_a_new_root_shell),
		agent_test(a_script_that_speaks_to_the_shell_takes_the_commands_there),
		agent_test(broken_frames_end_the_connection),
		agent_test(frames_of_unknown_streams_are_nonsense),
		agent_test(a_second_greeting_is_nonsense),
		agent_test(questions_of_the_agent_are_nonsense),
		agent_test(unknown_kinds_are_nonsense),
		agent_test(too_much_credit_is_nonsense),
		agent_test(credit_for_nothing_is_nonsense),
		agent_test(calls_fail_when_the_agent_takes_leave),
		greeting_test(the_greeting_makes_the_channel_ready),
		greeting_test(the_version_has_to_be_the_drivers),
		greeting_test(nothing_comes_before_the_greeting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
