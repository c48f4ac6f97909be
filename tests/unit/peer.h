/* A socket pair, with the driver at one end and the test, as QEMU or a guest, at the other end. */
#pragma once

#include "unit.h"

#include "loop/loop.h"

#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Sends `text` to the driver. */
static inline void peer_say(int peer, const char *text)
{
	assert_int_equal(send(peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Whether the driver has sent something, or sends something within so many milliseconds. */
static inline bool peer_hears(int peer, int milliseconds)
{
	return poll(&(struct pollfd){.fd = peer, .events = POLLIN}, 1, milliseconds) > 0;
}

static inline void nothing(void *arg)
{
}

/* Waits until the loop thread has read all bytes sent before: the loop has made a round since. */
static inline void settle(struct ntd_loop *loop)
{
	for (int i = 0; i < 3; i++)
		ntd_loop_call(loop, nothing, NULL);
}
