/* The shell on the serial console: the last resort for guests that have no root shell and no SSH. A
 * script logs in on the console, or finds a shell there; then the shell runs the driver's loop
 * (channel/serial.sh), and the channel is ready. It is lost when the guest reboots or hangs up; the
 * script logs in again.
 *
 * Functions marked "Loop" are called on the loop thread; all others on script threads.
 */
#pragma once

#include "channel/channel.h"
#include "console/console.h"

struct ntd_serial;

/* Makes a channel that is absent until a login, on a console that lives longer. `machine` is the
 * machine's name for messages. Any thread but the loop thread. */
struct ntd_serial *ntd_serial_new(struct ntd_loop *loop, struct ntd_console *console,
				  const char *machine);
/* Frees a channel that is closed, or NULL. */
void ntd_serial_free(struct ntd_serial *serial);
/* The channel, which is a part of it. */
struct ntd_channel *ntd_serial_channel(struct ntd_serial *serial);
/* Loop: the guest was reset, so the shell is gone. */
void ntd_serial_reset(struct ntd_serial *serial);

/* Who logs in. */
struct ntd_serial_login {
	const char *user;
	const char *password;     /* NULL: none is needed */
	const char *new_password; /* where the guest asks for a change; NULL: none is given */
};

/* Logs in on the console, or takes the user's shell that is there, and makes the channel ready.
 * Waits for a login prompt, and asks for one by newlines. NTD_E_ASSERTION when the guest refuses
 * the login, asks for a password that was not given, or has another user's shell there;
 * NTD_E_TIMEOUT, with the console's last text, at the deadline. */
int ntd_serial_login(struct ntd_serial *serial, const struct ntd_serial_login *login,
		     int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err);
