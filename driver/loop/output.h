/* Bytes on their way out of a socket that must not block. */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

/* Sends what the socket takes of `out`, and has the source watched for room as long as some is
 * left; always for input. A connection that is gone is noticed by reading it. */
void ntd_output_flush(struct ntd_source *socket, struct ntd_buf *out);
