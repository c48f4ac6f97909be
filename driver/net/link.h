/* How frames pass between the switch and the descriptor of a port: the operations of one kind of
 * port, on batches.
 *
 * A link has no state of its own: the descriptor and the batch hold everything. The loop thread
 * calls the operations.
 */
#pragma once

#include "net/switch.h"

#include <sys/socket.h>
#include <sys/uio.h>

/* A sender with the default send buffer of 208 KiB has at most 92 full frames under way, so larger
 * batches would not be filled. */
enum { NTD_BATCH_MAX = 64 };

struct ntd_batch {
	/* The frames that came in, in order: msg_len is the frame's length; MSG_TRUNC in msg_flags
	 * says that it was longer than NTD_FRAME_MAX. Its bytes are in `bytes` at the same index.
	 */
	struct mmsghdr in[NTD_BATCH_MAX];
	/* The valid frames among them, to go out; each `out` points to one of `frames`. */
	struct mmsghdr out[NTD_BATCH_MAX];
	struct iovec frames[NTD_BATCH_MAX];
	unsigned count; /* of out */
	struct iovec space[NTD_BATCH_MAX];
	unsigned char bytes[NTD_BATCH_MAX][NTD_FRAME_MAX];
};

struct ntd_link {
	/* Makes room for bursts. Returns the number of bytes under way from which on the receiver
	 * is behind. */
	int (*prepare)(int fd);
	/* Takes up to NTD_BATCH_MAX frames that are there; does not wait. Returns how many, 0 or -1
	 * for none, or NTD_LINK_GONE when none will ever come again. */
	int (*receive)(int fd, struct ntd_batch *batch);
	/* Sends the frames of `out`; does not wait. Returns how many were taken, from the first
	 * on. */
	unsigned (*send)(int fd, struct ntd_batch *batch);
	/* Bytes under way to the receiver. */
	int (*queued)(int fd);
};

enum { NTD_LINK_GONE = -2 };
