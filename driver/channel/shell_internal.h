/* The inside of the root shell's channel, for the files that make it up. All of it belongs to the
 * loop thread.
 */
#pragma once

#include "base/list.h"
#include "channel/framing.h"
#include "channel/shell.h"

struct ntd_shell {
	struct ntd_channel channel;
	struct ntd_loop *loop;
	char *machine;
	struct ntd_source socket; /* fd -1: not connected */
	struct ntd_buf out;
	struct ntd_reply reply;
	struct ntd_list queue;         /* of jobs that wait for the wire */
	bool on_wire;                  /* a command was sent whose reply has not come yet */
	unsigned wire_number;          /* its number */
	struct ntd_timer overdue;      /* when its reply should have come */
	struct ntd_timer insist;       /* when it is to be interrupted again */
	struct ntd_shell_job *current; /* that command; NULL: nobody waits for its reply any more */
	struct ntd_framing framing;
	struct ntd_error *refusal; /* why commands cannot run; NULL: they can */
	struct ntd_buf said;       /* bytes before the banner, for the log */
	struct ntd_script_socket script;
	struct ntd_timer silence; /* when a script's limit for the next bytes has passed */
	unsigned sequence;
};

struct ntd_shell_job {
	struct ntd_request request;
	struct ntd_shell *shell;
	const struct ntd_command *command;
	struct ntd_result *result;
	struct ntd_list_link link; /* in the queue */
	char token[NTD_TOKEN_SIZE];
	unsigned number;
};

/* How much of a command's text a message shows. */
static inline int ntd_shell_shown(const struct ntd_command *command)
{
	return command->text_len < 200 ? (int)command->text_len : 200;
}

/* ---- shell_queue.c */
void ntd_shell_queue_init(struct ntd_shell *shell);
/* A script's thread: queues the command, and waits for its reply. */
int ntd_shell_queue_run(struct ntd_shell *shell, const struct ntd_command *command,
			struct ntd_result *result, struct ntd_waiter *waiter,
			struct ntd_error **err);
/* The wire is free again. A thread that waits for the reply is told: NULL for success. */
void ntd_shell_clear_wire(struct ntd_shell *shell, struct ntd_error *error);
/* A script's limit of silence begins anew. */
void ntd_shell_await_bytes(struct ntd_shell *shell);
/* Sends the next command when the wire is free. */
void ntd_shell_pump(struct ntd_shell *shell);
/* Commands cannot run, because of `why`; NULL: they can. */
void ntd_shell_set_refusal(struct ntd_shell *shell, struct ntd_error *why);

/* ---- shell_read.c */
/* Reads what is there; false at the end of the connection. At most `batches`, so that one machine
 * with much to say does not keep the others waiting. */
bool ntd_shell_read(struct ntd_shell *shell, int batches);
/* The socket is ready. */
void ntd_shell_ready(struct ntd_source *source, uint32_t events);
