/* Tests of data ports whose QEMU does as it is told: opening and closing, at any moment, and what
 * is taken away from QEMU afterwards.
 */
#include "data_port_fixture.h"

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

/* The next opening has any number again, unless it is asked for one, too. */
static void a_port_may_need_a_number(void **state)
{
	struct test *test = begin(state);

	connect_chardev(test);
	answer(test);
	assert_heard(test, "device_add",
		     "{\"driver\":\"virtserialport\",\"id\":\"ntd-test-1\",\"chardev\":"
		     "\"ntd-test-1\",\"name\":\"ntd-test-1\",\"nr\":5}");
	assert_null(ntd_data_port_device(test->port));
	assert_int_equal(ntd_data_port_number(test->port), 0);
	assert_false(ntd_data_port_is_settled(test->port));
	give_device(test);
	assert_int_equal(ntd_data_port_number(test->port), 5);
	assert_true(ntd_data_port_is_settled(test->port));
	call(test, close_port);
	assert_false(ntd_data_port_is_settled(test->port));
	take_away(test, "ntd-test-1");
	assert_silence(test);
	assert_true(ntd_data_port_is_settled(test->port));
	assert_int_equal(ntd_data_port_number(test->port), 0);
	test->user.number = 0;
	assert_opens_again(test, "ntd-test-2");
}

static int set_up_number(void **state)
{
	int result = set_up_port(state);

	((struct test *)*state)->user.number = 5;
	return result;
}

/* What QEMU says of a device that was open is not of the one that is. */
static void a_number_may_be_learned(void **state)
{
	struct test *test = begin_open(state);

	assert_string_equal(ntd_data_port_device(test->port), "ntd-test-1");
	assert_int_equal(ntd_data_port_number(test->port), 0);
	ntd_data_port_learn_number(test->port, "ntd-test-2", 3);
	assert_int_equal(ntd_data_port_number(test->port), 0);
	ntd_data_port_learn_number(test->port, "ntd-test-1", 3);
	assert_int_equal(ntd_data_port_number(test->port), 3);
	call(test, close_port);
	ntd_data_port_learn_number(test->port, "ntd-test-1", 3);
	assert_int_equal(ntd_data_port_number(test->port), 0);
	take_away(test, "ntd-test-1");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		port_test(a_port_is_added_and_taken_away),
		cmocka_unit_test_setup_teardown(a_port_may_need_a_number, set_up_number,
						tear_down_port),
		port_test(a_number_may_be_learned),
		port_test(it_can_be_opened_again_while_it_is_taken_away),
		port_test(a_user_may_close_it_when_it_is_opened),
		port_test(scripts_hear_nothing_of_it),
		port_test(it_may_be_closed_before_the_chardev_is_there),
		port_test(it_may_be_closed_before_the_device_is_there),
		port_test(a_user_that_has_closed_it_is_not_told_of_a_failure),
		port_test(a_device_may_be_gone_before_qemu_answers),
		port_test(a_device_may_go_without_an_event),
		port_test(a_device_may_be_gone_already),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
