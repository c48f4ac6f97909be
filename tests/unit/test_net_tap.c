/* Tests of a VLAN's tap interface, in network and mount namespaces of this program, which only root
 * can make.
 */
#include "test_net_fixture.h"

#include "net/tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#define NAME "vde-tap1"

enum { FULL_FRAME = 1514 };

static bool isolated; /* whether the program is in its own namespaces */

static void need_namespaces(void)
{
	if (isolated && access("/dev/net/tun", F_OK) == 0)
		return;
	print_message("SKIPPED: taps need root, a network namespace and /dev/net/tun\n");
	skip();
}

static void add_tap(struct fixture *fixture)
{
	struct ntd_error *error = NULL;

	ntd_vlan_add_tap(fixture->vlan, &error);
	assert_no_error(error);
}

/* ---- the interface as the host sees it */

static struct ifreq ask(unsigned long what, struct ifreq request)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, IFNAMSIZ, NAME);
	assert_int_equal(ioctl(fd, what, &request), 0);
	return request;
}

static void bring_up(void)
{
	ask(SIOCSIFFLAGS, (struct ifreq){.ifr_flags = IFF_UP});
}

/* Opens a socket that sends and receives whole frames at the interface. */
static int open_packets(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1, size = 64 << 20;
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = htons(ETH_P_ALL),
				      .sll_ifindex = (int)if_nametoindex(NAME)};

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) |
				 setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) |
				 set_timeout(fd),
			 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

/* A fixture: a VLAN with a tap interface that is up, a client, and a socket at the interface. */
struct both {
	struct vde_client client;
	int packets;
};

static struct both start_both(struct fixture *fixture)
{
	struct both both;

	need_namespaces();
	start(fixture);
	add_tap(fixture);
	bring_up();
	assert_int_equal(client_open(&both.client, fixture->directory, 0), 0);
	both.packets = open_packets();
	return both;
}

static void end_both(struct both *both)
{
	client_close(&both->client);
	close(both->packets);
}

static void pass(int from, int to, const void *frame, size_t len)
{
	unsigned char got[NTD_FRAME_MAX + 1];

	assert_int_equal(send(from, frame, len, MSG_NOSIGNAL), len);
	assert_int_equal(recv(to, got, sizeof got, 0), len);
	assert_memory_equal(got, frame, len);
}

/* ---- tests */

static void frames_pass_both_ways(void **state)
{
	struct fixture *fixture = *state;
	struct both both = start_both(fixture);
	unsigned char frame[FULL_FRAME] = {0x52, 0x54, 0, 1, 2, 3,    0x52,
					   0x54, 0,    4, 5, 6, 0x88, 0xb5};

	for (size_t len = NTD_FRAME_MIN; len <= FULL_FRAME; len += 100) {
		frame[len - 1] = (unsigned char)len;
		pass(both.client.data, both.packets, frame, len);
		pass(both.packets, both.client.data, frame, len);
	}
	assert_int_equal(
		system("ip -details link show " NAME " | grep -q 'tun type tap.*persist off'"), 0);
	assert_true(ask(SIOCGIFTXQLEN, (struct ifreq){0}).ifr_qlen > 500);
	expect_logged(fixture, "creating tap interface " NAME);
	end_both(&both);
}

/* The kernel removes the outer tag of a received frame and passes it beside the frame. */
static void tagged_frames_keep_their_tags(void **state)
{
	static const unsigned char frame[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54,
						0,    0x12, 1,    2,    0x81, 0,    0xa0, 10,
						0x81, 0,    0,    11,   0x08, 0x06, 0xde, 0xad};
	struct both both = start_both(*state);
	unsigned char got[100];
	char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))] = {0};
	struct iovec space = {got, sizeof got};
	struct msghdr message = {.msg_iov = &space,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof control};
	struct tpacket_auxdata beside = {0};

	pass(both.packets, both.client.data, frame, sizeof frame);
	assert_int_equal(send(both.client.data, frame, sizeof frame, MSG_NOSIGNAL), sizeof frame);
	assert_int_equal(recvmsg(both.packets, &message, 0), sizeof frame - 4);
	assert_non_null(CMSG_FIRSTHDR(&message));
	memcpy(&beside, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof beside);
	assert_true(beside.tp_status & TP_STATUS_VLAN_VALID);
	assert_int_equal(beside.tp_vlan_tci, 0xa00a);
	assert_memory_equal(got, frame, 12);
	assert_memory_equal(got + 12, frame + 16, sizeof frame - 16);
	end_both(&both);
}

static void bursts_arrive_whole_and_in_order(void **state)
{
	enum { FRAMES = 4000, ROUND = 250 };
	struct fixture *fixture = *state;
	struct both both = start_both(fixture);
	unsigned char frame[FULL_FRAME] = {[12] = 0x88, [13] = 0xb5}, got[FULL_FRAME];
	struct ntd_switch_counts counts;

	for (int i = 0; i < FRAMES; i++) {
		memcpy(frame + 14, &i, sizeof i);
		assert_int_equal(send(both.client.data, frame, sizeof frame, 0), sizeof frame);
	}
	for (int i = 0; i < FRAMES; i++) {
		assert_int_equal(recv(both.packets, got, sizeof got, 0), sizeof got);
		assert_memory_equal(got + 14, &i, sizeof i);
	}
	/* In the other direction the client's queue is the limit. */
	for (int i = 0; i < FRAMES; i += ROUND) {
		for (int j = 0; j < ROUND; j++)
			assert_int_equal(send(both.packets, frame, sizeof frame, 0), sizeof frame);
		for (int j = 0; j < ROUND; j++)
			assert_int_equal(recv(both.client.data, got, sizeof got, 0), sizeof got);
	}
	counts = ntd_vlan_counts(fixture->vlan);
	assert_int_equal(counts.received, 2 * FRAMES);
	assert_int_equal(counts.sent, 2 * FRAMES);
	assert_int_equal(counts.dropped, 0);
	end_both(&both);
}

static void runts_and_giants_do_not_pass(void **state)
{
	static const unsigned char frame[NTD_FRAME_MAX + 100] = {[12] = 0x88, [13] = 0xb5};
	struct fixture *fixture = *state;
	struct both both = start_both(fixture);

	ask(SIOCSIFMTU, (struct ifreq){.ifr_mtu = 20000});
	for (size_t len = NTD_FRAME_MAX + 1; len <= sizeof frame; len += 99)
		assert_int_equal(send(both.packets, frame, len, 0), len);
	pass(both.packets, both.client.data, frame, NTD_FRAME_MAX);
	assert_int_equal(send(both.client.data, frame, NTD_FRAME_MIN - 1, 0), NTD_FRAME_MIN - 1);
	pass(both.client.data, both.packets, frame, NTD_FRAME_MAX);
	assert_int_equal(ntd_vlan_counts(fixture->vlan).invalid, 3);
	end_both(&both);
}

static int64_t processor_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * NTD_SECOND + now.tv_nsec;
}

/* Asserts that the loop sleeps while nothing happens and that the client's frames are dropped. */
static void expect_quiet_loss(struct fixture *fixture, const struct vde_client *client)
{
	uint64_t dropped = ntd_vlan_counts(fixture->vlan).dropped;
	int64_t deadline = ntd_after(10 * NTD_SECOND), before;
	static const unsigned char frame[64];

	for (int i = 0; i < 100; i++)
		assert_int_equal(send(client->data, frame, sizeof frame, 0), sizeof frame);
	while (ntd_vlan_counts(fixture->vlan).dropped < dropped + 100 && ntd_now() < deadline)
		;
	assert_int_equal(ntd_vlan_counts(fixture->vlan).dropped, dropped + 100);
	before = processor_time();
	nanosleep(&(struct timespec){.tv_nsec = 400 * NTD_MS}, NULL);
	assert_true(processor_time() - before < 200 * NTD_MS);
}

static void an_interface_that_is_down_or_deleted_only_loses_frames(void **state)
{
	struct fixture *fixture = *state;
	struct vde_client clients[2];

	need_namespaces();
	start(fixture);
	add_tap(fixture);
	assert_int_equal(client_open(&clients[0], fixture->directory, 0), 0);
	expect_quiet_loss(fixture, &clients[0]);
	bring_up();
	ask(SIOCSIFFLAGS, (struct ifreq){.ifr_flags = 0});
	expect_quiet_loss(fixture, &clients[0]);
	assert_int_equal(system("ip link delete " NAME), 0);
	expect_quiet_loss(fixture, &clients[0]);
	assert_int_equal(client_open(&clients[1], fixture->directory, 1), 0);
	expect_passage(&clients[0], &clients[1]);
	client_close(&clients[0]);
	client_close(&clients[1]);
}

static void a_second_call_fails_and_the_end_removes_it(void **state)
{
	struct fixture *fixture = *state;

	need_namespaces();
	for (int i = 0; i < 2; i++) {
		unsigned index;

		start(fixture);
		add_tap(fixture);
		index = if_nametoindex(NAME);
		assert_true(index > 0);
		assert_fails(ntd_vlan_add_tap(fixture->vlan, &err), NTD_E_SYS,
			     "there is such an interface already");
		assert_int_equal(if_nametoindex(NAME), index);
		stop(fixture);
		assert_int_equal(if_nametoindex(NAME), 0);
	}
	assert_int_equal(times_logged(fixture, "creating tap interface"), 4);
}

/* The name of another run's interface is an error, until that run has ended. */
static void a_name_that_is_taken_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	int other;

	need_namespaces();
	other = ntd_tap_open(NAME, NULL);
	assert_true(other >= 0);
	start(fixture);
	assert_fails(
		ntd_vlan_add_tap(fixture->vlan, &err), NTD_E_SYS,
		"there is such an interface already: another run uses it, or \"ip link delete " NAME
		"\" removes it: " NAME ": Device or resource busy");
	close(other);
	add_tap(fixture);
}

static void what_the_system_lacks_is_named(void **state)
{
	struct fixture *fixture = *state;

	need_namespaces();
	start(fixture);
	assert_int_equal(mount("none", "/dev/net", "tmpfs", 0, NULL), 0);
	assert_fails(ntd_vlan_add_tap(fixture->vlan, &err), NTD_E_SYS,
		     "in a Nix sandbox add /dev/net to extra-sandbox-paths and \"devnet\" to "
		     "system-features: /dev/net/tun: No such file");
	assert_int_equal(close(open("/dev/net/tun", O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(seteuid(65534), 0);
	assert_fails(ntd_vlan_add_tap(fixture->vlan, &err), NTD_E_SYS,
		     "has to run as root): /dev/net/tun: Permission denied");
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(umount("/dev/net"), 0);
	add_tap(fixture);
}

static void a_name_has_a_length(void **state)
{
	char name[IFNAMSIZ];

	assert_int_equal(ntd_tap_name(99999999, name, NULL), 0);
	assert_string_equal(name, "vde-tap99999999");
	assert_fails(ntd_tap_name(100000000, name, &err), NTD_E_VALUE, "vde-tap100000000");
}

/* Isolates the program, with IPv6 off, which would send frames of its own as soon as an interface
 * is up. */
static bool isolate(void)
{
	_cleanup_fd_ int ipv6 = -1;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	ipv6 = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	return ipv6 < 0 || write(ipv6, "1", 1) == 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(frames_pass_both_ways),
		test(tagged_frames_keep_their_tags),
		test(bursts_arrive_whole_and_in_order),
		test(runts_and_giants_do_not_pass),
		test(an_interface_that_is_down_or_deleted_only_loses_frames),
		test(a_second_call_fails_and_the_end_removes_it),
		test(a_name_that_is_taken_is_an_error),
		test(what_the_system_lacks_is_named),
		cmocka_unit_test(a_name_has_a_length),
	};

	isolated = isolate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
