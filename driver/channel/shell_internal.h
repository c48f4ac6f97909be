/* The inside of the root shell's channel, for the files that make it up. The loop thread owns it
 * all.
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
	struct ntd_list queue;    /* of jobs that wait for the wire */
	bool on_wire;             /* a command has been sent whose reply has not come yet */
	unsigned wire_number;     /* the number of that command */
	struct ntd_timer overdue; /* expires when the reply should have come */
	struct ntd_timer insist;  /* expires when that command is to be interrupted again */
	/* That command; NULL: no thread waits for its reply any more. */
	struct ntd_shell_job *current;
	struct ntd_framing framing;
	struct ntd_error *refusal; /* why commands cannot run; NULL: they can */
	struct ntd_buf said;       /* what the guest wrote before the banner, for the log */
	struct ntd_script_socket script;
	/* Expires when the guest has written nothing for as long as a script allows. */
	struct ntd_timer silence;
	/* The number of the last command. */
	unsigned sequence;
};

/* A command that waits for the wire or its reply, on the stack of the thread that runs it. */
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
/* A script thread: queues the command, and waits for its reply. */
int ntd_shell_queue_run(struct ntd_shell *shell, const struct ntd_command *command,
			struct ntd_result *result, struct ntd_waiter *waiter,
			struct ntd_error **err);
/* Frees the wire, and ends the request of the thread that waits for the reply, if one does: with
 * `error`, which this function takes; NULL: with success. */
void ntd_shell_clear_wire(struct ntd_shell *shell, struct ntd_error *error);
/* Begins the script's limit on silence anew, if it has set one. */
void ntd_shell_await_bytes(struct ntd_shell *shell);
/* Sends the next command if the wire is free. */
void ntd_shell_pump(struct ntd_shell *shell);
/* From now on commands fail with a copy of `why`, which this function takes; NULL: they can run. */
void ntd_shell_set_refusal(struct ntd_shell *shell, struct ntd_error *why);

/* ---- shell_read.c */
/* Reads what has come, in at most `batches` of 64 KiB, so that one machine that writes a lot does
 * not keep the others waiting. False at the end of the connection. */
bool ntd_shell_read(struct ntd_shell *shell, int batches);
/* Called when the shell's socket is ready. */
void ntd_shell_ready(struct ntd_source *source, uint32_t events);
