/* Tests of copies by streams of the agent: the driver's client at one end, the agent in a process
 * of its own at the other.
 */
#include "agent_fixture.h"
#include "sftp_fixture.h"

#include <sys/prctl.h>

/* A copy by one stream of an agent. */
struct streamed {
	struct agent *agent;
	uint32_t number;
	struct ntd_sftp *sftp;
	struct copying copying;
	struct ntd_sftp_wire wire;
	size_t unused; /* bytes without credit */
	unsigned frames;
};

static void begin_stream(struct streamed *streamed, struct agent *agent, uint32_t number,
			 enum ntd_sftp_direction direction, const char *source, const char *target)
{
	*streamed = (struct streamed){.agent = agent,
				      .number = number,
				      .wire = {wire_output, wire_done, &streamed->copying}};
	streamed->sftp = ntd_sftp_new(direction, at(source), at(target), &streamed->wire);
	ntd_sftp_follow_all(streamed->sftp);
	tell(agent, direction == NTD_SFTP_PUT ? NTD_FRAME_PUT : NTD_FRAME_GET, number, NULL);
	ntd_sftp_begin(streamed->sftp);
}

static void send_window(struct streamed *streamed)
{
	struct ntd_buf *output = ntd_sftp_output(streamed->sftp);
	size_t room;

	while (output->len && (room = NTD_FRAME_WINDOW - streamed->unused)) {
		size_t len = output->len < room ? output->len : room;

		len = len < NTD_FRAME_MOST ? len : NTD_FRAME_MOST;
		tell_bytes(streamed->agent, NTD_FRAME_DATA, streamed->number, ntd_buf_bytes(output),
			   len);
		streamed->unused += len;
		ntd_buf_consume(output, len);
		ntd_sftp_sent(streamed->sftp);
	}
}

static void take(struct streamed *streamed, const struct ntd_frame *frame)
{
	struct ntd_unpack in = {.at = frame->bytes, .left = frame->len};

	streamed->frames++;
	if (frame->kind == NTD_FRAME_DATA) {
		ntd_sftp_input(streamed->sftp, frame->bytes, frame->len);
		return;
	}
	assert_int_equal(frame->kind, NTD_FRAME_CREDIT);
	streamed->unused -= ntd_unpack_u32(&in);
	assert_true(ntd_unpack_is_whole(&in) && streamed->unused <= NTD_FRAME_WINDOW);
}

static void end_stream(struct streamed *streamed)
{
	struct ntd_frame frame;

	tell(streamed->agent, NTD_FRAME_END, streamed->number, NULL);
	while ((frame = hear(streamed->agent)).kind != NTD_FRAME_DONE)
		assert_int_equal(frame.kind, NTD_FRAME_CREDIT);
	ntd_sftp_free(streamed->sftp);
}

static void copy_by_stream(struct agent *agent, uint32_t number, enum ntd_sftp_direction direction,
			   const char *source, const char *target)
{
	struct streamed streamed;

	begin_stream(&streamed, agent, number, direction, source, target);
	while (!streamed.copying.done) {
		struct ntd_frame frame;

		send_window(&streamed);
		frame = hear(agent);
		assert_int_equal(frame.stream, number);
		take(&streamed, &frame);
	}
	assert_no_error(streamed.copying.error);
	end_stream(&streamed);
}

static void copies_go_both_ways(void **state)
{
	struct agent agent = start_agent();

	make_tree();
	shell("head -c 9000123 /dev/urandom >from/large");
	copy_by_stream(&agent, 1, NTD_SFTP_PUT, "from", "on-the-way");
	copy_by_stream(&agent, 2, NTD_SFTP_GET, "on-the-way", "to");
	stop_agent(&agent);
	shell("diff -r from on-the-way && diff -r from to");
	assert_nothing_left();
}

static void copies_go_at_the_same_time(void **state)
{
	enum { COPIES = 5 };
	struct agent agent = start_agent();
	struct streamed all[COPIES];
	unsigned done = 0;

	shell("head -c 3000000 /dev/urandom >from");
	for (uint32_t i = 0; i < COPIES; i++) {
		_cleanup_free_ char *name = ntd_asprintf("to-%u", i);

		begin_stream(&all[i], &agent, i + 1, i % 2 ? NTD_SFTP_GET : NTD_SFTP_PUT, "from",
			     name);
		send_window(&all[i]);
	}
	while (done < COPIES) {
		struct ntd_frame frame = hear(&agent);
		struct streamed *streamed = &all[frame.stream - 1];

		if (frame.kind == NTD_FRAME_DONE) {
			done++;
			continue;
		}
		if (streamed->copying.done)
			continue;
		take(streamed, &frame);
		if (streamed->copying.done)
			tell(&agent, NTD_FRAME_END, frame.stream, NULL);
		else
			send_window(streamed);
	}
	for (size_t i = 0; i < COPIES; i++) {
		assert_no_error(all[i].copying.error);
		ntd_sftp_free(all[i].sftp);
	}
	stop_agent(&agent);
	shell("for i in 0 1 2 3 4; do cmp from to-$i || exit 1; done");
}

/* Runs a copy into the guest until that many frames have come. */
static void copy_a_part(struct streamed *streamed, struct agent *agent, unsigned frames)
{
	begin_stream(streamed, agent, 1, NTD_SFTP_PUT, "from", "to");
	while (streamed->frames < frames) {
		struct ntd_frame frame;

		send_window(streamed);
		frame = hear(agent);
		take(streamed, &frame);
		assert_false(streamed->copying.done);
	}
}

static void make_source(void)
{
	shell("mkdir -p from/a; for i in $(seq 300); do echo $i >from/a/$i; done;"
	      "head -c 9000000 /dev/urandom >from/large");
}

static void a_cancelled_copy_leaves_nothing(void **state)
{
	make_source();
	for (unsigned frames = 1; frames < 12; frames++) {
		struct agent agent = start_agent();
		struct streamed streamed;

		copy_a_part(&streamed, &agent, frames);
		tell(&agent, NTD_FRAME_CANCEL, 1, NULL);
		while (hear(&agent).kind != NTD_FRAME_DONE)
			;
		ntd_sftp_free(streamed.sftp);
		assert_false(exists("to"));
		assert_nothing_left();
		stop_agent(&agent);
	}
}

/* The processes of copies become children of this process, which waits for their ends. */
static void a_lost_port_leaves_nothing(void **state)
{
	make_source();
	for (unsigned frames = 1; frames < 12; frames++) {
		struct agent agent;
		struct streamed streamed;

		agent = start_agent();
		copy_a_part(&streamed, &agent, frames);
		ntd_sftp_free(streamed.sftp);
		if (frames % 2) {
			stop_agent(&agent);
		} else {
			kill(agent.pid, SIGKILL);
			assert_int_equal(waitpid(agent.pid, NULL, 0), agent.pid);
			ntd_close_fd(&agent.fd);
			ntd_buf_free(&agent.in);
		}
		while (waitpid(-1, NULL, 0) > 0)
			;
		assert_false(exists("to"));
		assert_nothing_left();
	}
}

/* A server that opens a pipe waits for its other end. */
static void a_copy_that_waits_for_a_file_is_killed(void **state)
{
	struct agent agent = start_agent();
	struct streamed streamed;

	make_dir("in", 0700);
	write_file("in/from", "x", 0600);
	assert_int_equal(mkfifo(at("to"), 0600), 0);
	begin_stream(&streamed, &agent, 1, NTD_SFTP_PUT, "in/from", "to");
	for (unsigned i = 0; i < 100 && ntd_sftp_progress(streamed.sftp).bytes == 0; i++) {
		struct ntd_frame frame;

		send_window(&streamed);
		frame = hear(&agent);
		take(&streamed, &frame);
	}
	send_window(&streamed);
	tell(&agent, NTD_FRAME_CANCEL, 1, NULL);
	while (hear(&agent).kind != NTD_FRAME_DONE)
		;
	ntd_sftp_free(streamed.sftp);
	stop_agent(&agent);
}

static void nonsense_in_a_stream_ends_it(void **state)
{
	struct agent agent = start_agent();

	tell(&agent, NTD_FRAME_PUT, 1, NULL);
	tell_bytes(&agent, NTD_FRAME_DATA, 1, "\xff\xff\xff\xff nonsense", 13);
	while (hear(&agent).kind != NTD_FRAME_DONE)
		;
	tell(&agent, NTD_FRAME_GET, 2, NULL);
	stop_agent(&agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define each(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		each(copies_go_both_ways),
		each(copies_go_at_the_same_time),
		each(a_cancelled_copy_leaves_nothing),
		each(a_lost_port_leaves_nothing),
		each(a_copy_that_waits_for_a_file_is_killed),
		each(nonsense_in_a_stream_ends_it),
	};

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
