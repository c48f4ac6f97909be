/* The life of a machine: states, events, and the table that says what follows. Pure; the actions
 * are carried out in machine/life.c. `booted` and `connected`, which scripts see, are views on the
 * state.
 */
#pragma once

#include <stdbool.h>

enum ntd_machine_state {
	NTD_MACHINE_DOWN,      /* no process */
	NTD_MACHINE_STARTING,  /* process ordered; QEMU is being connected */
	NTD_MACHINE_UP,        /* it runs; nobody has met the guest's root shell yet */
	NTD_MACHINE_CONNECTED, /* the root shell is there; a container has booted */
	NTD_MACHINE_STOPPING,  /* told to end */
	NTD_MACHINE_DEAD,      /* the process ended though nobody had told it to */
	NTD_MACHINE_STATE_COUNT
};

enum ntd_machine_event {
	NTD_MACHINE_START,      /* a script calls start() */
	NTD_MACHINE_NEED,       /* a script uses the machine, which starts it */
	NTD_MACHINE_READY,      /* everything is connected */
	NTD_MACHINE_ANNOUNCED,  /* the root shell is there and someone waits for it */
	NTD_MACHINE_DISCONNECT, /* the script knows that the root shell is gone (reboot, kexec) */
	NTD_MACHINE_STOP,       /* shutdown, crash, release */
	NTD_MACHINE_EXIT,       /* the process has ended */
	NTD_MACHINE_FORGET,     /* the script has taken note of the end */
	NTD_MACHINE_EVENT_COUNT
};

enum ntd_machine_action {
	NTD_ACTION_NOTHING,
	NTD_ACTION_LAUNCH,       /* order the process */
	NTD_ACTION_FINISH_START, /* tell those who wait for the start */
	NTD_ACTION_CONNECTED,    /* tell those who wait for the shell */
	NTD_ACTION_DEATH,        /* fail everything that is pending: it was not expected */
	NTD_ACTION_END,          /* end everything that is pending: it was told to */
	NTD_ACTION_REFUSE,       /* the event cannot be: see ntd_machine_refusal() */
};

struct ntd_machine_step {
	enum ntd_machine_state next;
	enum ntd_machine_action action;
};

struct ntd_machine_step ntd_machine_step(enum ntd_machine_state state,
					 enum ntd_machine_event event);
/* Why NTD_ACTION_REFUSE, as the end of a sentence: "is being shut down". */
const char *ntd_machine_refusal(enum ntd_machine_state state);
const char *ntd_machine_state_name(enum ntd_machine_state state);

static inline bool ntd_machine_state_booted(enum ntd_machine_state state)
{
	return state == NTD_MACHINE_UP || state == NTD_MACHINE_CONNECTED ||
	       state == NTD_MACHINE_STOPPING;
}
