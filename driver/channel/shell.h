/* The root shell on hvc0: a channel over the socket that QEMU connects to. The shell outlives the
 * guest's reboots and dies with the QEMU process.
 *
 * The functions marked "loop" are for the loop thread; the others are for any other thread. None
 * waits for the guest.
 */
#pragma once

#include "channel/channel.h"
#include "channel/port.h"
#include "channel/script_socket.h"

struct ntd_shell;

/* Makes a channel that is closed; `machine` is the machine's name for messages. The channel becomes
 * ready when a root shell announces itself, the first one or one after a reboot; it is lost when
 * QEMU closes the connection. */
struct ntd_shell *ntd_shell_new(struct ntd_loop *loop, const char *machine);
/* Frees a shell whose channel is closed, or NULL. */
void ntd_shell_free(struct ntd_shell *shell);
/* The channel, which is a part of the shell. */
struct ntd_channel *ntd_shell_channel(struct ntd_shell *shell);

/* Sets for how many seconds a command's output may stay open after its time-out. 10 unless this is
 * called, before the shell is opened. */
void ntd_shell_set_grace(struct ntd_shell *shell, unsigned seconds);

unsigned ntd_shell_grace(const struct ntd_shell *shell);
/* Loop: gives the closed channel a data port, which is used for what is long (channel/port.h);
 * NULL: it has none. */
void ntd_shell_set_port(struct ntd_shell *shell, struct ntd_port *port);

/* Loop: has the data port taken away, until it is needed again; but a command that a thread waits
 * for keeps it. */
void ntd_shell_leave_port(struct ntd_shell *shell);
/* Loop: the guest is about to go back to an earlier state, with the root shell as it was then: a
 * command that runs fails, since it cannot be counted on for a reply, the data port is taken away,
 * and nothing that the shell was told is taken for known. With `why`, all commands that are pending
 * fail with a copy of it, and so does what comes until the shell announces itself; without, those
 * that wait for their turn run afterwards. */
void ntd_shell_go_back(struct ntd_shell *shell, const struct ntd_error *why);

/* Loop: the guest has gone back to a state in which the root shell waited for a command: counts as
 * an announcement of the shell. */
void ntd_shell_assume(struct ntd_shell *shell);

/* Loop: opens the channel on the connected socket `fd`, which it takes. The channel's `close` reads
 * what has arrived before it closes the socket. */
int ntd_shell_open(struct ntd_shell *shell, int fd, struct ntd_error **err);
/* Loop: pending commands, and all others until a new root shell announces itself, fail with a copy
 * of `why`. The connection stays open. */
void ntd_shell_refuse(struct ntd_shell *shell, const struct ntd_error *why);

/* What the loop thread asks the root shell itself, behind the commands that wait already. The
 * caller fills in the first three members and keeps the structure until `ended` is called. */
struct ntd_shell_question {
	char *text; /* for the shell to evaluate, see `in_shell` of struct ntd_command */
	/* Loop: the shell has answered; with an error, it has not. The result is the question's. */
	void (*ended)(struct ntd_shell_question *question, const struct ntd_error *error);
	void *owner;
	struct ntd_result result;
	struct ntd_shell_job *job; /* NULL: it has not been asked, or has ended */
};

/* Loop: asks. `ended` may be called at once. */
void ntd_shell_ask(struct ntd_shell *shell, struct ntd_shell_question *question);
/* Loop: takes a question back, if it has been asked and has not ended: `ended` is not called. */
void ntd_shell_take_back(struct ntd_shell_question *question);

/* Who is told, on the loop thread, what happens to the root shell. */
struct ntd_shell_watcher {
	/* A new root shell has announced itself; commands of the last one have not ended yet. */
	void (*anew)(void *owner);
	/* A script has written bytes to the shell by itself. */
	void (*spoken_to)(void *owner);
	void *owner;
};

/* Sets the watcher, before the shell is opened; the structure is copied. */
void ntd_shell_watch(struct ntd_shell *shell, const struct ntd_shell_watcher *watcher);
/* Loop: whether questions can be asked: the shell is connected, and is not known to be stuck. */
bool ntd_shell_listens(const struct ntd_shell *shell);
/* Loop: whether the guest's end of the connection has been closed, and ntd_shell_refuse() or
 * close() has not followed. Commands that come then wait for the reason. */
bool ntd_shell_hung_up(const struct ntd_shell *shell);
/* Loop: whether commands must be run by the shell itself, since a script has written to it after
 * its announcement, or limits how long it may be silent, or since a command whose end no thread
 * waits for has not ended. */
bool ntd_shell_is_occupied(struct ntd_shell *shell);

/* Writes raw bytes to the shell, as a script does that speaks to it by itself. NTD_E_DEAD when the
 * channel is closed. */
int ntd_shell_send(struct ntd_shell *shell, const char *bytes, size_t len, struct ntd_error **err);
/* The socket for a script that speaks to the shell by itself: it gets what the guest writes while
 * no command of the driver is pending. A time-out that the script sets on its end limits how long
 * the guest may write nothing while a command is pending. */
struct ntd_script_socket *ntd_shell_socket(struct ntd_shell *shell);
