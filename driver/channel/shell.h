/* The root shell on hvc0: a channel (channel/channel.h) over the socket that QEMU connects to.
 *
 * The shell outlives the guest's reboots and dies with the QEMU process. The functions marked
 * "loop" are for the loop thread; the others may block and are for script threads.
 */
#pragma once

#include "channel/channel.h"
#include "channel/script_socket.h"

struct ntd_shell;

/* Both on the loop thread. */
struct ntd_shell_owner {
	/* A root shell announced itself: the first one, or one after a reboot. `said` is the start
	 * of what came before that, and the banner. */
	void (*announced)(void *owner, const char *said, size_t len);
	/* The other side closed the connection. */
	void (*disconnected)(void *owner);
	void *owner;
};

struct ntd_shell *ntd_shell_new(struct ntd_loop *loop, const char *machine,
				const struct ntd_shell_owner *owner);
void ntd_shell_free(struct ntd_shell *shell); /* closed before */

/* How long output may stay open after a command's time-out; 10 seconds unless set, before use. */
void ntd_shell_set_grace(struct ntd_shell *shell, unsigned seconds);

struct ntd_channel *ntd_shell_channel(struct ntd_shell *shell);

/* Loop: takes the connected socket. */
int ntd_shell_open(struct ntd_shell *shell, int fd, struct ntd_error **err);
/* Loop: reads what has arrived, then closes; pending commands fail with a copy of `why`. */
void ntd_shell_close(struct ntd_shell *shell, const struct ntd_error *why);
/* Loop: pending commands fail with a copy of `why`, and so do all others until a new root shell
 * announces itself. */
void ntd_shell_refuse(struct ntd_shell *shell, const struct ntd_error *why);
/* Loop: when something was last read since the connection; 0: nothing was. */
int64_t ntd_shell_heard(const struct ntd_shell *shell);

/* Writes raw bytes, as a script does that speaks to the shell by itself. */
int ntd_shell_send(struct ntd_shell *shell, const char *bytes, size_t len, struct ntd_error **err);
/* For a script: what came while no command was on its way. A time-out on its end bounds how long
 * the guest may say nothing while a command is on its way. */
struct ntd_script_socket *ntd_shell_socket(struct ntd_shell *shell);
/* The command that runs now, for messages; NULL when idle. A new string. */
char *ntd_shell_running(struct ntd_shell *shell);
