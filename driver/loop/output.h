/* Bytes that wait to be sent on a socket. Loop thread only. */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

/* Sends as much of `out` as the socket takes without blocking, and consumes it. The source is
 * watched for input, and for room as long as bytes are left. An error is not reported here: the
 * caller finds out that the connection is gone by reading. */
void ntd_output_flush(struct ntd_source *socket, struct ntd_buf *out);
