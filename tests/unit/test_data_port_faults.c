/* Tests of data ports whose QEMU refuses, is silent, or ends: the user is told why, nothing is left
 * in QEMU, and the port can be opened again.
 */
#include "data_port_fixture.h"

#include <sys/stat.h>

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

static struct test *set_up_at(void **state, int moment)
{
	struct test *test;

	set_up_port(state);
	test = *state;
	greet(test->qmp);
	reach(test, moment);
	return test;
}

/* Another QEMU may be started afterwards. */
static void qemu_may_end_at_any_moment(void **state)
{
	for (int moment = NOT_BEGUN; moment < MOMENTS; moment++) {
		struct test *test = set_up_at(state, moment);

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
		set_up_at(state, moment);
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
	const struct CMUnitTest tests[] = {
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
		cmocka_unit_test(qemu_may_end_at_any_moment),
		cmocka_unit_test(what_is_open_is_forgotten),
		port_test(nobody_is_told_after_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
