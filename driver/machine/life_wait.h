/* Waits for a change of a machine's life: its start, a channel that is ready, its end. A script
 * thread waits; the loop thread ends the wait (machine/life.c).
 */
#pragma once

#include "base/list.h"
#include "machine/machine.h"

/* One wait of one thread, which is on the thread's stack or heap. */
struct ntd_life_wait {
	struct ntd_request request;
	struct ntd_machine *machine;
	enum ntd_life_wait_kind {
		/* Until the machine is up; `event` is fed to the machine first. */
		NTD_WAIT_START,
		NTD_WAIT_CONNECT, /* until a channel is ready */
		NTD_WAIT_GONE,    /* until nothing of the machine's process is left */
		NTD_WAIT_PROCESS, /* until the process itself has ended */
		NTD_WAIT_UNUSED,  /* until no thread uses the guest (machine/use.c) */
		NTD_WAIT_PASSED,  /* until the machine goes on after it was SAVING or RESTORING */
	} kind;
	/* Of NTD_WAIT_PROCESS and NTD_WAIT_GONE: the number of the process; 0: the present one. */
	unsigned process;
	enum ntd_machine_event event; /* of NTD_WAIT_START */
	/* Of NTD_WAIT_START: waits for a start that has begun, and feeds no event. */
	bool joins;
	/* Of NTD_WAIT_CONNECT, afterwards: the name of the channel, and what the guest said on
	 * it before, a new string or NULL. */
	const char *channel;
	char *said;
	struct ntd_list_link link; /* in the machine's list */
};

/* Hands the wait to the loop thread. The caller has filled in `kind` and what belongs to it, and
 * must call ntd_request_wait() on `request`. */
void ntd_life_begin(struct ntd_machine *machine, struct ntd_life_wait *wait);
/* Does the same, and waits until `deadline`. The error is what ended the wait: why the machine
 * cannot do what is waited for, NTD_E_TIMEOUT, or NTD_E_CANCELLED. */
int ntd_life_wait(struct ntd_machine *machine, struct ntd_life_wait *wait, int64_t deadline,
		  struct ntd_waiter *waiter, struct ntd_error **err);
