/* Calls: how the parts of the agent channel ask the agent in the guest for something, on the
 * driver's side. A call is one stream (agent/frame.h). Its functions run on the loop thread; the
 * thread of a script begins the call and waits for its end.
 */
#pragma once

#include "agent/frame.h"
#include "base/list.h"
#include "loop/request.h"

struct ntd_agent_channel;
struct ntd_agent_call;

/* How a call has ended, or why its thread does not wait for it any more. */
enum ntd_agent_call_end {
	NTD_CALL_NOT_BEGUN, /* and can be made in another way */
	NTD_CALL_GOES_ON,   /* or was given up before it had begun */
	NTD_CALL_ANSWERED,  /* or the channel was closed */
	NTD_CALL_FAILED,    /* the agent has sent FAILED, or has not begun it before its end */
	NTD_CALL_LOST, /* the agent was lost, in a guest that has not ended as far as is known */
};

struct ntd_agent_call_ops {
	/* Loop: the agent's frame for the call: DATA, ERROR_DATA, ITEM or END. An error, which the
	 * function takes from nowhere and makes, ends the call and cancels it in the guest. NULL:
	 * none is expected, and each is such an error. */
	struct ntd_error *(*frame)(struct ntd_agent_call *call, const struct ntd_frame *frame);
	/* Loop: the agent's DONE; the call then ends, with the error that the function returns, or
	 * with success. NULL: with success. */
	struct ntd_error *(*done)(struct ntd_agent_call *call, const char *payload, size_t len);
	/* Loop: bytes can be sent, at most `room`; the function appends to ntd_agent_call_send().
	 * Called when the call begins and whenever there is room again, until END has been sent.
	 * NULL: the call sends nothing. */
	void (*fill)(struct ntd_agent_call *call, size_t room);
	/* Loop: the agent was lost while the call went on; the call then ends, with the error that
	 * the function returns, or with success. NULL: a copy of `why`. */
	struct ntd_error *(*lost)(struct ntd_agent_call *call, const struct ntd_error *why);
};

/* On the stack of the thread that waits, in the structure of the part that makes the call. */
struct ntd_agent_call {
	const struct ntd_agent_call_ops *ops;
	uint8_t kind;           /* of the frame that begins it */
	struct ntd_buf payload; /* of that frame, at most NTD_FRAME_MOST; the caller frees it */
	/* The call goes on in the guest when its thread has stopped waiting for it. */
	bool outlives;
	/* The call does not begin while commands must not be run by the agent. */
	bool yields;

	/* The channel's. */
	struct ntd_request request;
	struct ntd_agent_channel *channel;
	struct ntd_list_link link;
	uint32_t stream;
	enum ntd_agent_call_end how;
	size_t unused; /* bytes of DATA sent that the agent has not given credit for */
	bool finished; /* END has been sent */
};

/* Script threads: makes the call and waits for its end. NTD_E_DEAD when the agent is not connected,
 * or why it was lost; NTD_E_MACHINE with the agent's text for FAILED. NTD_E_VALUE when the payload
 * is too long. A wait that is given up (deadline, interruption) cancels the call in the guest. */
int ntd_agent_call_run(struct ntd_agent_channel *channel, struct ntd_agent_call *call,
		       int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err);

/* Loop, within `fill` or any time before the end: send DATA of at most the room that is there, an
 * ITEM, or END, after which only CANCEL follows. Bytes of any length become several frames. */
size_t ntd_agent_call_room(const struct ntd_agent_call *call);
void ntd_agent_call_send(struct ntd_agent_call *call, uint8_t kind, const char *bytes, size_t len);
void ntd_agent_call_finish(struct ntd_agent_call *call);
