/* The inside of the shell on the serial console, for the files that make it up. Script threads use
 * the console in turn: what is marked as the turn's belongs to the thread whose turn it is.
 */
#pragma once

#include "base/list.h"
#include "channel/serial.h"
#include "channel/serial_text.h"
#include "console/expect.h"

enum { NTD_SERIAL_IDENTITY_SIZE = 12 };

struct ntd_serial {
	struct ntd_channel channel;
	struct ntd_loop *loop;
	struct ntd_console *console;
	char *machine;
	struct ntd_expect *reader;

	/* Loop. */
	bool taken;                /* it is some thread's turn */
	struct ntd_list turns;     /* of struct serial_turn that wait */
	char *running;             /* the text of the command that runs; NULL: none */
	struct ntd_error *refusal; /* why commands cannot run; NULL: they can */

	/* The turn's. */
	struct ntd_buf text; /* of the console, not looked at yet */
	struct ntd_serial_lines lines;
	char identity[NTD_SERIAL_IDENTITY_SIZE]; /* of the loop in the guest; "": none */
	unsigned number;                         /* of the last line for the loop */
	enum ntd_serial_encoding encoding;
	char user[65]; /* whose shell it is */
	/* A command may be running that no thread waits for: `abandoned`, it is to be killed; else
	 * its end is waited for. */
	bool unfinished, abandoned;
};

/* channel/serial.sh without comments and indentation; the Makefile makes it. */
extern const char ntd_serial_sh[];

/* ---- serial_talk.c: lines and prompts of the console, for the thread whose turn it is */
/* What a wait for a line has found. */
enum { NTD_SERIAL_LATE, NTD_SERIAL_LINE, NTD_SERIAL_BEGUN };

/* Waits until `until` for text. Returns LINE when `lines` has a line, BEGUN when the line that has
 * begun has grown, LATE when the time is over, or -1 with an error. */
int ntd_serial_line(struct ntd_serial *serial, int64_t until, struct ntd_waiter *waiter,
		    struct ntd_error **err);
/* What the line that has begun asks for. */
enum ntd_serial_seen ntd_serial_begun(const struct ntd_serial *serial);
/* Forgets what the console has shown so far, but not the line that has begun. */
void ntd_serial_skip(struct ntd_serial *serial);
/* Types a text. */
int ntd_serial_type(struct ntd_serial *serial, const char *text, struct ntd_error **err);
/* The last lines of the console, for errors: "; last console lines:" and so on, a new string. */
char *ntd_serial_tail(const struct ntd_serial *serial);

/* ---- serial_login.c: from whatever the console shows to a shell */
int ntd_serial_find_shell(struct ntd_serial *serial, const struct ntd_serial_login *login,
			  int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err);

/* ---- serial_setup.c: from a shell to the driver's loop in it */
int ntd_serial_set_up(struct ntd_serial *serial, int64_t deadline, struct ntd_waiter *waiter,
		      struct ntd_error **err);

/* ---- serial_wire.c: the dialogue with the loop */
/* Makes sure that the loop waits for a line: kills an abandoned command, or waits for another's
 * end. */
int ntd_serial_settle(struct ntd_serial *serial, int64_t deadline, struct ntd_waiter *waiter,
		      struct ntd_error **err);
/* Runs a command. Leaves `identity` empty when the shell has gone. */
int ntd_serial_run(struct ntd_serial *serial, const struct ntd_command *command,
		   struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err);
