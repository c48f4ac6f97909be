/* QEMU's human monitor, over the socket that QEMU connects to.
 *
 * A command's reply is everything up to the next prompt, "(qemu) ", echo and prompt included: that
 * is what scripts have always got. The end of the connection ends a reply too (`quit`).
 */
#pragma once

#include "channel/script_socket.h"
#include "loop/request.h"

struct ntd_monitor;

struct ntd_monitor *ntd_monitor_new(struct ntd_loop *loop, const char *machine);
void ntd_monitor_free(struct ntd_monitor *monitor); /* closed before */

/* Loop: takes the connected socket; `prompted` runs once, at the first prompt. */
int ntd_monitor_open(struct ntd_monitor *monitor, int fd, void (*prompted)(void *owner),
		     void *owner, struct ntd_error **err);
/* Loop: pending commands end as if answered; later ones fail. */
void ntd_monitor_close(struct ntd_monitor *monitor);

/* For a script: what came without a command. A time-out on its end bounds the wait for a reply. */
struct ntd_script_socket *ntd_monitor_socket(struct ntd_monitor *monitor);

/* Sends a line (NULL: only waits for the prompt that nobody has seen yet) and waits for the
 * reply. */
int ntd_monitor_command(struct ntd_monitor *monitor, const char *line, struct ntd_buf *reply,
			int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err);
