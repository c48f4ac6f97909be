/* The root shell on hvc0: a channel over the socket that QEMU connects to. The shell outlives the
 * guest's reboots and dies with the QEMU process.
 *
 * The functions marked "loop" are for the loop thread; the others are for any other thread.
 */
#pragma once

#include "channel/channel.h"
#include "channel/script_socket.h"

struct ntd_shell;

/* `machine` is its name for messages. The channel is ready when a root shell announces itself, the
 * first one or one after a reboot; it is lost when the other side closes the connection. */
struct ntd_shell *ntd_shell_new(struct ntd_loop *loop, const char *machine);
void ntd_shell_free(struct ntd_shell *shell); /* closed before */
struct ntd_channel *ntd_shell_channel(struct ntd_shell *shell);

/* How long output may stay open after a command's time-out; 10 seconds unless set, before use. */
void ntd_shell_set_grace(struct ntd_shell *shell, unsigned seconds);

/* Loop: takes the connected socket. To close it is the channel's operation: it reads what has
 * arrived first. */
int ntd_shell_open(struct ntd_shell *shell, int fd, struct ntd_error **err);
/* Loop: pending commands fail with a copy of `why`, and so do all others until a new root shell
 * announces itself. */
void ntd_shell_refuse(struct ntd_shell *shell, const struct ntd_error *why);

/* Writes raw bytes, as a script does that speaks to the shell by itself. */
int ntd_shell_send(struct ntd_shell *shell, const char *bytes, size_t len, struct ntd_error **err);
/* For a script: what came while no command was on its way. A time-out on its end bounds how long
 * the guest may say nothing while a command is on its way. */
struct ntd_script_socket *ntd_shell_socket(struct ntd_shell *shell);
