/* Tests of a VLAN from its clients' side. */
#include "test_net_fixture.h"

#include <sys/resource.h>

static void serves_clients(void **state)
{
	struct fixture *fixture = *state;
	struct vde_client clients[3];
	struct stat status;

	start(fixture);
	assert_int_equal(ntd_vlan_number(fixture->vlan), 1);
	assert_string_equal(ntd_vlan_directory(fixture->vlan), fixture->directory);
	assert_int_equal(stat(fixture->directory, &status), 0);
	assert_int_equal(status.st_mode, S_IFDIR | 0700);

	open_clients(fixture, clients, 3);
	assert_true(exists(fixture, "003"));
	expect_passage(&clients[0], &clients[1]);
	expect_passage(&clients[2], &clients[0]);
	expect_passage(&clients[2], &clients[0]);
	expect_logged(fixture, "vlan 1: port 3 is \"test\"");

	stop(fixture);
	assert_int_equal(access(fixture->directory, F_OK), -1);
	for (int i = 0; i < 3; i++) {
		expect_hangup(clients[i].control);
		client_close(&clients[i]);
	}
}

static void logs_as_upstream(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *expected =
		ntd_asprintf("start vlan\nrunning vlan (pid %d; ctl %s)\nkill vlan (pid %d)\n",
			     getpid(), fixture->directory, getpid());

	start(fixture);
	stop(fixture);
	expect_logged(fixture, expected);
}

static void frees_and_reuses_ports(void **state)
{
	struct fixture *fixture = *state;
	struct vde_client clients[3];

	start(fixture);
	open_clients(fixture, clients, 3);
	client_close(&clients[0]);
	wait_for_end_of(fixture, "001");
	expect_passage(&clients[1], &clients[2]);

	assert_int_equal(client_open(&clients[0], fixture->directory, 0), 0);
	assert_true(exists(fixture, "001"));
	expect_passage(&clients[0], &clients[1]);

	/* The end of the control connection alone unplugs the client. */
	close(clients[0].control);
	wait_for_end_of(fixture, "001");
	assert_int_equal(send(clients[0].data, "", 1, MSG_NOSIGNAL), -1);
	close(clients[0].data);
	client_close(&clients[1]);
	client_close(&clients[2]);
}

static void takes_requests_in_pieces(void **state)
{
	struct fixture *fixture = *state;
	struct vde_request request;
	struct vde_client client;
	size_t len;

	start(fixture);
	assert_int_equal(client_prepare(&client, fixture->directory, 0), 0);
	len = make_request(&request, client.ours.sun_path, "");
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(send(client.control, (char *)&request + i, 1, MSG_NOSIGNAL), 1);
		ntd_vlan_counts(fixture->vlan); /* the loop makes a round between the bytes */
	}
	assert_int_equal(client_finish(&client), 0);
	client_close(&client);
}

/* Sends the longest request; bytes behind it mean nothing. */
static void ignores_what_follows_a_request(void **state)
{
	struct fixture *fixture = *state;
	struct vde_client client, other;
	struct vde_request request;

	start(fixture);
	assert_int_equal(client_open(&other, fixture->directory, 1), 0);
	assert_int_equal(client_prepare(&client, fixture->directory, 0), 0);
	make_request(&request, client.ours.sun_path, "");
	memset(request.description, 'd', sizeof request.description);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(send(client.control, &request, sizeof request, MSG_NOSIGNAL),
				 sizeof request);
		if (i == 0)
			assert_int_equal(client_finish(&client), 0);
		expect_passage(&client, &other);
	}
	client_close(&client);
	client_close(&other);
}

static void reports_broken_off_requests(void **state)
{
	struct fixture *fixture = *state;
	int control;

	start(fixture);
	control = connect_control(fixture->directory);
	assert_int_equal(send(control, "\xce\xfa\xed\xfe\x03", 5, MSG_NOSIGNAL), 5);
	assert_int_equal(shutdown(control, SHUT_WR), 0);
	expect_hangup(control);
	close(control);
	expect_logged(fixture, "vlan 1: a client hung up in its request, after 5 bytes");

	/* A client that sends nothing only checks whether a server is there. */
	control = connect_control(fixture->directory);
	assert_int_equal(shutdown(control, SHUT_WR), 0);
	expect_hangup(control);
	close(control);
	assert_int_equal(times_logged(fixture, "hung up"), 1);
}

static void refuse_request(struct fixture *fixture, const char *path, const char *message)
{
	struct vde_request request;
	size_t len = make_request(&request, path, "evil");
	int control = connect_control(fixture->directory);

	assert_int_equal(send(control, &request, len, MSG_NOSIGNAL), len);
	expect_hangup(control);
	close(control);
	expect_logged(fixture, message);
}

/* Some clients name a data socket that they may not name. The good clients do not notice. */
static void refuses_data_sockets_elsewhere(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un elsewhere = {.sun_family = AF_UNIX};
	struct vde_client clients[2];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char byte;

	start(fixture);
	open_clients(fixture, clients, 2);
	snprintf(elsewhere.sun_path, sizeof elsewhere.sun_path, "%s/log", fixture->base);
	assert_int_equal(bind(fd, (struct sockaddr *)&elsewhere, sizeof elsewhere), 0);

	refuse_request(fixture, elsewhere.sun_path, "/vde1.ctl/log: No such file or directory");
	refuse_request(fixture, "../up", "/vde1.ctl/up: No such file or directory");
	refuse_request(fixture, "/", "/vde1.ctl/: ");
	refuse_request(fixture, "..", "/vde1.ctl/..: Connection refused");
	refuse_request(fixture, "ctl", "/vde1.ctl/ctl: Protocol wrong type for socket");
	refuse_request(fixture, "001", "/vde1.ctl/001: Operation not permitted");

	expect_passage(&clients[0], &clients[1]);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	client_close(&clients[0]);
	client_close(&clients[1]);
	close(fd);
	unlink(elsewhere.sun_path);
}

static void complains_a_limited_number_of_times(void **state)
{
	static const char garbage[] = "GET / HTTP/1.1\r\n";
	struct fixture *fixture = *state;

	start(fixture);
	for (int i = 0; i < 50; i++) {
		int control = connect_control(fixture->directory);

		assert_int_equal(send(control, garbage, sizeof garbage, MSG_NOSIGNAL),
				 sizeof garbage);
		expect_hangup(control);
		close(control);
	}
	assert_int_equal(times_logged(fixture, "vlan 1: not a VDE request"), 20);
	expect_logged(fixture, "(further ones are not logged)");
}

static void limits_the_number_of_clients(void **state)
{
	struct fixture *fixture = *state;
	int64_t deadline = ntd_after(10 * NTD_SECOND);
	int controls[NTD_VLAN_CLIENTS_MAX], extra;
	struct vde_client client;

	start(fixture);
	for (int i = 0; i < NTD_VLAN_CLIENTS_MAX; i++) {
		controls[i] = connect_control(fixture->directory);
		assert_true(controls[i] >= 0);
	}
	extra = connect_control(fixture->directory);
	expect_hangup(extra);
	close(extra);
	expect_logged(fixture, "vlan 1: a client was refused: all 256 ports are in use");

	for (int i = 0; i < NTD_VLAN_CLIENTS_MAX; i++)
		close(controls[i]);
	while (client_open(&client, fixture->directory, 0) < 0)
		assert_true(ntd_now() < deadline);
	client_close(&client);
}

/* When descriptors run out, new clients wait without making the loop spin, and are served later. */
static void survives_a_lack_of_descriptors(void **state)
{
	struct fixture *fixture = *state;
	struct rlimit before, none;
	struct vde_request request;
	struct vde_client client;
	size_t len;

	start(fixture);
	assert_int_equal(client_prepare(&client, fixture->directory, 0), 0);
	close(client.control);
	client.control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_timeout(client.control);
	len = make_request(&request, client.ours.sun_path, "");

	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	snprintf(client.theirs.sun_path, sizeof client.theirs.sun_path, "%s/ctl",
		 fixture->directory);
	client.theirs.sun_family = AF_UNIX;
	assert_int_equal(
		connect(client.control, (struct sockaddr *)&client.theirs, sizeof client.theirs),
		0);
	assert_int_equal(send(client.control, &request, len, MSG_NOSIGNAL), len);
	while (!times_logged(fixture, "cannot accept a client now: Too many open files"))
		ntd_vlan_counts(fixture->vlan);
	setrlimit(RLIMIT_NOFILE, &before);

	assert_int_equal(client_finish(&client), 0);
	assert_in_range(times_logged(fixture, "cannot accept"), 1, 3);
	client_close(&client);
}

/* ---- cuts */

struct flood {
	int fd;
	_Atomic bool stop;
};

static void *send_without_end(void *arg)
{
	static const unsigned char frame[64];
	struct flood *flood = arg;

	while (!flood->stop)
		send(flood->fd, frame, sizeof frame, MSG_DONTWAIT | MSG_NOSIGNAL);
	return NULL;
}

static void a_cut_ends_in_a_flood(void **state)
{
	struct fixture *fixture = *state;
	struct vde_client clients[2];
	struct flood floods[2];
	pthread_t threads[2];

	start(fixture);
	open_clients(fixture, clients, 2);
	ntd_vlan_cut(fixture->vlan);
	for (int i = 0; i < 2; i++) {
		floods[i] = (struct flood){.fd = clients[i].data};
		pthread_create(&threads[i], NULL, send_without_end, &floods[i]);
	}
	while (!ntd_vlan_counts(fixture->vlan).dropped)
		;
	assert_int_equal(ntd_vlan_counts(fixture->vlan).sent, 0);
	ntd_vlan_join(fixture->vlan);
	while (!ntd_vlan_counts(fixture->vlan).sent)
		;
	for (int i = 0; i < 2; i++) {
		floods[i].stop = true;
		pthread_join(threads[i], NULL);
		client_close(&clients[i]);
	}
}

/* A client goes while the VLAN is cut, and then the VLAN. */
static void can_go_while_it_is_cut(void **state)
{
	struct fixture *fixture = *state;
	struct vde_client clients[2];

	start(fixture);
	open_clients(fixture, clients, 2);
	ntd_vlan_cut(fixture->vlan);
	client_close(&clients[0]);
	wait_for_end_of(fixture, "001");
	stop(fixture);
	expect_hangup(clients[1].control);
	client_close(&clients[1]);
}

/* ---- variation */

static void send_number(const struct vde_client *client, uint64_t number)
{
	uint64_t frame[8] = {number};

	assert_int_equal(send(client->data, frame, sizeof frame, MSG_NOSIGNAL), sizeof frame);
}

static uint64_t receive_number(const struct vde_client *client)
{
	uint64_t frame[8];

	assert_int_equal(recv(client->data, frame, sizeof frame, 0), sizeof frame);
	return *frame;
}

/* Sends by the first client, then by the first and the second; returns whether the second's frame
 * comes to the third before the first's. */
static bool is_overtaken(const struct vde_client *clients)
{
	uint64_t got[2];

	send_number(&clients[0], 1);
	assert_int_equal(receive_number(&clients[2]), 1);
	send_number(&clients[0], 2);
	send_number(&clients[1], 3);
	for (int i = 0; i < 2; i++)
		got[i] = receive_number(&clients[2]);
	assert_int_equal(got[0] + got[1], 2 + 3);
	return got[0] == 3;
}

static void varies_the_order_between_ports(void **state)
{
	enum { ROUNDS = 1000 };
	struct fixture *fixture = *state;
	struct vde_client clients[3];
	int rounds = 0;

	start(fixture);
	open_clients(fixture, clients, 3);
	ntd_vlan_vary(fixture->vlan, 7);
	while (rounds < ROUNDS && !is_overtaken(clients))
		rounds++;
	assert_true(rounds < ROUNDS);
	for (uint64_t i = 1; i <= 8; i++)
		send_number(&clients[0], i);
	for (uint64_t i = 1; i <= 8; i++)
		assert_int_equal(receive_number(&clients[2]), i);
	assert_int_equal(ntd_vlan_counts(fixture->vlan).dropped, 0);
	for (int i = 0; i < 3; i++)
		client_close(&clients[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(serves_clients),
		test(logs_as_upstream),
		test(frees_and_reuses_ports),
		test(takes_requests_in_pieces),
		test(ignores_what_follows_a_request),
		test(reports_broken_off_requests),
		test(refuses_data_sockets_elsewhere),
		test(complains_a_limited_number_of_times),
		test(limits_the_number_of_clients),
		test(survives_a_lack_of_descriptors),
		test(a_cut_ends_in_a_flood),
		test(can_go_while_it_is_cut),
		test(varies_the_order_between_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
