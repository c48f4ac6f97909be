/* Standard error of a command on this host, kept apart and put on the console nevertheless. Loop
 * thread only.
 */
#pragma once

#include "base/list.h"
#include "channel/channel.h"
#include "loop/loop.h"

struct ntd_error_relay;

/* Makes a relay, which puts itself on the list, until what is written to *write_end, the caller's,
 * has ended. `console` is a pipe that the loop reads; it stays the caller's, and open as long as
 * there are relays. NULL with an error. */
struct ntd_error_relay *ntd_error_relay_new(struct ntd_loop *loop, struct ntd_list *relays,
					    struct ntd_result *result, int console, int *write_end,
					    struct ntd_error **err);
/* The command is over: the result gets what has been written so far. What other processes write
 * later goes to the console alone. The caller has no relay any more. */
void ntd_error_relay_detach(struct ntd_error_relay *relay);
/* Ends all relays of a list, whose commands are over. */
void ntd_error_relays_end(struct ntd_list *relays);
