/* Tests of a VLAN's switch, with socket pairs as ports: the frames that clients get. */
#include "unit.h"

#include "net/datagram.h"

#include "test_net_client.h"

enum { PORTS = 4, FULL_FRAME = 1514 };

struct fixture {
	struct ntd_loop *loop;
	struct ntd_switch *hub;
	struct ntd_port *ports[PORTS];
	int ours[PORTS], peers[PORTS]; /* the switch's ends and the clients' ends */
	struct ntd_switch_counts counts;
};

static void run_plug(void *arg)
{
	struct fixture *fixture = arg;

	for (int i = 0; i < PORTS; i++)
		fixture->ports[i] =
			ntd_switch_plug(fixture->hub, fixture->ours[i], &ntd_datagram_link, NULL);
}

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture.loop = ntd_loop_new(NULL);
	if (!fixture.loop)
		return -1;
	fixture.hub = ntd_switch_new(fixture.loop);
	for (int i = 0; i < PORTS; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
			return -1;
		fixture.ours[i] = pair[0];
		fixture.peers[i] = pair[1];
		set_timeout(pair[1]);
	}
	ntd_loop_call(fixture.loop, run_plug, &fixture);
	*state = &fixture;
	return fixture.ports[PORTS - 1] ? 0 : -1;
}

static void run_free(void *arg)
{
	ntd_switch_free(arg);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_loop_call(fixture->loop, run_free, fixture->hub);
	ntd_loop_free(fixture->loop);
	for (int i = 0; i < PORTS; i++)
		close(fixture->peers[i]);
	return 0;
}

static void run_counts(void *arg)
{
	struct fixture *fixture = arg;

	fixture->counts = ntd_switch_counts(fixture->hub);
}

static struct ntd_switch_counts counts_of(struct fixture *fixture)
{
	ntd_loop_call(fixture->loop, run_counts, fixture);
	return fixture->counts;
}

static void send_frame(int fd, const void *frame, size_t len)
{
	assert_int_equal(send(fd, frame, len, 0), len);
}

static void expect_frame(int fd, const void *frame, size_t len)
{
	unsigned char got[NTD_FRAME_MAX + 1];

	assert_int_equal(recv(fd, got, sizeof got, 0), len);
	assert_memory_equal(got, frame, len);
}

static void expect_nothing(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
}

static void floods_to_all_others(void **state)
{
	struct fixture *fixture = *state;
	unsigned char frame[FULL_FRAME];

	for (int from = 0; from < PORTS; from++) {
		memset(frame, 'a' + from, sizeof frame);
		send_frame(fixture->peers[from], frame, sizeof frame);
		for (int to = 0; to < PORTS; to++)
			if (to != from)
				expect_frame(fixture->peers[to], frame, sizeof frame);
	}
	assert_int_equal(counts_of(fixture).received, PORTS);
	assert_int_equal(counts_of(fixture).sent, PORTS * (PORTS - 1));
	/* Every frame has been forwarded, none to its sender, and none twice. */
	for (int i = 0; i < PORTS; i++)
		expect_nothing(fixture->peers[i]);
}

static void keeps_order_and_sizes(void **state)
{
	struct fixture *fixture = *state;
	unsigned char frame[NTD_FRAME_MAX] = {0};

	for (size_t len = NTD_FRAME_MIN; len <= NTD_FRAME_MAX; len += 118) {
		memset(frame, (int)len, len);
		send_frame(fixture->peers[0], frame, len);
	}
	for (size_t len = NTD_FRAME_MIN; len <= NTD_FRAME_MAX; len += 118) {
		memset(frame, (int)len, len);
		expect_frame(fixture->peers[1], frame, len);
	}
}

static void passes_tagged_frames(void **state)
{
	/* A broadcast with an 802.1Q tag (priority 5, id 10), then an inner tag, ARP. */
	static const unsigned char frame[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54,
						0,    0x12, 1,    2,    0x81, 0,    0xa0, 10,
						0x81, 0,    0,    11,   0x08, 0x06, 0xde, 0xad};
	struct fixture *fixture = *state;

	send_frame(fixture->peers[2], frame, sizeof frame);
	expect_frame(fixture->peers[0], frame, sizeof frame);
	expect_frame(fixture->peers[1], frame, sizeof frame);
}

static void drops_what_is_no_frame(void **state)
{
	static const unsigned char big[60000];
	static const unsigned char good[FULL_FRAME] = "good";
	struct fixture *fixture = *state;

	send_frame(fixture->peers[0], "", 0);
	send_frame(fixture->peers[0], big, NTD_FRAME_MIN - 1);
	send_frame(fixture->peers[0], big, NTD_FRAME_MAX + 1);
	send_frame(fixture->peers[0], big, sizeof big);
	send_frame(fixture->peers[0], good, sizeof good);
	for (int to = 1; to < PORTS; to++)
		expect_frame(fixture->peers[to], good, sizeof good);
	assert_int_equal(counts_of(fixture).invalid, 4);
	assert_int_equal(counts_of(fixture).received, 1);
}

/* While one client never reads, the others get every frame; the slow one keeps what its queue held.
 */
static void a_slow_receiver_is_alone_in_it(void **state)
{
	enum { FRAMES = 5000, SLOW = 3 };
	struct fixture *fixture = *state;
	unsigned char frame[FULL_FRAME] = {0};

	for (int i = 0; i < FRAMES; i++) {
		memcpy(frame, &i, sizeof i);
		send_frame(fixture->peers[0], frame, sizeof frame);
		expect_frame(fixture->peers[1], frame, sizeof frame);
		expect_frame(fixture->peers[2], frame, sizeof frame);
	}
	assert_int_equal(counts_of(fixture).received, FRAMES);
	assert_in_range(counts_of(fixture).dropped, 1, FRAMES - 50);
	assert_int_equal(counts_of(fixture).sent + counts_of(fixture).dropped,
			 FRAMES * (PORTS - 1));
	for (int i = 0; i < 50; i++) {
		memcpy(frame, &i, sizeof i);
		expect_frame(fixture->peers[SLOW], frame, sizeof frame);
	}
}

/* A flood, during which the switch pauses its sender, gets through, and so do the sender's later
 * frames. */
static void a_flood_goes_on_after_rests(void **state)
{
	enum { FRAMES = 20000 };
	static const unsigned char last[FULL_FRAME] = "last";
	struct fixture *fixture = *state;
	unsigned char frame[FULL_FRAME] = {0};

	for (int i = 0; i < FRAMES; i++)
		send_frame(fixture->peers[0], frame, sizeof frame);
	while (counts_of(fixture).received < FRAMES)
		;
	for (int i = 1; i < PORTS; i++)
		while (recv(fixture->peers[i], frame, sizeof frame, MSG_DONTWAIT) > 0)
			;
	send_frame(fixture->peers[0], last, sizeof last);
	expect_frame(fixture->peers[1], last, sizeof last);
}

static void run_unplug(void *arg)
{
	ntd_port_unplug(arg);
}

static void ports_come_and_go(void **state)
{
	static const unsigned char frame[FULL_FRAME] = "frame";
	struct fixture *fixture = *state;

	ntd_loop_call(fixture->loop, run_unplug, fixture->ports[1]);
	assert_int_equal(send(fixture->peers[1], frame, sizeof frame, MSG_NOSIGNAL), -1);
	send_frame(fixture->peers[0], frame, sizeof frame);
	expect_frame(fixture->peers[2], frame, sizeof frame);
	expect_frame(fixture->peers[3], frame, sizeof frame);

	ntd_loop_call(fixture->loop, run_unplug, fixture->ports[3]);
	send_frame(fixture->peers[2], frame, sizeof frame);
	expect_frame(fixture->peers[0], frame, sizeof frame);
	assert_int_equal(counts_of(fixture).sent, 3);
}

/* The port of the client that has vanished is still plugged in. */
static void a_vanished_receiver_is_alone_in_it(void **state)
{
	static const unsigned char frame[FULL_FRAME] = "frame";
	struct fixture *fixture = *state;

	close(fixture->peers[2]);
	fixture->peers[2] = -1;
	send_frame(fixture->peers[0], frame, sizeof frame);
	expect_frame(fixture->peers[3], frame, sizeof frame);
	send_frame(fixture->peers[3], frame, sizeof frame);
	expect_frame(fixture->peers[0], frame, sizeof frame);
	assert_int_equal(counts_of(fixture).dropped, 2);
}

/* ---- cuts */

static void run_cut(void *arg)
{
	ntd_switch_cut(arg);
}

static void run_join(void *arg)
{
	ntd_switch_join(arg);
}

static void do_to_switch(struct fixture *fixture, void (*what)(void *hub))
{
	ntd_loop_call(fixture->loop, what, fixture->hub);
}

/* Sends more frames than a batch from each of two ports. */
static void send_two_bursts(struct fixture *fixture)
{
	static const unsigned char frame[100];

	for (int i = 0; i < 80; i++) {
		send_frame(fixture->peers[0], frame, sizeof frame);
		send_frame(fixture->peers[1], frame, sizeof frame);
	}
}

static void expect_passage_from_all(struct fixture *fixture)
{
	static const unsigned char frame[FULL_FRAME] = "later";

	for (int from = 0; from < PORTS; from++) {
		send_frame(fixture->peers[from], frame, sizeof frame);
		for (int to = 0; to < PORTS; to++)
			if (to != from)
				expect_frame(fixture->peers[to], frame, sizeof frame);
	}
}

static void a_cut_switch_reads_and_drops(void **state)
{
	static const unsigned char runt[5];
	struct fixture *fixture = *state;

	do_to_switch(fixture, run_cut);
	send_two_bursts(fixture);
	send_frame(fixture->peers[2], runt, sizeof runt); /* dropped anyway */
	while (counts_of(fixture).received < 160)
		;
	do_to_switch(fixture, run_join);
	for (int i = 0; i < PORTS; i++)
		expect_nothing(fixture->peers[i]);
	assert_int_equal(counts_of(fixture).received, 160);
	assert_int_equal(counts_of(fixture).dropped, 160 * (PORTS - 1));
	assert_int_equal(counts_of(fixture).sent, 0);
	assert_int_equal(counts_of(fixture).invalid, 1);
	expect_passage_from_all(fixture);
}

static void run_cut_and_join(void *arg)
{
	ntd_switch_cut(arg);
	run_join(arg);
}

struct bursts {
	struct fixture *fixture;
	void (*what)(void *hub);
};

/* While the loop thread is here, it reads no port: the frames wait there. */
static void run_after_bursts(void *arg)
{
	struct bursts *bursts = arg;

	send_two_bursts(bursts->fixture);
	bursts->what(bursts->fixture->hub);
}

static void what_waits_is_dropped_at_the_join(void **state)
{
	struct fixture *fixture = *state;

	ntd_loop_call(fixture->loop, run_after_bursts, &(struct bursts){fixture, run_cut_and_join});
	for (int i = 0; i < PORTS; i++)
		expect_nothing(fixture->peers[i]);
	assert_int_equal(counts_of(fixture).dropped, 160 * (PORTS - 1));
	expect_passage_from_all(fixture);
}

static void cuts_nest(void **state)
{
	struct fixture *fixture = *state;

	do_to_switch(fixture, run_cut);
	do_to_switch(fixture, run_cut);
	do_to_switch(fixture, run_join);
	send_two_bursts(fixture);
	while (counts_of(fixture).received < 160)
		;
	expect_nothing(fixture->peers[2]);
	do_to_switch(fixture, run_join);
	expect_passage_from_all(fixture);
}

static void run_plug_anew(void *arg)
{
	struct fixture *fixture = arg;

	ntd_port_unplug(fixture->ports[3]);
	fixture->ports[3] =
		ntd_switch_plug(fixture->hub, fixture->ours[3], &ntd_datagram_link, NULL);
}

static void ports_come_and_go_while_it_is_cut(void **state)
{
	static const unsigned char frame[FULL_FRAME] = "frame";
	struct fixture *fixture = *state;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	do_to_switch(fixture, run_cut);
	fixture->ours[3] = pair[0];
	ntd_loop_call(fixture->loop, run_plug_anew, fixture);
	send_frame(pair[1], frame, sizeof frame);
	while (!counts_of(fixture).received)
		;
	expect_nothing(fixture->peers[0]);
	do_to_switch(fixture, run_join);
	send_frame(pair[1], frame, sizeof frame);
	expect_frame(fixture->peers[0], frame, sizeof frame);
	close(pair[1]);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(floods_to_all_others),
		test(keeps_order_and_sizes),
		test(passes_tagged_frames),
		test(drops_what_is_no_frame),
		test(a_slow_receiver_is_alone_in_it),
		test(a_flood_goes_on_after_rests),
		test(ports_come_and_go),
		test(a_vanished_receiver_is_alone_in_it),
		test(a_cut_switch_reads_and_drops),
		test(what_waits_is_dropped_at_the_join),
		test(cuts_nest),
		test(ports_come_and_go_while_it_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
