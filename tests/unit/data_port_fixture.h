/* A data port whose QEMU is played by the test: it gets the commands, connects to the port's
 * socket, answers, or does not. The user of the port notes what it is told.
 */
#pragma once

#include "qmp_fixture.h"

#include "base/text.h"
#include "qemu/data_port.h"

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

static inline void open_port(void *arg)
{
	struct test *test = arg;
	struct ntd_port *port = ntd_data_port_port(test->port);
	int told = test->opened + test->failed;

	port->ops->open(port, &test->user);
	assert_int_equal(test->opened + test->failed, told);
}

static inline void close_port(void *arg)
{
	struct ntd_port *port = ntd_data_port_port(((struct test *)arg)->port);

	port->ops->close(port);
}

static inline void on_opened(void *owner, int fd, const char *name)
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

static inline void on_failed(void *owner, const struct ntd_error *why)
{
	struct test *test = owner;

	test->failed++;
	test->code = why->code;
	snprintf(test->why, sizeof test->why, "%s", why->message);
	if (test->opens_when_failed)
		open_port(test);
	sem_post(&test->told);
}

static inline void call(struct test *test, void (*fn)(void *arg))
{
	ntd_loop_call(test->qmp->loop, fn, test);
}

static inline void assert_port_failed(struct test *test, enum ntd_errc code, const char *why)
{
	assert_int_equal(sem_wait(&test->told), 0);
	assert_int_equal(test->code, code);
	assert_non_null(strstr(test->why, why));
	assert_true(access(test->path, F_OK) < 0);
}

/* ---- QEMU */

static inline void connect_chardev(struct test *test)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof address.sun_path, "%s", test->path);
	ntd_close_fd(&test->chardev);
	test->chardev = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(test->chardev, (struct sockaddr *)&address, sizeof address), 0);
}

/* The next command is this one, with these arguments. */
static inline void assert_heard(struct test *test, const char *command, const char *arguments)
{
	_cleanup_cjson_ cJSON *message = cJSON_Parse(hear(test->qmp));
	_cleanup_free_ char *text =
		cJSON_PrintUnformatted(cJSON_GetObjectItem(message, "arguments"));

	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(message, "execute")), command);
	assert_string_equal(text, arguments);
	test->last_id = cJSON_GetObjectItem(message, "id")->valueint;
}

static inline void assert_heard_add_chardev(struct test *test, const char *name)
{
	_cleanup_free_ char *arguments =
		ntd_asprintf("{\"id\":\"%s\",\"backend\":{\"type\":\"socket\",\"data\":{"
			     "\"server\":false,\"addr\":{\"type\":\"unix\",\"data\":{"
			     "\"path\":\"%s\"}}}}}",
			     name, test->path);

	assert_heard(test, "chardev-add", arguments);
}

static inline void assert_heard_add_device(struct test *test, const char *name)
{
	_cleanup_free_ char *arguments =
		ntd_asprintf("{\"driver\":\"virtserialport\",\"id\":\"%s\",\"chardev\":\"%s\","
			     "\"name\":\"%s\"}",
			     name, name, name);

	assert_heard(test, "device_add", arguments);
}

static inline void assert_heard_id(struct test *test, const char *command, const char *name)
{
	_cleanup_free_ char *arguments = ntd_asprintf("{\"id\":\"%s\"}", name);

	assert_heard(test, command, arguments);
}

static inline void answer_to(struct test *test, int id, const char *what)
{
	_cleanup_free_ char *text = ntd_asprintf("{%s, \"id\": %d}\r\n", what, id);

	peer_say(test->qmp->peer, text);
}

static inline void answer(struct test *test)
{
	answer_to(test, test->last_id, "\"return\": {}");
}

static inline void refuse(struct test *test, const char *why)
{
	_cleanup_free_ char *text =
		ntd_asprintf("\"error\": {\"class\": \"GenericError\", \"desc\": \"%s\"}", why);

	answer_to(test, test->last_id, text);
}

static inline void say_deleted(struct test *test, const char *name)
{
	_cleanup_free_ char *text = ntd_asprintf("{\"event\": \"DEVICE_DELETED\", \"data\": "
						 "{\"device\": \"%s\", \"path\": \"/x/y\"}}\r\n",
						 name);

	peer_say(test->qmp->peer, text);
}

static inline void assert_silence(struct test *test)
{
	settle(test->qmp->loop);
	assert_false(peer_hears(test->qmp->peer, 0));
}

/* ---- a test */

static inline int set_up_port(void **state)
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

static inline void forget(void *arg)
{
	ntd_data_port_forget(((struct test *)arg)->port);
}

static inline int tear_down_port(void **state)
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
static inline struct test *begin(void **state)
{
	struct test *test = *state;

	greet(test->qmp);
	call(test, open_port);
	assert_heard_add_chardev(test, "ntd-test-1");
	return test;
}

static inline void give_chardev(struct test *test, const char *name)
{
	connect_chardev(test);
	answer(test);
	assert_heard_add_device(test, name);
}

static inline void give_device(struct test *test)
{
	answer(test);
	assert_int_equal(sem_wait(&test->told), 0);
}

/* The port is open. */
static inline struct test *begin_open(void **state)
{
	struct test *test = begin(state);

	give_chardev(test, "ntd-test-1");
	give_device(test);
	assert_int_equal(test->opened, 1);
	return test;
}

/* QEMU takes the devices away, as it does. */
static inline void take_away(struct test *test, const char *name)
{
	assert_heard_id(test, "device_del", name);
	answer(test);
	say_deleted(test, name);
	assert_heard_id(test, "chardev-remove", name);
	answer(test);
}

/* Another opening comes to its end. */
static inline void assert_opens_again(struct test *test, const char *name)
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

#define port_test(name) cmocka_unit_test_setup_teardown(name, set_up_port, tear_down_port)
