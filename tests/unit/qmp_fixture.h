/* A QMP session whose QEMU is played by the test, and commands and waits for events that run on
 * threads of their own.
 */
#pragma once

#include "peer.h"

#include "qemu/qmp.h"

#include <pthread.h>
#include <semaphore.h>

#define GREETING                                                                                   \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}}, "         \
	"\"capabilities\": [\"oob\"]}}\r\n"
#define PATIENCE (10 * NTD_SECOND)

/* A command, or a wait for an event when `command` is NULL, on a thread of its own. */
struct call {
	struct ntd_qmp *qmp;
	const char *command;
	cJSON *arguments;
	int64_t patience;
	pthread_t thread;
	bool running;
	cJSON *reply;
	struct ntd_error *error;
};

enum { MOST_CALLS = 4 };

struct fixture {
	struct ntd_loop *loop;
	struct ntd_qmp *qmp;
	int socket, peer;
	sem_t ready;
	struct call calls[MOST_CALLS]; /* here, since a test that fails leaves its threads behind */
	char heard[512];
};

static inline void on_ready(void *owner, const struct ntd_error *failure)
{
	if (!failure)
		sem_post(&((struct fixture *)owner)->ready);
}

static inline void open_qmp(void *arg)
{
	struct fixture *fixture = arg;

	ntd_qmp_open(fixture->qmp, fixture->socket, on_ready, fixture, NULL);
}

static inline void close_qmp(void *arg)
{
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");

	ntd_qmp_close(((struct fixture *)arg)->qmp, why);
}

static inline void connect_peer(struct fixture *fixture)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fixture->socket = pair[0];
	fixture->peer = pair[1];
	ntd_loop_call(fixture->loop, open_qmp, fixture);
}

static inline int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);

	fixture->loop = ntd_loop_new(NULL);
	fixture->qmp = ntd_qmp_new(fixture->loop, "machine 'server'");
	sem_init(&fixture->ready, 0, 0);
	connect_peer(fixture);
	*state = fixture;
	return 0;
}

static inline void join(struct call *call)
{
	if (call->running)
		pthread_join(call->thread, NULL);
	call->running = false;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_loop_call(fixture->loop, close_qmp, fixture);
	for (size_t i = 0; i < MOST_CALLS; i++) {
		join(&fixture->calls[i]);
		cJSON_Delete(fixture->calls[i].reply);
		cJSON_Delete(fixture->calls[i].arguments);
		ntd_error_free(fixture->calls[i].error);
	}
	ntd_qmp_free(fixture->qmp);
	ntd_loop_free(fixture->loop);
	ntd_close_fd(&fixture->peer);
	sem_destroy(&fixture->ready);
	free(fixture);
	return 0;
}

/* ---- the peer */

/* The next line from the driver, which comes within ten seconds. */
static inline const char *hear(struct fixture *fixture)
{
	size_t len = 0;

	while (!len || fixture->heard[len - 1] != '\n') {
		assert_true(peer_hears(fixture->peer, 10000));
		assert_true(len < sizeof fixture->heard - 1);
		assert_int_equal(recv(fixture->peer, fixture->heard + len, 1, 0), 1);
		len++;
	}
	fixture->heard[len - 1] = '\0';
	return fixture->heard;
}

static inline void greet(struct fixture *fixture)
{
	peer_say(fixture->peer, GREETING);
	assert_string_equal(hear(fixture), "{\"execute\":\"qmp_capabilities\",\"id\":0}");
	peer_say(fixture->peer, "{\"return\": {}, \"id\": 0}\r\n");
	assert_int_equal(sem_wait(&fixture->ready), 0);
}

/* ---- calls */

static inline void *run_call(void *arg)
{
	struct call *call = arg;
	int64_t deadline = ntd_after(call->patience);

	call->reply = call->command ? ntd_qmp_execute(call->qmp, call->command, call->arguments,
						      deadline, NULL, &call->error)
				    : ntd_qmp_next_event(call->qmp, deadline, NULL, &call->error);
	return NULL;
}

static inline struct call *start(struct fixture *fixture, const char *command,
				 const char *arguments, int64_t patience)
{
	struct call *call = fixture->calls;

	while (call->qmp)
		call++;
	*call = (struct call){.qmp = fixture->qmp,
			      .command = command,
			      .arguments = arguments ? cJSON_Parse(arguments) : NULL,
			      .patience = patience,
			      .running = true};
	pthread_create(&call->thread, NULL, run_call, call);
	return call;
}

static inline void assert_reply(struct call *call, const char *expected)
{
	_cleanup_free_ char *text = NULL;

	join(call);
	assert_no_error(call->error);
	text = cJSON_PrintUnformatted(call->reply);
	assert_string_equal(text, expected);
}

static inline void assert_failed(struct call *call, enum ntd_errc code, const char *text)
{
	join(call);
	assert_null(call->reply);
	assert_error(ntd_steal(&call->error), code, text);
}
