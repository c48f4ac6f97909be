/* QEMU's human monitor, over the socket that QEMU connects to. Functions that say "loop" are for
 * the loop thread; the others may block and are for any other thread.
 *
 * A command's reply is everything up to the next prompt, "(qemu) ", with the command's echo and the
 * prompt, as NixOS' test driver returns it. The end of the connection ends a reply too (`quit`).
 */
#pragma once

#include "channel/script_socket.h"
#include "loop/request.h"

struct ntd_monitor;

/* Makes a monitor that is not open yet; `machine` is the name for errors. */
struct ntd_monitor *ntd_monitor_new(struct ntd_loop *loop, const char *machine);
/* Frees a monitor that is closed, or NULL. */
void ntd_monitor_free(struct ntd_monitor *monitor);

/* Loop: opens the monitor on the connected socket `fd`, which it takes. `prompted` is called once,
 * on the loop thread, at QEMU's first prompt. */
int ntd_monitor_open(struct ntd_monitor *monitor, int fd, void (*prompted)(void *owner),
		     void *owner, struct ntd_error **err);
/* Loop: closes the monitor. Pending commands end as if answered; later ones fail. */
void ntd_monitor_close(struct ntd_monitor *monitor);

/* The socket for a script that speaks to the monitor by itself: it gets what QEMU writes while no
 * command of the driver is pending. A time-out that the script sets on its end limits the waits for
 * replies to the driver's commands too. */
struct ntd_script_socket *ntd_monitor_socket(struct ntd_monitor *monitor);

/* Sends a line and waits for the reply, which is appended to `reply`. Without a line (NULL), only
 * waits for the reply to what the script has written to the monitor by itself. Commands of several
 * threads are sent one after the other. Errors: NTD_E_DEAD when the monitor is closed,
 * NTD_E_TIMEOUT at the deadline, NTD_E_CANCELLED when the waiter was interrupted. */
int ntd_monitor_command(struct ntd_monitor *monitor, const char *line, struct ntd_buf *reply,
			int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err);
