/* A driver for tests of the agent's services: the agent serves one end of a pair of sockets in a
 * process of its own, and the test has the other end.
 *
 *	struct agent agent = start_agent();
 *
 *	tell(&agent, NTD_FRAME_RUN, 1, &payload);
 *	struct ntd_frame frame = hear(&agent);
 *	...
 *	stop_agent(&agent);
 */
#pragma once

#include "unit.h"

#include "agent/agent.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct agent {
	int fd;
	pid_t pid;
	struct ntd_buf in;
	size_t heard; /* bytes of the frame that was returned last */
};

/* The next frame of the agent, whose bytes are valid until the next call. Each is waited for
 * without a limit, as the tests have one. */
static inline struct ntd_frame hear(struct agent *agent)
{
	struct ntd_frame frame;
	enum ntd_frame_verdict verdict;

	ntd_buf_consume(&agent->in, agent->heard);
	while ((verdict = ntd_frame_take(&agent->in, &frame)) == NTD_FRAME_PARTIAL) {
		ssize_t len = read(agent->fd, ntd_buf_reserve(&agent->in, NTD_FRAME_MOST),
				   NTD_FRAME_MOST);

		if (len <= 0)
			fail_msg("the agent has ended");
		ntd_buf_added(&agent->in, (size_t)len);
	}
	assert_int_equal(verdict, NTD_FRAME_WHOLE);
	agent->heard = NTD_FRAME_HEADER + frame.len;
	return frame;
}

/* The next frame, which must be of that kind and stream. */
static inline struct ntd_frame hear_kind(struct agent *agent, enum ntd_frame_kind kind,
					 uint32_t stream)
{
	struct ntd_frame frame = hear(agent);

	if (frame.kind != kind && frame.kind == NTD_FRAME_FAILED)
		fail_msg("FAILED: %.*s", (int)frame.len, frame.bytes);
	assert_int_equal(frame.kind, kind);
	assert_int_equal(frame.stream, stream);
	return frame;
}

/* The next frame, which must say that the stream has failed, and why. */
static inline void hear_failure(struct agent *agent, uint32_t stream, const char *why)
{
	struct ntd_frame frame = hear(agent);
	_cleanup_free_ char *text = ntd_strndup(frame.bytes, frame.len);

	assert_int_equal(frame.kind, NTD_FRAME_FAILED);
	assert_int_equal(frame.stream, stream);
	assert_string_equal(text, why);
}

static inline void tell_raw(struct agent *agent, const char *bytes, size_t len)
{
	for (; len;) {
		ssize_t sent = write(agent->fd, bytes, len);

		assert_true(sent > 0);
		bytes += sent;
		len -= (size_t)sent;
	}
}

static inline void tell_bytes(struct agent *agent, enum ntd_frame_kind kind, uint32_t stream,
			      const char *bytes, size_t len)
{
	_cleanup_buf_ struct ntd_buf out = {0};

	ntd_frame_append(
		&out, &(struct ntd_frame){
			      .stream = stream, .kind = (uint8_t)kind, .bytes = bytes, .len = len});
	tell_raw(agent, ntd_buf_bytes(&out), out.len);
}

/* Tells the agent a frame with that payload; NULL: an empty one. */
static inline void tell(struct agent *agent, enum ntd_frame_kind kind, uint32_t stream,
			const struct ntd_buf *payload)
{
	tell_bytes(agent, kind, stream, payload ? ntd_buf_bytes(payload) : "",
		   payload ? payload->len : 0);
}

/* Starts an agent whose commands have these standard inputs, without and with a time-out. It
 * exits as a program does, so that the sanitizer looks for leaks. */
static inline struct agent start_agent_in(const struct ntd_agent_manner *manner, int input,
					  int timed_input)
{
	struct ntd_agent_hello hello = {0};
	struct agent agent = {0};
	struct ntd_frame frame;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fflush(NULL);
	agent.pid = fork();
	assert_true(agent.pid >= 0);
	if (!agent.pid) {
		const struct ntd_agent_setup setup = {.services = ntd_agent_services,
						      .port = pair[1],
						      .input = input,
						      .timed_input = timed_input,
						      .manner = manner};

		close(pair[0]);
		fcntl(pair[1], F_SETFL, O_NONBLOCK);
		exit(ntd_agent_serve(&setup));
	}
	close(pair[1]);
	agent.fd = pair[0];
	frame = hear_kind(&agent, NTD_FRAME_HELLO, 0);
	assert_true(ntd_agent_hello_unpack(frame.bytes, frame.len, &hello));
	assert_int_equal(hello.version, NTD_AGENT_VERSION);
	assert_int_equal(hello.pid, agent.pid);
	return agent;
}

static inline struct agent start_agent_with(int input, int timed_input)
{
	return start_agent_in(NULL, input, timed_input);
}

static inline struct agent start_agent(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct agent agent = start_agent_with(null, null);

	close(null);
	return agent;
}

/* Waits for the end of the agent, which must have that status. */
static inline void await_agent(struct agent *agent, int expected)
{
	int status;

	assert_int_equal(waitpid(agent->pid, &status, 0), agent->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected);
	ntd_close_fd(&agent->fd);
	ntd_buf_free(&agent->in);
}

/* Closes the port; the agent must end with success. */
static inline void stop_agent(struct agent *agent)
{
	ntd_close_fd(&agent->fd);
	await_agent(agent, 0);
}
