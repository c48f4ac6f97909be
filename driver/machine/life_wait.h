/* Waits for a change of a machine's life: its start, its root shell, its end. The caller's thread
 * waits; the loop thread ends the wait (machine/life.c).
 */
#pragma once

#include "base/list.h"
#include "machine/machine.h"

struct ntd_life_wait {
	struct ntd_request request;
	struct ntd_machine *machine;
	enum ntd_life_wait_kind {
		NTD_WAIT_START,
		NTD_WAIT_CONNECT, /* until a channel is ready */
		NTD_WAIT_GONE,    /* until nothing of the machine's process is left */
		NTD_WAIT_PROCESS, /* until the process itself has ended */
	} kind;
	/* Of NTD_WAIT_PROCESS and NTD_WAIT_GONE: the number of the process; 0: the present one. */
	unsigned process;
	enum ntd_machine_event event; /* of NTD_WAIT_START */
	bool joins;                   /* of NTD_WAIT_START: waits for one that has begun */
	/* Of NTD_WAIT_CONNECT, afterwards: the name of the channel, and what the guest said on
	 * it before, a new string or NULL. */
	const char *channel;
	char *said;
	struct ntd_list_link link; /* in the machine's list */
};

/* Hands the wait to the loop thread; ntd_request_wait() on its request is due. */
void ntd_life_begin(struct ntd_machine *machine, struct ntd_life_wait *wait);
/* The same and the waiting. */
int ntd_life_wait(struct ntd_machine *machine, struct ntd_life_wait *wait, int64_t deadline,
		  struct ntd_waiter *waiter, struct ntd_error **err);
