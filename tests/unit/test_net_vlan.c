/* A VLAN from outside: its directory, its clients, its logs. */
#include "unit.h"

#include "base/buf.h"
#include "net/vlan.h"

#include "test_net_client.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct fixture {
	char base[64], directory[NTD_VLAN_DIRECTORY_MAX + 1];
	struct ntd_loop *loop;
	struct ntd_report *report;
	struct ntd_sink sink;
	pthread_mutex_t mutex; /* guards the log */
	struct ntd_buf log;    /* one line a message */
	struct ntd_vlan *vlan;
};

static void keep_text(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct fixture *fixture = ntd_container_of(sink, struct fixture, sink);

	pthread_mutex_lock(&fixture->mutex);
	ntd_buf_printf(&fixture->log, "%s\n", event->text);
	pthread_mutex_unlock(&fixture->mutex);
}

static void close_sink(struct ntd_sink *sink)
{
}

static void run_never_block(void *arg)
{
	ntd_report_never_block(arg);
}

static int set_up(void **state)
{
	static struct fixture fixture;
	const char *base = getenv("TMPDIR");

	fixture = (struct fixture){.sink = {.event = keep_text, .close = close_sink}};
	pthread_mutex_init(&fixture.mutex, NULL);
	snprintf(fixture.base, sizeof fixture.base, "%s/ntd-unit-XXXXXX",
		 base && strlen(base) < 40 ? base : "/tmp");
	if (!mkdtemp(fixture.base))
		return -1;
	snprintf(fixture.directory, sizeof fixture.directory, "%s/vde1.ctl", fixture.base);
	fixture.loop = ntd_loop_new(NULL);
	fixture.report = ntd_report_new(NULL);
	if (!fixture.loop || !fixture.report)
		return -1;
	ntd_report_add(fixture.report, &fixture.sink);
	ntd_loop_call(fixture.loop, run_never_block, fixture.report);
	*state = &fixture;
	return 0;
}

/* Fails if a VLAN left anything behind. */
static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_vlan_free(fixture->vlan);
	ntd_loop_free(fixture->loop);
	ntd_report_free(fixture->report);
	ntd_buf_free(&fixture->log);
	return rmdir(fixture->base);
}

static void start(struct fixture *fixture)
{
	struct ntd_error *error = NULL;

	fixture->vlan = ntd_vlan_new(fixture->loop, fixture->report, 1, fixture->directory, &error);
	assert_no_error(error);
	assert_non_null(fixture->vlan);
}

static void stop(struct fixture *fixture)
{
	ntd_vlan_free(ntd_steal(&fixture->vlan));
}

static void expect_refusal(struct fixture *fixture, const char *directory, const char *message)
{
	struct ntd_error *error = NULL;

	assert_null(ntd_vlan_new(fixture->loop, fixture->report, 1, directory, &error));
	assert_error(error, NTD_E_VALUE, message);
}

/* What has been logged so far; the caller's. */
static char *logged(struct fixture *fixture)
{
	char *text;

	assert_true(ntd_report_flush(fixture->report, ntd_after(10 * NTD_SECOND)));
	pthread_mutex_lock(&fixture->mutex);
	text = ntd_strndup(ntd_buf_bytes(&fixture->log), fixture->log.len);
	pthread_mutex_unlock(&fixture->mutex);
	return text;
}

static unsigned times_logged(struct fixture *fixture, const char *text)
{
	_cleanup_free_ char *log = logged(fixture);
	unsigned count = 0;

	for (const char *at = log; (at = strstr(at, text)); at += strlen(text))
		count++;
	return count;
}

static void expect_logged(struct fixture *fixture, const char *text)
{
	if (times_logged(fixture, text) != 1)
		fail_msg("not once: \"%s\" in:\n%s", text, logged(fixture));
}

static bool exists(const struct fixture *fixture, const char *name)
{
	char path[120];
	struct stat status;

	snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	return lstat(path, &status) == 0;
}

/* The switch sees the end of a connection a moment after the client made it. */
static void wait_for_end_of(struct fixture *fixture, const char *name)
{
	int64_t deadline = ntd_after(10 * NTD_SECOND);

	while (exists(fixture, name) && ntd_now() < deadline)
		ntd_vlan_counts(fixture->vlan);
	assert_false(exists(fixture, name));
}

static void expect_hangup(int fd)
{
	char byte;
	ssize_t count = recv(fd, &byte, 1, 0);

	assert_true(count == 0 || (count < 0 && errno == ECONNRESET));
}

static void open_clients(struct fixture *fixture, struct vde_client *clients, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(client_open(&clients[i], fixture->directory, (unsigned char)i), 0);
}

static void expect_passage(const struct vde_client *from, const struct vde_client *to)
{
	static unsigned char frame[64], got[100];

	frame[0]++;
	assert_int_equal(send(from->data, frame, sizeof frame, MSG_NOSIGNAL), sizeof frame);
	assert_int_equal(recv(to->data, got, sizeof got, 0), sizeof frame);
	assert_memory_equal(frame, got, sizeof frame);
}

/* ---- clients */

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

	/* The control connection alone decides. */
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
	struct vde_client client, other;
	struct vde_request request;
	size_t len;

	start(fixture);
	assert_int_equal(client_prepare(&client, fixture->directory, 0), 0);
	len = make_request(&request, client.ours.sun_path, "");
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(send(client.control, (char *)&request + i, 1, MSG_NOSIGNAL), 1);
		ntd_vlan_counts(fixture->vlan); /* a turn of the loop between the bytes */
	}
	assert_int_equal(client_finish(&client), 0);

	/* What follows means nothing. */
	for (int i = 0; i < 10; i++)
		assert_int_equal(send(client.control, &request, len, MSG_NOSIGNAL), len);
	assert_int_equal(client_open(&other, fixture->directory, 1), 0);
	expect_passage(&client, &other);
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

	/* One that says nothing at all is a look whether somebody is there. */
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

/* Clients that name a data socket which is not theirs to name. The good ones do not notice. */
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

/* Without descriptors to accept with, clients wait; the loop does not spin, and they are served
 * later. */
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

/* ---- the directory */

/* A socket with a name; the process that bound it seems gone once it is closed. */
static int bind_socket(const struct fixture *fixture, int type, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", fixture->directory, name);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void takes_over_a_stale_directory(void **state)
{
	struct fixture *fixture = *state;
	struct vde_client client;
	struct stat status;

	assert_int_equal(mkdir(fixture->directory, 0755), 0);
	close(bind_socket(fixture, SOCK_STREAM, "ctl"));
	close(bind_socket(fixture, SOCK_DGRAM, "001"));
	close(bind_socket(fixture, SOCK_DGRAM, ".123-00000"));
	start(fixture);
	assert_int_equal(stat(fixture->directory, &status), 0);
	assert_int_equal(status.st_mode, S_IFDIR | 0700);
	assert_false(exists(fixture, ".123-00000"));
	assert_int_equal(client_open(&client, fixture->directory, 0), 0);
	client_close(&client);
}

static void leaves_other_files_alone(void **state)
{
	struct fixture *fixture = *state;
	char path[100];

	snprintf(path, sizeof path, "%s/notes", fixture->directory);
	assert_int_equal(mkdir(fixture->directory, 0700), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	start(fixture);
	stop(fixture);
	assert_true(exists(fixture, "notes"));
	assert_false(exists(fixture, "ctl"));
	expect_logged(fixture, "vde1.ctl: Directory not empty");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(fixture->directory), 0);
}

static void refuses_a_directory_in_use(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *message =
		ntd_asprintf("%s is in use by process %d", fixture->directory, getpid());
	struct vde_client clients[2];

	start(fixture);
	open_clients(fixture, clients, 2);
	expect_refusal(fixture, fixture->directory, message);
	expect_passage(&clients[0], &clients[1]);
	client_close(&clients[0]);
	assert_int_equal(client_open(&clients[0], fixture->directory, 0), 0);
	client_close(&clients[0]);
	client_close(&clients[1]);
}

/* A server that does not lock, and one that has the lock but does not listen yet. */
static void refuses_a_directory_of_others(void **state)
{
	struct fixture *fixture = *state;
	int control, lock;

	assert_int_equal(mkdir(fixture->directory, 0700), 0);
	control = bind_socket(fixture, SOCK_STREAM, "ctl");
	assert_int_equal(listen(control, 1), 0);
	expect_refusal(fixture, fixture->directory, "is in use by process");
	close(control);

	lock = open(fixture->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	expect_refusal(fixture, fixture->directory, "is in use by another process");
	assert_true(exists(fixture, "ctl"));
	close(lock);
	start(fixture);
}

static void refuses_bad_paths(void **state)
{
	struct fixture *fixture = *state;
	char path[NTD_VLAN_DIRECTORY_MAX + 2] = "/tmp/";
	struct ntd_error *error = NULL;

	memset(path + 5, 'd', NTD_VLAN_DIRECTORY_MAX - 4);
	expect_refusal(fixture, path, "has 93 bytes; at most 92");
	expect_refusal(fixture, "vde1.ctl", "the directory vde1.ctl is not absolute");

	assert_null(ntd_vlan_new(fixture->loop, fixture->report, 1, "/nonexistent/1", &error));
	assert_error(error, NTD_E_SYS, "cannot make the directory /nonexistent/1: No such file");
	error = NULL;
	assert_null(ntd_vlan_new(fixture->loop, fixture->report, 1, "/dev/null", &error));
	assert_error(error, NTD_E_SYS, "cannot open the directory /dev/null: Not a directory");
}

/* The longest directory leaves room for the names of its sockets. */
static void serves_in_the_longest_directory(void **state)
{
	struct fixture *fixture = *state;
	struct vde_client client;
	size_t len = strlen(fixture->base);

	strcpy(fixture->directory, fixture->base);
	memset(fixture->directory + len, 'd', NTD_VLAN_DIRECTORY_MAX - len);
	fixture->directory[len] = '/';
	start(fixture);
	assert_int_equal(client_open(&client, fixture->directory, 0), 0);
	client_close(&client);
}

static void refuses_a_directory_of_another_user(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0) {
		print_message("SKIPPED: only root can give a directory away\n");
		skip();
	}
	assert_int_equal(mkdir(fixture->directory, 0700), 0);
	assert_int_equal(chown(fixture->directory, 1, 1), 0);
	expect_refusal(fixture, fixture->directory, "vde1.ctl belongs to user 1");
	assert_int_equal(rmdir(fixture->directory), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(serves_clients),
		test(logs_as_upstream),
		test(frees_and_reuses_ports),
		test(takes_requests_in_pieces),
		test(reports_broken_off_requests),
		test(refuses_data_sockets_elsewhere),
		test(complains_a_limited_number_of_times),
		test(limits_the_number_of_clients),
		test(survives_a_lack_of_descriptors),
		test(takes_over_a_stale_directory),
		test(leaves_other_files_alone),
		test(refuses_a_directory_in_use),
		test(refuses_a_directory_of_others),
		test(refuses_bad_paths),
		test(serves_in_the_longest_directory),
		test(refuses_a_directory_of_another_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
