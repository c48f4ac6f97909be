/* The inside of the root shell's channel, for the files that make it up. The loop thread owns it
 * all.
 */
#pragma once

#include "base/list.h"
#include "channel/framing.h"
#include "channel/shell.h"

enum ntd_shell_port_stage {
	NTD_SHELL_PORT_CLOSED,
	NTD_SHELL_PORT_OPENING,
	NTD_SHELL_PORT_FINDING,
	NTD_SHELL_PORT_OPEN,
	NTD_SHELL_PORT_REFUSED
};

/* What the command on the wire is at. */
enum ntd_shell_exchange {
	NTD_SHELL_RUNS,        /* until its reply comes */
	NTD_SHELL_AWAITS_PORT, /* the guest keeps its output until the port is open, or refused */
	NTD_SHELL_SENDS,       /* the guest sends its output by the port */
	NTD_SHELL_FETCHES,     /* its output comes in pieces */
	NTD_SHELL_DRAINS       /* the rest of its output is awaited on the port */
};

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
	enum ntd_shell_exchange exchange;
	struct ntd_port *port; /* NULL: there is none */
	enum ntd_shell_port_stage port_stage;
	/* The port has a name in the guest; what has waited for it goes on, with it or without. */
	void (*port_opened)(struct ntd_shell *shell, const char *name);
	void (*port_settled)(struct ntd_shell *shell);
	struct ntd_source data;    /* the port's socket; fd -1: none */
	struct ntd_buf data_out;   /* input that the port has not taken yet */
	bool data_overflown;       /* the command has printed more than is accepted */
	bool port_spoilt;          /* the port may have bytes that nobody wants */
	struct ntd_timer missing;  /* expires when no more bytes are to be expected */
	struct ntd_error *refusal; /* why commands cannot run; NULL: they can */
	struct ntd_buf said;       /* what the guest wrote before the banner, for the log */
	struct ntd_script_socket script;
	/* Expires when the guest has written nothing for as long as a script allows. */
	struct ntd_timer silence;
	/* The number of the last command. */
	unsigned sequence;
	struct ntd_shell_watcher watcher;
	bool spoken_to; /* by a script, since the shell announced itself */
};

/* A command that waits for the wire or its reply, on the stack of the thread that runs it, or of a
 * question. */
struct ntd_shell_job {
	struct ntd_request request;
	struct ntd_shell_question *question; /* NULL: a thread's command */
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
/* Ends the request of the thread that waits with `error`, which this function takes, and interrupts
 * the command. The wire is free when its reply has come. */
void ntd_shell_give_up(struct ntd_shell *shell, struct ntd_error *error);
/* Has the guest open the port of that name. */
void ntd_shell_ask_for_port(struct ntd_shell *shell, const char *name);
/* Begins the script's limit on silence anew, if it has set one. */
void ntd_shell_await_bytes(struct ntd_shell *shell);
/* Sends the next command if the wire is free. */
void ntd_shell_pump(struct ntd_shell *shell);
/* From now on commands fail with a copy of `why`, which this function takes; NULL: they can run. */
void ntd_shell_set_refusal(struct ntd_shell *shell, struct ntd_error *why);

/* ---- shell_port.c */
/* Whether there is a port, or can be one. */
bool ntd_shell_port_usable(const struct ntd_shell *shell);
/* Has the port opened; false: it will be, or be refused, and then the wire goes on. */
bool ntd_shell_port_open(struct ntd_shell *shell);
/* The guest has looked for the port. */
void ntd_shell_port_found(struct ntd_shell *shell, bool found);
/* Closes the port, which can be opened again. */
void ntd_shell_port_close(struct ntd_shell *shell);
/* Does so for another guest, or another boot of it, in which the port is not refused so far. */
void ntd_shell_port_forget(struct ntd_shell *shell);
void ntd_shell_port_write(struct ntd_shell *shell, const char *bytes, size_t len);

/* ---- shell_data.c */
void ntd_shell_data_init(struct ntd_shell *shell);
/* Gets the output that the guest has kept: by the port, or in pieces. */
void ntd_shell_fetch(struct ntd_shell *shell);
/* The reply tells how much has been written to the port: ends the command when that has come. */
void ntd_shell_drain(struct ntd_shell *shell);

/* ---- shell_read.c */
/* Reads what has come, in at most `batches` of 64 KiB, so that one machine that writes a lot does
 * not keep the others waiting. False at the end of the connection. */
bool ntd_shell_read(struct ntd_shell *shell, int batches);
/* Called when the shell's socket is ready. */
void ntd_shell_ready(struct ntd_source *source, uint32_t events);
