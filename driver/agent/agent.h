/* The agent, a program that the driver starts in a guest: its loop, and what its services use. One
 * thread, one poll(2). The driver asks for things by streams (agent/frame.h); a service does one
 * kind of thing: commands, waits, copies.
 *
 * The program is linked statically with musl and must stay below 100 kB. Of the driver's code it
 * uses base/buf, base/mem, base/list and sftp/packet alone. It runs as root in somebody else's
 * guest: it makes no files but those that it is asked for, and all that comes by the port may be
 * nonsense.
 */
#pragma once

#include "agent/frame.h"
#include "agent/manner.h"
#include "base/list.h"

#include <poll.h>
#include <signal.h>
#include <sys/types.h>

struct ntd_agent;
struct ntd_agent_stream;

/* What does one kind of thing. */
struct ntd_agent_service {
	uint8_t kind; /* of the frame that begins a stream */
	/* Does at once what is asked for, so that there is no need for the other functions. Returns
	 * NULL for DONE without a payload, or a new string for FAILED, why it could not be done. */
	char *(*serve)(const char *payload, size_t len);
	/* Begins the stream, whose part in the service's own structure is new memory that the
	 * service allocates. It may end it at once by ntd_agent_done() or ntd_agent_failed(), so
	 * the caller does not touch it afterwards. */
	void (*begin)(struct ntd_agent *agent, uint32_t number, const char *payload, size_t len);
	/* A frame of the driver's for the stream: DATA, END or another that the service knows.
	 * NULL: they are ignored. */
	void (*frame)(struct ntd_agent_stream *stream, const struct ntd_frame *frame);
	/* The driver no longer waits for the stream. The service stops what it does, and ends the
	 * stream now or soon. */
	void (*cancel)(struct ntd_agent_stream *stream);
	/* Bytes can be sent again after ntd_agent_is_full(). May be NULL. */
	void (*drained)(struct ntd_agent_stream *stream);
	/* Frees what the service holds, and the memory, when the stream has ended in any way. */
	void (*free)(struct ntd_agent_stream *stream);
};

/* The part that all streams have, as a member of the service's structure. */
struct ntd_agent_stream {
	struct ntd_agent *agent;
	const struct ntd_agent_service *service;
	uint32_t number;
	size_t unused; /* bytes of DATA that came and were not given credit for */
	struct ntd_list_link link;
};

/* Registers a new stream; called by `begin`. Number 0 is for a service's own things, which the
 * agent counts and frees as it does streams. */
void ntd_agent_stream_add(struct ntd_agent *agent, struct ntd_agent_stream *stream,
			  const struct ntd_agent_service *service, uint32_t number);
/* Sends a frame of the stream. Bytes of any length are sent as several frames. */
void ntd_agent_send(struct ntd_agent_stream *stream, uint8_t kind, const char *bytes, size_t len);
/* Sends what read(2) reads from `fd` now, at most a whole frame, without copying it. Returns what
 * read returned; 0 or -1: nothing was sent. */
ssize_t ntd_agent_send_read(struct ntd_agent_stream *stream, uint8_t kind, int fd);
/* Gives the driver credit for `len` bytes of DATA. A driver that sends more than NTD_FRAME_WINDOW
 * bytes without credit loses the connection, so a service that keeps what it has not used is
 * bounded. */
void ntd_agent_used(struct ntd_agent_stream *stream, size_t len);
/* Whether so much waits to be sent that a service must not read more for it; `drained` follows. */
bool ntd_agent_is_full(const struct ntd_agent *agent);
/* End the stream and free it: with the payload of DONE (NULL: empty), which fits into a frame, or
 * with a reason, FAILED. */
void ntd_agent_done(struct ntd_agent_stream *stream, const struct ntd_buf *payload);
void ntd_agent_failed(struct ntd_agent_stream *stream, const char *fmt, ...) ntd_printf(2, 3);
/* Frees a stream of number 0. */
void ntd_agent_drop(struct ntd_agent_stream *stream);

/* ---- the loop */

/* A descriptor that is polled. fd -1, or no events: it is not. */
struct ntd_agent_source {
	int fd;
	short events; /* of poll(2) */
	/* What becomes ready is sent, so the source is left alone while ntd_agent_is_full(). Such
	 * sources take turns, whatever they have to send. */
	bool sends;
	void (*ready)(struct ntd_agent_source *source, short events);
	struct ntd_list_link link;
};

void ntd_agent_source_add(struct ntd_agent *agent, struct ntd_agent_source *source);
/* Nothing happens to a source that was not added. The caller closes the descriptor. */
void ntd_agent_source_remove(struct ntd_agent_source *source);

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t ntd_agent_now(void);

/* `expired` is called once when `at` has come. */
struct ntd_agent_timer {
	int64_t at; /* of ntd_agent_now() */
	void (*expired)(struct ntd_agent_timer *timer);
	struct ntd_list_link link;
};

/* Sets a timer, which may be set already. */
void ntd_agent_timer_set(struct ntd_agent *agent, struct ntd_agent_timer *timer, int64_t at);
void ntd_agent_timer_cancel(struct ntd_agent_timer *timer);

/* A child of the agent: `ended` is called once with its status of waitpid(2). */
struct ntd_agent_child {
	pid_t pid;
	void (*ended)(struct ntd_agent_child *child, int status);
	int status; /* the agent's */
	struct ntd_list_link link;
};

void ntd_agent_child_add(struct ntd_agent *agent, struct ntd_agent_child *child);
void ntd_agent_child_forget(struct ntd_agent_child *child);

/* ---- the agent as a whole, for main.c and tests */

/* All services, for the setup (agent/services.c). */
extern const struct ntd_agent_service *const ntd_agent_services[];

/* What the agent is started with. */
struct ntd_agent_setup {
	const struct ntd_agent_service *const *services; /* which end with NULL */
	int port;                                        /* does not block */
	/* The standard inputs of commands without a time-out, and with one (agent/command.h). */
	int input, timed_input;
	const struct ntd_agent_manner *manner; /* NULL: that of the root shell */

	/* The agent's own: for the programs that it starts, the mask of signals, and those whose
	 * handling becomes the default. */
	sigset_t mask, defaults;
};

const struct ntd_agent_setup *ntd_agent_setup(const struct ntd_agent *agent);

/* Serves the port until it ends or the other side sends no frames. Returns the exit status of the
 * program. */
int ntd_agent_serve(const struct ntd_agent_setup *setup);
