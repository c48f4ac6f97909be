/* Bytes from a guest or from QEMU that are no part of an answer to the driver: kept for scripts that read a
 * socket by themselves. The oldest are dropped when nobody does.
 */
#pragma once

#include "base/buf.h"
#include "loop/request.h"

struct ntd_inbox_wait;

struct ntd_inbox {
	struct ntd_loop *loop;
	struct ntd_buf bytes;
	struct ntd_inbox_wait *waits;
	bool open;
};

/* Loop, all of these. Opening empties it; when it closes, waits end without bytes. */
void ntd_inbox_open(struct ntd_inbox *inbox);
void ntd_inbox_close(struct ntd_inbox *inbox);
void ntd_inbox_add(struct ntd_inbox *inbox, const char *bytes, size_t len);
void ntd_inbox_free(struct ntd_inbox *inbox); /* closed before */

/* Any other thread: appends at least one byte and at most `limit` to `bytes`, as soon as there is one; none
 * when it is closed. */
int ntd_inbox_take(struct ntd_inbox *inbox, size_t limit, struct ntd_buf *bytes, int64_t deadline,
		   struct ntd_waiter *waiter, struct ntd_error **err);
