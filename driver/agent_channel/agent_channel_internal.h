/* The inside of the agent channel, for the files of this room. The loop thread owns it all, except
 * what is marked otherwise.
 */
#pragma once

#include "agent_channel/agent_channel.h"
#include "agent_channel/call.h"
#include "channel/nsenter.h"

/* How the agent was lost. */
enum ntd_agent_loss {
	NTD_LOSS_ENDED, /* it or its port has ended, or the channel gave it up; the guest goes on
			 */
	NTD_LOSS_LEFT,  /* it has said that it ends, and that what it has not answered has not begun
			 */
	NTD_LOSS_ANEW,  /* the guest has a new root shell: it has most likely rebooted */
	NTD_LOSS_CLOSED /* the channel was closed, which has a reason of its own */
};

enum ntd_agent_launch_state {
	NTD_AGENT_LAUNCH_IMPOSSIBLE, /* the guest has not booted, or the agent was given up */
	NTD_AGENT_LAUNCH_POSSIBLE,   /* the first call that could use it begins the launch */
	NTD_AGENT_LAUNCH_UNDER_WAY,
	NTD_AGENT_LAUNCH_DONE, /* the agent has said HELLO */
};

/* The start of the agent (launch.c). */
struct ntd_agent_launch {
	enum ntd_agent_launch_state state;
	atomic_bool may_help; /* any thread: it is possible, or under way */
	unsigned count;       /* of launches in the present boot */
	struct ntd_timer limit;
	struct ntd_list attendants; /* of struct ntd_agent_attendant */

	/* By the root shell (by_shell.c). */
	struct ntd_shell_question survey, start;
	const struct ntd_agent_program *program; /* NULL: the machine is not known yet */
	int fd;                                  /* of the port that was opened; -1 */
	char *port_name;
};

/* A thread that waits for the end of a launch. */
struct ntd_agent_attendant {
	struct ntd_request request;
	struct ntd_agent_channel *agent;
	int64_t patience; /* ns for the launch, if this thread begins it */
	bool refreshes;   /* the launch is for a refresh: see ntd_agent_launch_to_refresh() */
	struct ntd_list_link link;
};

/* How the agent gets into the guest, and what is to be known of what runs commands without it. One
 * file each: by_shell.c, by_nsenter.c. */
struct ntd_agent_way {
	const char *stand_in; /* what runs commands where there is no agent, for the log */
	/* Begins to start the agent. It opens the connection, on which the agent greets, or gives
	 * up. */
	void (*begin)(struct ntd_agent_channel *agent);
	/* The launch is over, as its state says: frees what was only for it. NULL: nothing is. */
	void (*over)(struct ntd_agent_channel *agent);
	/* The connection has been closed: takes away what was there for it. */
	void (*leave)(struct ntd_agent_channel *agent);
	/* Whether calls that yield must not begin. */
	bool (*yields)(struct ntd_agent_channel *agent);
	/* The connection has ended by itself, with calls that go on: ends them, now or soon, by
	 * ntd_agent_end_calls(). */
	void (*lost)(struct ntd_agent_channel *agent, const struct ntd_error *why);
	/* The error of a command with too much output. */
	struct ntd_error *(*too_much)(const struct ntd_agent_channel *agent,
				      const struct ntd_command *command);
	/* For how many seconds a command may go on after its time-out. Any thread. */
	unsigned (*grace)(const struct ntd_agent_channel *agent);
};

/* What the other files tell agent_channel.c. */
struct ntd_agent_events {
	/* The agent has said HELLO. */
	void (*connected)(struct ntd_agent_channel *agent);
	/* The connection has ended by itself, or must end, since the agent sends nonsense. */
	void (*lost)(struct ntd_agent_channel *agent, const struct ntd_error *why);
	/* The agent is to be taken away, if there is one: its calls end for the reason, and the
	 * port is closed. */
	void (*disconnect)(struct ntd_agent_channel *agent, enum ntd_agent_loss loss,
			   const struct ntd_error *why);
};

struct ntd_agent_channel {
	struct ntd_channel channel;
	const struct ntd_agent_events *events;
	struct ntd_loop *loop;
	struct ntd_report *report;
	char *machine;
	bool serves; /* any thread, a constant: the agent may run commands */
	const struct ntd_agent_way *way;
	struct ntd_agent_launch launch;

	/* ---- by_shell.c */
	struct ntd_shell *shell;
	struct ntd_port *port; /* NULL: there is none, and so no agent */
	int plugged;           /* the socket of a port that was added for a saved agent; -1 */
	struct ntd_request *plugging; /* waits for that; NULL: nobody does */
	struct ntd_shell_question verdict;
	struct ntd_timer verdict_limit; /* where the shell cannot be asked */

	/* ---- by_nsenter.c */
	struct ntd_nsenter *nsenter;
	struct ntd_process *process; /* which the agent runs below; NULL: none */

	/* ---- the connection */
	struct ntd_source socket; /* the data port; fd -1: none */
	struct ntd_buf in, out;
	bool connected;        /* the agent has said HELLO, so that it takes calls */
	bool resumed;          /* it is one that was saved, and has not been heard of since */
	bool left;             /* it has said that it ends */
	struct ntd_error *why; /* why the agent is not connected; NULL: it was not started */

	/* ---- calls */
	struct ntd_list calls;    /* of struct ntd_agent_call, that have begun and not ended */
	uint32_t streams;         /* the number of the last stream */
	enum ntd_agent_loss loss; /* how the agent of calls that are being ended was lost */
};

/* ---- agent_channel.c */
/* Makes a channel without an agent, which cannot be launched yet. */
struct ntd_agent_channel *ntd_agent_channel_make(struct ntd_loop *loop, struct ntd_report *report,
						 const char *machine,
						 const struct ntd_channel_ops *ops,
						 const struct ntd_agent_way *way);
/* The agent runs no more calls. */
void ntd_agent_withdraw(struct ntd_agent_channel *agent);
/* Closes the connection. The calls that go on are left to the caller. */
void ntd_agent_drop_connection(struct ntd_agent_channel *agent, const struct ntd_error *why);
/* Takes the agent away if there is one, or if one is being launched, until it is needed again. */
void ntd_agent_take_away(struct ntd_agent_channel *agent, const struct ntd_error *why);
/* Ends the calls that went on when the agent was lost. */
void ntd_agent_end_calls(struct ntd_agent_channel *agent, enum ntd_agent_loss loss,
			 const struct ntd_error *why);
/* The guest is another one, as after a boot: the agent is gone, and can be launched. */
void ntd_agent_begin_anew(struct ntd_agent_channel *agent, const struct ntd_error *why);
/* Operations of channels: `await` and `close`. */
int ntd_agent_await_condition(struct ntd_channel *channel, const struct ntd_condition *condition,
			      struct ntd_finding *finding, struct ntd_waiter *waiter,
			      struct ntd_error **err);
void ntd_agent_close(struct ntd_channel *channel, const struct ntd_error *why);

/* ---- call.c */
/* Sends what has been appended to `out`. */
void ntd_agent_flush(struct ntd_agent_channel *agent);
/* Takes a frame of a stream. NULL, or an error: the agent has sent what it must not. */
struct ntd_error *ntd_agent_calls_frame(struct ntd_agent_channel *agent,
					const struct ntd_frame *frame);
/* Ends all calls, since the agent is lost. */
void ntd_agent_calls_lost(struct ntd_agent_channel *agent, enum ntd_agent_loss loss,
			  const struct ntd_error *why);

/* ---- connection.c */
/* Awaits HELLO of an agent on a connected socket, which the channel takes, also when it fails. */
int ntd_agent_connection_open(struct ntd_agent_channel *agent, int fd, struct ntd_error **err);
/* Ends the connection, if there is one; new calls fail with a copy of `why`. The calls that go on
 * are left to the caller. */
void ntd_agent_connection_close(struct ntd_agent_channel *agent, const struct ntd_error *why);
/* The error of an agent that has ended by itself, a new one. */
struct ntd_error *ntd_agent_end_error(const struct ntd_agent_channel *agent);
/* Reads what has come. */
void ntd_agent_connection_drain(struct ntd_agent_channel *agent);
/* The guest has closed the port of the connection; for struct ntd_port_user. */
void ntd_agent_port_left(void *owner);

/* ---- launch.c */
/* launch.sh without comments and indentation; the Makefile makes it. */
extern const char ntd_launch_sh[];

void ntd_agent_launch_init(struct ntd_agent_launch *launch);
/* The guest has booted: the agent may be launched when it is needed, if it serves. */
void ntd_agent_launch_allow(struct ntd_agent_channel *agent);
/* No launch until the next boot. */
void ntd_agent_launch_forbid(struct ntd_agent_channel *agent);
/* The connection has been made, or has ended by itself. */
void ntd_agent_launch_connected(struct ntd_agent_channel *agent);
void ntd_agent_launch_ended(struct ntd_agent_channel *agent, const char *why);
/* Ends the launch without an agent, and closes the connection. */
void ntd_agent_launch_give_up(struct ntd_agent_channel *agent, const char *why);
/* The agent's program for a machine, as `uname -m` prints it; NULL: there is none. */
const struct ntd_agent_program *ntd_agent_program_for(const char *machine);

/* ---- saved.c */
/* Takes the port away that was added for a saved agent, unless that has been resumed. A thread that
 * waits for the port fails with a copy of `why`. */
void ntd_agent_unplug(struct ntd_agent_channel *agent, const struct ntd_error *why);

/* ---- script threads: operations of the channel */
int ntd_agent_prepare(struct ntd_channel *channel, int64_t patience, struct ntd_waiter *waiter,
		      struct ntd_error **err);
/* Has the agent launched even if it does not serve, or was given up, which was in another state of
 * the guest. Returns 0 as ntd_agent_prepare() does. */
int ntd_agent_launch_to_refresh(struct ntd_agent_channel *agent, int64_t patience,
				struct ntd_waiter *waiter, struct ntd_error **err);
/* How much of a command's text a message shows. */
int ntd_agent_text_shown(const struct ntd_command *command);
/* Runs a command by the agent (run.c). Returns 0 or -1; `*end` says in any case what has become of
 * the call. */
int ntd_agent_run_command(struct ntd_agent_channel *agent, const struct ntd_command *command,
			  struct ntd_result *result, enum ntd_agent_call_end *end,
			  struct ntd_waiter *waiter, struct ntd_error **err);
