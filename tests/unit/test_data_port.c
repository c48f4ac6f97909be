/* Tests of data ports: the test is QEMU, which gets the commands, connects to the port's socket,
 * answers, or does not.
 */
#include "qmp_fixture.h"

#include "qemu/data_port.h"

#include <sys/stat.h>
#include <sys/un.h>

#define LONG (600 * NTD_SECOND)
#define SHORT (20 * NTD_MS)

struct test {
	struct fixture *qmp;
	struct ntd_data_port *port;
	char path[64];
	struct ntd_port_user user;
	int chardev; /* QEMU's end of the port's socket; -1: none */
	int last_id; /* of the command that was heard last */

	/* what the user was told */
	sem_t told;
	int opened, failed;
	int fd; /* its end of the socket; -1: none */
	char name[64], why[256];
	enum ntd_errc code;
	bool closes_when_opened, opens_when_failed;
};

/* ---- the user */

static void open_port(void *arg)
{
	struct test *test = arg;
	struct ntd_port *port = ntd_data_port_port(test->port);
	int told = test->opened + test->failed;

	port->ops->open(port, &test->user);
	assert_int_equal(test->opened + test->failed, told);
}

static void close_port(void *arg)
{
	struct ntd_port *port = ntd_data_port_port(((struct test *)arg)->port);

	port->ops->close(port);
}

static void on_opened(void *owner, int fd, const char *name)
{
	struct test *test = owner;

	test->opened++;
	ntd_close_fd(&test->fd);
	test->fd = fd;
	snprintf(test->name, sizeof test->name, "%s", name);
	if (test->closes_when_opened)
		close_port(test);
	sem_post(&test->told);
}

static void on_failed(void *owner, const struct ntd_error *why)
{
	struct test *test = owner;

	test->failed++;
	test->code = why->code;
	snprintf(test->why, sizeof test->why, "%s", why->message);
	if (test->opens_when_failed)
		open_port(test);
	sem_post(&test->told);
}

static void call(struct test *test, void (*fn)(void *arg))
{
	ntd_loop_call(test->qmp->loop, fn, test);
}

static void assert_port_failed(struct test *test, enum ntd_errc code, const char *why)
{
	assert_int_equal(sem_wait(&test->told), 0);
	assert_int_equal(test->code, code);
	assert_non_null(strstr(test->why, why));
	assert_true(access(test->path, F_OK) < 0);
}

/* ---- QEMU */

static void connect_chardev(struct test *test)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof address.sun_path, "%s", test->path);
	ntd_close_fd(&test->chardev);
	test->chardev = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(test->chardev, (struct sockaddr *)&address, sizeof address), 0);
}

/* The next command is this one, with these arguments. */
static void assert_heard(struct test *test, const char *command, const char *arguments)
{
	_cleanup_cjson_ cJSON *message = cJSON_Parse(hear(test->qmp));
	_cleanup_free_ char *text =
		cJSON_PrintUnformatted(cJSON_GetObjectItem(message, "arguments"));

	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(message, "execute")), command);
	assert_string_equal(text, arguments);
	test->last_id = cJSON_GetObjectItem(message, "id")->valueint;
}

static void assert_heard_add_chardev(struct test *test, const char *name)
{
	_cleanup_free_ char *arguments =
		ntd_asprintf("{\"id\":\"%s\",\"backend\":{\"type\":\"socket\",\"data\":{"
			     "\"server\":false,\"addr\":{\"type\":\"unix\",\"data\":{"
			     "\"path\":\"%s\"}}}}}",
			     name, test->path);

	assert_heard(test, "chardev-add", arguments);
}

static void assert_heard_add_device(struct test *test, const char *name)
{
	_cleanup_free_ char *arguments =
		ntd_asprintf("{\"driver\":\"virtserialport\",\"id\":\"%s\",\"chardev\":\"%s\","
			     "\"name\":\"%s\"}",
			     name, name, name);

	assert_heard(test, "device_add", arguments);
}

static void assert_heard_id(struct test *test, const char *command, const char *name)
{
	_cleanup_free_ char *arguments = ntd_asprintf("{\"id\":\"%s\"}", name);

	assert_heard(test, command, arguments);
}

static void answer_to(struct test *test, int id, const char *what)
{
	_cleanup_free_ char *text = ntd_asprintf("{%s, \"id\": %d}\r\n", what, id);

	peer_say(test->qmp->peer, text);
}

static void answer(struct test *test)
{
	answer_to(test, test->last_id, "\"return\": {}");
}

static void refuse(struct test *test, const char *why)
{
	_cleanup_free_ char *text =
		ntd_asprintf("\"error\": {\"class\": \"GenericError\", \"desc\": \"%s\"}", why);

	answer_to(test, test->last_id, text);
}

static void say_deleted(struct test *test, const char *name)
{
	_cleanup_free_ char *text = ntd_asprintf("{\"event\": \"DEVICE_DELETED\", \"data\": "
						 "{\"device\": \"%s\", \"path\": \"/x/y\"}}\r\n",
						 name);

	peer_say(test->qmp->peer, text);
}

static void assert_silence(struct test *test)
{
	settle(test->qmp->loop);
	assert_false(peer_hears(test->qmp->peer, 0));
}

/* ---- a test */

static int set_up_port(void **state)
{
	struct test *test = ntd_calloc(1, sizeof *test);

	set_up(state);
	*test = (struct test){.qmp = *state,
			      .user = {.opened = on_opened, .failed = on_failed, .owner = test},
			      .chardev = -1,
			      .fd = -1};
	sem_init(&test->told, 0, 0);
	snprintf(test->path, sizeof test->path, "/tmp/test-port-%d", getpid());
	test->port = ntd_data_port_new(test->qmp->loop, test->qmp->qmp, "test", test->path,
				       "machine 'server'");
	ntd_data_port_set_patience(test->port, LONG);
	*state = test;
	return 0;
}

static void forget(void *arg)
{
	ntd_data_port_forget(((struct test *)arg)->port);
}

static int tear_down_port(void **state)
{
	struct test *test = *state;
	void *qmp = test->qmp;

	ntd_loop_call(test->qmp->loop, close_qmp, qmp);
	call(test, forget);
	assert_true(access(test->path, F_OK) < 0);
	tear_down(&qmp);
	ntd_data_port_free(test->port);
	ntd_close_fd(&test->chardev);
	ntd_close_fd(&test->fd);
	sem_destroy(&test->told);
	free(test);
	return 0;
}

/* The connection is ready, and the port is being opened for the first time. */
static struct test *begin(void **state)
{
	struct test *test = *state;

	greet(test->qmp);
	call(test, open_port);
	assert_heard_add_chardev(test, "ntd-test-1");
	return test;
}

static void give_chardev(struct test *test, const char *name)
{
	connect_chardev(test);
	answer(test);
	assert_heard_add_device(test, name);
}

static void give_device(struct test *test)
{
	answer(test);
	assert_int_equal(sem_wait(&test->told), 0);
}

/* The port is open. */
static struct test *begin_open(void **state)
{
	struct test *test = begin(state);

	give_chardev(test, "ntd-test-1");
	give_device(test);
	assert_int_equal(test->opened, 1);
	return test;
}

/* QEMU takes the devices away, as it does. */
static void take_away(struct test *test, const char *name)
{
	assert_heard_id(test, "device_del", name);
	answer(test);
	say_deleted(test, name);
	assert_heard_id(test, "chardev-remove", name);
	answer(test);
}

/* Another opening comes to its end. */
static void assert_opens_again(struct test *test, const char *name)
{
	int opened = test->opened;

	call(test, open_port);
	assert_heard_add_chardev(test, name);
	give_chardev(test, name);
	give_device(test);
	assert_int_equal(test->opened, opened + 1);
	assert_string_equal(test->name, name);
	call(test, close_port);
	take_away(test, name);
	assert_silence(test);
}

/* ---- opening and closing */

static void a_port_is_added_and_taken_away(void **state)
{
	struct test *test = begin_open(state);
	char bytes[8] = {0};

	assert_string_equal(test->name, "ntd-test-1");
	assert_true(access(test->path, F_OK) < 0);
	peer_say(test->chardev, "guest");
	assert_int_equal(recv(test->fd, bytes, sizeof bytes, 0), 5);
	assert_int_equal(recv(test->fd, bytes, sizeof bytes, 0), -1); /* without waiting */
	peer_say(test->fd, "host");
	assert_int_equal(recv(test->chardev, bytes, sizeof bytes, 0), 4);
	assert_silence(test);
	call(test, close_port);
	take_away(test, "ntd-test-1");
	call(test, close_port);
	assert_silence(test);
	assert_opens_again(test, "ntd-test-2");
	assert_int_equal(test->failed, 0);
}

static void it_can_be_opened_again_while_it_is_taken_away(void **state)
{
	struct test *test = begin_open(state);
	int deleting;

	call(test, close_port);
	assert_heard_id(test, "device_del", "ntd-test-1");
	deleting = test->last_id;
	call(test, open_port);
	assert_heard_add_chardev(test, "ntd-test-2");
	give_chardev(test, "ntd-test-2");
	answer_to(test, deleting, "\"return\": {}");
	give_device(test);
	assert_string_equal(test->name, "ntd-test-2");
	say_deleted(test, "ntd-test-2"); /* which a script has deleted */
	assert_silence(test);
	say_deleted(test, "ntd-test-1");
	assert_heard_id(test, "chardev-remove", "ntd-test-1");
}

static void a_user_may_close_it_when_it_is_opened(void **state)
{
	struct test *test = begin(state);

	test->closes_when_opened = true;
	give_chardev(test, "ntd-test-1");
	give_device(test);
	take_away(test, "ntd-test-1");
	test->closes_when_opened = false;
	assert_opens_again(test, "ntd-test-2");
}

static void scripts_hear_nothing_of_it(void **state)
{
	struct test *test = begin_open(state);

	peer_say(test->qmp->peer, "{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": true, "
				  "\"id\": \"ntd-test-1\"}}\n");
	call(test, close_port);
	take_away(test, "ntd-test-1");
	say_deleted(test, "theirs");
	peer_say(test->qmp->peer, "{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": true, "
				  "\"id\": \"theirs\"}}\n");
	while (ntd_qmp_count_events(test->qmp->qmp) < 2)
		settle(test->qmp->loop);
	assert_int_equal(ntd_qmp_count_events(test->qmp->qmp), 2);
}

/* ---- QEMU refuses */

static void without_qmp_there_is_no_port(void **state)
{
	struct test *test = *state;

	call(test, open_port);
	assert_port_failed(test, NTD_E_DEAD,
			   "machine 'server': QEMU gives no data port: there is no QMP connection");
	greet(test->qmp);
	assert_opens_again(test, "ntd-test-2");
}

static void without_a_socket_there_is_no_port(void **state)
{
	struct test *test = *state;

	greet(test->qmp);
	assert_int_equal(mkdir(test->path, 0700), 0);
	call(test, open_port);
	sem_wait(&test->told);
	rmdir(test->path);
	assert_non_null(strstr(test->why, "QEMU gives no data port: cannot make the socket /tmp"));
	assert_silence(test);
	assert_opens_again(test, "ntd-test-2");
}

static void a_chardev_may_be_refused(void **state)
{
	struct test *test = begin(state);

	refuse(test, "too many");
	assert_port_failed(test, NTD_E_MACHINE, "QEMU gives no data port: too many");
	assert_silence(test);
	assert_opens_again(test, "ntd-test-2");
}

static void a_chardev_may_not_be_connected(void **state)
{
	struct test *test = begin(state);

	answer(test);
	assert_port_failed(test, NTD_E_SYS, "it has not connected to /tmp/test-port-");
	assert_heard_id(test, "chardev-remove", "ntd-test-1");
	answer(test);
	assert_opens_again(test, "ntd-test-2");
}

static void a_device_may_be_refused(void **state)
{
	struct test *test = begin(state);
	char byte;

	give_chardev(test, "ntd-test-1");
	refuse(test, "No 'virtio-serial-bus' bus found");
	assert_port_failed(test, NTD_E_MACHINE, "port: No 'virtio-serial-bus' bus found");
	assert_heard_id(test, "chardev-remove", "ntd-test-1");
	assert_int_equal(recv(test->chardev, &byte, 1, 0), 0);
	refuse(test, "no");
	assert_silence(test);
	assert_opens_again(test, "ntd-test-2");
}

/* A reply without a reason, or with one that is no text. */
static void a_refusal_may_have_any_form(void **state)
{
	static const char *const errors[] = {"\"error\": null", "\"error\": {\"desc\": 5}",
					     "\"error\": [\"desc\"]"};
	struct test *test = *state;

	greet(test->qmp);
	for (size_t i = 0; i < unit_count(errors); i++) {
		_cleanup_free_ char *name = ntd_asprintf("ntd-test-%zu", i + 1);

		call(test, open_port);
		assert_heard_add_chardev(test, name);
		answer_to(test, test->last_id, errors[i]);
		assert_port_failed(test, NTD_E_MACHINE, "port: no reason");
	}
}

static void a_user_may_open_it_again_when_it_has_failed(void **state)
{
	struct test *test = begin(state);

	test->opens_when_failed = true;
	refuse(test, "not now");
	assert_heard_add_chardev(test, "ntd-test-2");
	give_chardev(test, "ntd-test-2");
	assert_int_equal(sem_wait(&test->told), 0);
	give_device(test);
	assert_int_equal(test->failed, 1);
	assert_int_equal(test->opened, 1);
}

/* ---- QEMU is silent */

static void a_chardev_may_come_too_late(void **state)
{
	struct test *test = *state;

	ntd_data_port_set_patience(test->port, SHORT);
	begin(state);
	connect_chardev(test);
	assert_port_failed(test, NTD_E_TIMEOUT, "QEMU gives no data port: it does not answer");
	ntd_data_port_set_patience(test->port, LONG);
	assert_silence(test);
	answer(test);
	assert_heard_id(test, "chardev-remove", "ntd-test-1");
	answer(test);
	assert_opens_again(test, "ntd-test-2");
	assert_int_equal(test->failed, 1);
}

/* The timer cannot expire meanwhile, however busy the host is. */
static void open_up_to_device(void *arg)
{
	struct test *test = arg;

	open_port(test);
	assert_heard_add_chardev(test, "ntd-test-1");
	connect_chardev(test);
	answer(test);
	ntd_qmp_drain(test->qmp->qmp);
}

static void a_device_may_come_too_late(void **state)
{
	struct test *test = *state;

	greet(test->qmp);
	ntd_data_port_set_patience(test->port, SHORT);
	call(test, open_up_to_device);
	assert_heard_add_device(test, "ntd-test-1");
	assert_port_failed(test, NTD_E_TIMEOUT, "it does not answer");
	ntd_data_port_set_patience(test->port, LONG);
	answer(test);
	take_away(test, "ntd-test-1");
	assert_opens_again(test, "ntd-test-2");
}

/* The socket is needed until QEMU has answered: another connection could take the next one's
 * place. */
static void an_opening_waits_for_the_one_before(void **state)
{
	struct test *test = begin(state);
	int first = test->last_id;

	call(test, close_port);
	assert_true(access(test->path, F_OK) < 0);
	call(test, open_port);
	assert_silence(test);
	assert_true(access(test->path, F_OK) < 0);
	call(test, close_port);
	call(test, open_port);
	assert_silence(test);
	answer_to(test, first, "\"error\": {\"desc\": \"cannot connect\"}");
	assert_heard_add_chardev(test, "ntd-test-3");
	give_chardev(test, "ntd-test-3");
	give_device(test);
	assert_string_equal(test->name, "ntd-test-3");
	assert_int_equal(test->opened + test->failed, 1);
}

static void an_opening_that_waits_fails_in_time(void **state)
{
	struct test *test = begin(state);

	call(test, close_port);
	ntd_data_port_set_patience(test->port, SHORT);
	call(test, open_port);
	assert_port_failed(test, NTD_E_TIMEOUT, "it does not answer");
	ntd_data_port_set_patience(test->port, LONG);
	answer(test);
	assert_heard_id(test, "chardev-remove", "ntd-test-1");
	assert_opens_again(test, "ntd-test-3");
}

/* ---- closing half way */

static void it_may_be_closed_before_the_chardev_is_there(void **state)
{
	struct test *test = begin(state);
	char byte;

	connect_chardev(test);
	call(test, close_port);
	assert_true(recv(test->chardev, &byte, 1, 0) <= 0);
	answer(test);
	assert_heard_id(test, "chardev-remove", "ntd-test-1");
	answer(test);
	assert_opens_again(test, "ntd-test-2");
	assert_int_equal(test->failed, 0);
}

static void it_may_be_closed_before_the_device_is_there(void **state)
{
	struct test *test = begin(state);

	give_chardev(test, "ntd-test-1");
	call(test, close_port);
	answer(test);
	take_away(test, "ntd-test-1");
	assert_opens_again(test, "ntd-test-2");
	assert_int_equal(test->failed, 0);
	assert_int_equal(test->opened, 1);
}

static void close_after_refusal(void *arg)
{
	struct test *test = arg;

	refuse(test, "no");
	ntd_qmp_drain(test->qmp->qmp);
	close_port(test);
}

static void a_user_that_has_closed_it_is_not_told_of_a_failure(void **state)
{
	struct test *test = begin(state);

	call(test, close_after_refusal);
	assert_opens_again(test, "ntd-test-2");
	assert_int_equal(test->failed, 0);
}

/* ---- taking away */

static void a_device_may_be_gone_before_qemu_answers(void **state)
{
	struct test *test = begin_open(state);

	call(test, close_port);
	assert_heard_id(test, "device_del", "ntd-test-1");
	say_deleted(test, "ntd-test-1");
	assert_heard_id(test, "chardev-remove", "ntd-test-1");
	answer_to(test, test->last_id - 1, "\"return\": {}");
	answer(test);
	assert_silence(test);
}

static void a_device_may_go_without_an_event(void **state)
{
	struct test *test = begin_open(state);

	ntd_data_port_set_patience(test->port, SHORT);
	call(test, close_port);
	assert_heard_id(test, "device_del", "ntd-test-1");
	answer(test);
	assert_heard_id(test, "chardev-remove", "ntd-test-1");
	refuse(test, "Chardev 'ntd-test-1' is busy");
	say_deleted(test, "ntd-test-1");
	assert_silence(test);
}

static void a_device_may_be_gone_already(void **state)
{
	struct test *test = begin_open(state);

	call(test, close_port);
	assert_heard_id(test, "device_del", "ntd-test-1");
	refuse(test, "Device 'ntd-test-1' not found");
	assert_heard_id(test, "chardev-remove", "ntd-test-1");
	answer(test);
	assert_opens_again(test, "ntd-test-2");
}

/* ---- QEMU ends */

enum { NOT_BEGUN, ADDING_CHARDEV, ADDING_DEVICE, OPENED, DELETING, DELETED, REMOVING, MOMENTS };

static void reach(struct test *test, int moment)
{
	if (moment >= ADDING_CHARDEV) {
		call(test, open_port);
		assert_heard_add_chardev(test, "ntd-test-1");
	}
	if (moment >= ADDING_DEVICE)
		give_chardev(test, "ntd-test-1");
	if (moment >= OPENED)
		give_device(test);
	if (moment >= DELETING) {
		call(test, close_port);
		assert_heard_id(test, "device_del", "ntd-test-1");
	}
	if (moment >= DELETED)
		answer(test);
	if (moment >= REMOVING) {
		say_deleted(test, "ntd-test-1");
		assert_heard_id(test, "chardev-remove", "ntd-test-1");
	}
	settle(test->qmp->loop);
}

/* Another QEMU may be started afterwards. */
static void qemu_may_end_at_any_moment(void **state)
{
	for (int moment = NOT_BEGUN; moment < MOMENTS; moment++) {
		struct test *test;

		set_up_port(state);
		test = *state;
		greet(test->qmp);
		reach(test, moment);
		ntd_close_fd(&test->qmp->peer);
		while (ntd_qmp_is_open(test->qmp->qmp))
			settle(test->qmp->loop);
		if (moment == ADDING_CHARDEV || moment == ADDING_DEVICE)
			assert_port_failed(test, NTD_E_DEAD, "the QMP connection has been closed");
		call(test, close_port);
		call(test, forget);
		connect_peer(test->qmp);
		greet(test->qmp);
		assert_opens_again(test, moment == NOT_BEGUN ? "ntd-test-1" : "ntd-test-2");
		tear_down_port(state);
	}
}

/* A port that nobody has closed is closed then. */
static void what_is_open_is_forgotten(void **state)
{
	for (int moment = NOT_BEGUN; moment < MOMENTS; moment++) {
		struct test *test;

		set_up_port(state);
		test = *state;
		greet(test->qmp);
		reach(test, moment);
		tear_down_port(state);
	}
}

static void close_qmp_and_forget(void *arg)
{
	struct test *test = arg;

	close_qmp(test->qmp);
	forget(test);
}

static void nobody_is_told_after_the_end(void **state)
{
	struct test *test = begin(state);

	call(test, close_qmp_and_forget);
	settle(test->qmp->loop);
	assert_int_equal(test->failed, 0);
}

int main(void)
{
#define port_test(name) cmocka_unit_test_setup_teardown(name, set_up_port, tear_down_port)
	const struct CMUnitTest tests[] = {
		port_test(a_port_is_added_and_taken_away),
		port_test(it_can_be_opened_again_while_it_is_taken_away),
		port_test(a_user_may_close_it_when_it_is_opened),
		port_test(scripts_hear_nothing_of_it),
		port_test(without_qmp_there_is_no_port),
		port_test(without_a_socket_there_is_no_port),
		port_test(a_chardev_may_be_refused),
		port_test(a_chardev_may_not_be_connected),
		port_test(a_device_may_be_refused),
		port_test(a_refusal_may_have_any_form),
		port_test(a_user_may_open_it_again_when_it_has_failed),
		port_test(a_chardev_may_come_too_late),
		port_test(a_device_may_come_too_late),
		port_test(an_opening_waits_for_the_one_before),
		port_test(an_opening_that_waits_fails_in_time),
		port_test(it_may_be_closed_before_the_chardev_is_there),
		port_test(it_may_be_closed_before_the_device_is_there),
		port_test(a_user_that_has_closed_it_is_not_told_of_a_failure),
		port_test(a_device_may_be_gone_before_qemu_answers),
		port_test(a_device_may_go_without_an_event),
		port_test(a_device_may_be_gone_already),
		cmocka_unit_test(qemu_may_end_at_any_moment),
		cmocka_unit_test(what_is_open_is_forgotten),
		port_test(nobody_is_told_after_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
