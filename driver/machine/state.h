/* The life of a machine: states, events, and the table that says what follows. Pure; the actions
 * are carried out in machine/life.c. `booted` and `connected`, which scripts see, are views on the
 * state.
 */
#pragma once

#include <stdbool.h>

enum ntd_machine_state {
	NTD_MACHINE_DOWN,      /* no process */
	NTD_MACHINE_STARTING,  /* process ordered; QEMU is being connected */
	NTD_MACHINE_UP,        /* it runs; no thread has been told of a channel yet */
	NTD_MACHINE_CONNECTED, /* a channel is ready: a root shell, or a booted container */
	NTD_MACHINE_SAVING,    /* up, and its state is being saved as a snapshot */
	NTD_MACHINE_RESTORING, /* being brought to the state of a snapshot; QEMU may be starting */
	NTD_MACHINE_STOPPING,  /* told to end */
	NTD_MACHINE_DEAD,      /* the process ended unexpectedly */
	NTD_MACHINE_STATE_COUNT
};

/* What happens to a machine. */
enum ntd_machine_event {
	NTD_MACHINE_START,      /* a script calls start() */
	NTD_MACHINE_NEED,       /* a script uses the machine, which starts it */
	NTD_MACHINE_READY,      /* everything is connected */
	NTD_MACHINE_ANNOUNCED,  /* a channel is ready, and a thread waits for one */
	NTD_MACHINE_DISCONNECT, /* the script knows that the root shell is gone (reboot, kexec) */
	NTD_MACHINE_SAVE,       /* a script has a snapshot made */
	NTD_MACHINE_RESTORE,    /* a script has a snapshot restored */
	NTD_MACHINE_RESUME,     /* that is over; no channel is ready */
	NTD_MACHINE_RECONNECT,  /* that is over, and a channel is ready */
	NTD_MACHINE_STOP,       /* shutdown, crash, release */
	NTD_MACHINE_EXIT,       /* the process has ended */
	NTD_MACHINE_FORGET,     /* the script has taken note of the end */
	NTD_MACHINE_EVENT_COUNT
};

/* What an event has the loop thread do. */
enum ntd_machine_action {
	NTD_ACTION_NOTHING,
	NTD_ACTION_LAUNCH,       /* order the process */
	NTD_ACTION_FINISH_START, /* end the waits for the start */
	NTD_ACTION_CONNECTED,    /* end the waits for a channel */
	NTD_ACTION_DEATH,        /* fail everything that is pending: the end was not expected */
	NTD_ACTION_END,          /* end everything that is pending: the end was asked for */
	NTD_ACTION_REFUSE, /* the event is impossible in this state: see ntd_machine_refusal() */
};

/* The next state, and what is to be done on the way. */
struct ntd_machine_step {
	enum ntd_machine_state next;
	enum ntd_machine_action action;
};

/* What an event does in a state. */
struct ntd_machine_step ntd_machine_step(enum ntd_machine_state state,
					 enum ntd_machine_event event);
/* Why NTD_ACTION_REFUSE, as the end of a sentence: "is being shut down". */
const char *ntd_machine_refusal(enum ntd_machine_state state);
/* The name of a state for the log and for reports, "down". */
const char *ntd_machine_state_name(enum ntd_machine_state state);

/* Whether a machine in that state is between two states of its guest: calls that use the guest wait
 * until that is over. */
static inline bool ntd_machine_state_passes(enum ntd_machine_state state)
{
	return state == NTD_MACHINE_SAVING || state == NTD_MACHINE_RESTORING;
}

/* Whether a machine in that state has a process that can be used or asked to end, or will have it
 * by the call of another thread. */
static inline bool ntd_machine_state_booted(enum ntd_machine_state state)
{
	return state == NTD_MACHINE_UP || state == NTD_MACHINE_CONNECTED ||
	       state == NTD_MACHINE_STOPPING || ntd_machine_state_passes(state);
}
