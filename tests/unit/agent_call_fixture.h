/* An agent channel whose other end is the test: it plays the agent, and the root shell, by hand. */
#pragma once

#include "peer.h"

#include "agent_channel/agent_channel_internal.h"

#include <pthread.h>
#include <unistd.h>

/* A call of a test, which notes what comes. */
struct probe {
	struct ntd_agent_call call;
	struct ntd_buf heard; /* DATA, and "<ITEM>" and so on for the others */
	struct ntd_buf input; /* to be sent */
	bool refuses;         /* what comes is an error */
	/* of the thread that makes the call */
	struct ntd_agent_channel *agent;
	int64_t deadline;
	pthread_t thread;
	struct ntd_error *error;
	int returned;
};

struct fixture {
	struct ntd_loop *loop;
	struct ntd_shell *shell;
	struct ntd_agent_channel *agent;
	int socket, peer;             /* of the agent */
	int shell_socket, shell_peer; /* of the root shell */
	struct ntd_buf in;            /* of the peer */
};

static inline struct ntd_error *probe_frame(struct ntd_agent_call *call,
					    const struct ntd_frame *frame)
{
	struct probe *probe = ntd_container_of(call, struct probe, call);

	if (probe->refuses)
		return ntd_error_new(NTD_E_PROTOCOL, "the probe refuses");
	if (frame->kind != NTD_FRAME_DATA)
		ntd_buf_printf(&probe->heard, "<%u>", frame->kind);
	ntd_buf_append(&probe->heard, frame->bytes, frame->len);
	return NULL;
}

static inline struct ntd_error *probe_done(struct ntd_agent_call *call, const char *payload,
					   size_t len)
{
	struct probe *probe = ntd_container_of(call, struct probe, call);

	ntd_buf_append(&probe->heard, "<done>", 6);
	ntd_buf_append(&probe->heard, payload, len);
	return NULL;
}

static inline void probe_fill(struct ntd_agent_call *call, size_t room)
{
	struct probe *probe = ntd_container_of(call, struct probe, call);
	size_t len = probe->input.len < room ? probe->input.len : room;

	if (len)
		ntd_agent_call_send(call, NTD_FRAME_DATA, ntd_buf_bytes(&probe->input), len);
	ntd_buf_consume(&probe->input, len);
	if (!probe->input.len)
		ntd_agent_call_finish(call);
}

static const struct ntd_agent_call_ops probe_ops = {.frame = probe_frame, .done = probe_done},
				       sender_ops = {.frame = probe_frame,
						     .done = probe_done,
						     .fill = probe_fill};

static inline void *probe_main(void *arg)
{
	struct probe *probe = arg;

	probe->returned = ntd_agent_call_run(probe->agent, &probe->call, probe->deadline, NULL,
					     &probe->error);
	return NULL;
}

/* Makes a call on a thread of its own; NULL: with the operations of a probe. */
static inline void probe_begin(struct fixture *fixture, struct probe *probe,
			       const struct ntd_agent_call_ops *ops, const char *payload)
{
	probe->agent = fixture->agent;
	probe->call.ops = ops ? ops : &probe_ops;
	probe->call.kind = NTD_FRAME_RUN;
	ntd_buf_puts(&probe->call.payload, payload);
	if (!probe->deadline)
		probe->deadline = NTD_FOREVER;
	assert_int_equal(pthread_create(&probe->thread, NULL, probe_main, probe), 0);
}

static inline void probe_free(struct probe *probe)
{
	ntd_buf_free(&probe->heard);
	ntd_buf_free(&probe->input);
	ntd_buf_free(&probe->call.payload);
}

/* Waits for the success of the call, and asserts what it has heard. */
static inline void probe_succeeds(struct probe *probe, const char *heard)
{
	_cleanup_free_ char *text = NULL;

	pthread_join(probe->thread, NULL);
	assert_no_error(probe->error);
	text = ntd_buf_take_string(&probe->heard);
	assert_string_equal(text, heard);
	probe_free(probe);
}

static inline void probe_fails(struct probe *probe, enum ntd_errc code, const char *message)
{
	pthread_join(probe->thread, NULL);
	assert_int_equal(probe->returned, -1);
	assert_error(probe->error, code, message);
	probe_free(probe);
}

/* ---- the agent's side */

static inline void peer_send(struct fixture *fixture, uint32_t stream, uint8_t kind,
			     const void *bytes, size_t len)
{
	_cleanup_buf_ struct ntd_buf out = {0};

	ntd_frame_append(&out, &(struct ntd_frame){stream, kind, bytes, len});
	assert_int_equal(send(fixture->peer, ntd_buf_bytes(&out), out.len, MSG_NOSIGNAL), out.len);
}

static inline void peer_text(struct fixture *fixture, uint32_t stream, uint8_t kind,
			     const char *text)
{
	peer_send(fixture, stream, kind, text, strlen(text));
}

static inline void peer_hello(struct fixture *fixture, uint32_t version)
{
	_cleanup_buf_ struct ntd_buf payload = {0};

	ntd_agent_hello_pack(&payload, &(struct ntd_agent_hello){.version = version, .pid = 7});
	peer_send(fixture, 0, NTD_FRAME_HELLO, ntd_buf_bytes(&payload), payload.len);
	settle(fixture->loop);
}

static inline void peer_credit(struct fixture *fixture, uint32_t stream, uint32_t bytes)
{
	_cleanup_buf_ struct ntd_buf payload = {0};

	ntd_pack_u32(&payload, bytes);
	peer_send(fixture, stream, NTD_FRAME_CREDIT, ntd_buf_bytes(&payload), payload.len);
}

/* The next frame of the driver's, whose bytes are valid until the next call. */
static inline struct ntd_frame peer_receive(struct fixture *fixture)
{
	static struct ntd_buf last;
	struct ntd_frame frame;
	enum ntd_frame_verdict verdict;

	while ((verdict = ntd_frame_take(&fixture->in, &frame)) == NTD_FRAME_PARTIAL) {
		ssize_t got = recv(fixture->peer, ntd_buf_reserve(&fixture->in, 65536), 65536, 0);

		assert_true(got > 0);
		ntd_buf_added(&fixture->in, (size_t)got);
	}
	assert_int_equal(verdict, NTD_FRAME_WHOLE);
	ntd_buf_free(&last);
	ntd_buf_append(&last, frame.bytes, frame.len);
	ntd_buf_consume(&fixture->in, NTD_FRAME_HEADER + frame.len);
	frame.bytes = ntd_buf_bytes(&last);
	return frame;
}

static inline void peer_expects(struct fixture *fixture, uint32_t stream, uint8_t kind,
				const char *text)
{
	struct ntd_frame frame = peer_receive(fixture);

	assert_int_equal(frame.stream, stream);
	assert_int_equal(frame.kind, kind);
	assert_int_equal(frame.len, strlen(text));
	assert_memory_equal(frame.bytes, text, frame.len);
}

/* ---- the root shell's side */

/* Waits for a question of the driver's, and answers it. */
static inline void shell_answers(struct fixture *fixture)
{
	char text[65536], *line, *token;
	size_t len = 0;
	_cleanup_free_ char *reply = NULL;

	/* the functions, with the driver's token, and the question */
	do {
		ssize_t got = recv(fixture->shell_peer, text + len, sizeof text - 1 - len, 0);

		assert_true(got > 0);
		len += (size_t)got;
		text[len] = '\0';
		line = strstr(text, "\nntd_own ");
	} while (!line || text[len - 1] != '\n');
	token = strstr(text, "\necho \"") + strlen("\necho \"");
	reply = ntd_asprintf("'' 0 0 %.8s-%lu\n", token, strtoul(line + 9, NULL, 10));
	peer_say(fixture->shell_peer, reply);
}

static inline void be_ready(void *owner, struct ntd_channel *channel, const char *said, size_t len)
{
}

/* ---- the fixture */

static inline void open_connections(void *arg)
{
	struct fixture *fixture = arg;

	ntd_shell_open(fixture->shell, fixture->shell_socket, NULL);
	ntd_agent_connection_open(fixture->agent, fixture->socket, NULL);
}

static inline void close_agent(void *arg)
{
	struct fixture *fixture = arg;
	struct ntd_channel *channel = ntd_agent_channel_of(fixture->agent);
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");

	channel->ops->close(channel, why);
}

static inline void close_shell(void *arg)
{
	struct fixture *fixture = arg;
	struct ntd_channel *channel = ntd_shell_channel(fixture->shell);
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");

	channel->ops->close(channel, why);
}

static inline void make_pair(int *socket, int *peer)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*socket = pair[0];
	*peer = pair[1];
}

/* An agent that has not greeted yet. */
static inline int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);

	make_pair(&fixture->socket, &fixture->peer);
	make_pair(&fixture->shell_socket, &fixture->shell_peer);
	fixture->loop = ntd_loop_new(NULL);
	fixture->shell = ntd_shell_new(fixture->loop, "server");
	ntd_shell_channel(fixture->shell)->owner.ready = be_ready;
	fixture->agent =
		ntd_agent_channel_new(fixture->loop, NULL, "server", fixture->shell, NULL, true);
	ntd_loop_call(fixture->loop, open_connections, fixture);
	*state = fixture;
	return 0;
}

static inline int set_up_connected(void **state)
{
	int result = set_up(state);

	peer_hello(*state, NTD_AGENT_VERSION);
	return result;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_loop_call(fixture->loop, close_agent, fixture);
	ntd_loop_call(fixture->loop, close_shell, fixture);
	ntd_agent_channel_free(fixture->agent);
	ntd_shell_free(fixture->shell);
	ntd_loop_free(fixture->loop);
	ntd_close_fd(&fixture->peer);
	ntd_close_fd(&fixture->shell_peer);
	ntd_buf_free(&fixture->in);
	free(fixture);
	return 0;
}

#define agent_test(name) cmocka_unit_test_setup_teardown(name, set_up_connected, tear_down)
#define greeting_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
