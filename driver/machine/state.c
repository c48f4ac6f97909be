/* The table of a machine's states and events, and their names. Pure. */
#include "machine/state.h"

#include <assert.h>
#include <stddef.h>

#define STAY(state)                                                                                \
	{                                                                                          \
		NTD_MACHINE_##state, NTD_ACTION_NOTHING                                            \
	}
#define GO(state, action)                                                                          \
	{                                                                                          \
		NTD_MACHINE_##state, NTD_ACTION_##action                                           \
	}
#define REFUSE(state)                                                                              \
	{                                                                                          \
		NTD_MACHINE_##state, NTD_ACTION_REFUSE                                             \
	}

/* clang-format off */
static const struct ntd_machine_step table[][NTD_MACHINE_EVENT_COUNT] = {
	[NTD_MACHINE_DOWN] = {
		[NTD_MACHINE_START]      = GO(STARTING, LAUNCH),
		[NTD_MACHINE_NEED]       = GO(STARTING, LAUNCH),
		[NTD_MACHINE_READY]      = REFUSE(DOWN),
		[NTD_MACHINE_ANNOUNCED]  = REFUSE(DOWN),
		[NTD_MACHINE_DISCONNECT] = STAY(DOWN),
		[NTD_MACHINE_SAVE]       = REFUSE(DOWN),
		[NTD_MACHINE_RESTORE]    = GO(RESTORING, LAUNCH),
		[NTD_MACHINE_RESUME]     = STAY(DOWN),
		[NTD_MACHINE_RECONNECT]  = STAY(DOWN),
		[NTD_MACHINE_STOP]       = STAY(DOWN),
		[NTD_MACHINE_EXIT]       = STAY(DOWN),
		[NTD_MACHINE_FORGET]     = STAY(DOWN),
	},
	[NTD_MACHINE_STARTING] = {
		[NTD_MACHINE_START]      = STAY(STARTING),
		[NTD_MACHINE_NEED]       = STAY(STARTING),
		[NTD_MACHINE_READY]      = GO(UP, FINISH_START),
		[NTD_MACHINE_ANNOUNCED]  = STAY(STARTING),
		[NTD_MACHINE_DISCONNECT] = STAY(STARTING),
		[NTD_MACHINE_SAVE]       = REFUSE(STARTING),
		[NTD_MACHINE_RESTORE]    = REFUSE(STARTING),
		[NTD_MACHINE_RESUME]     = STAY(STARTING),
		[NTD_MACHINE_RECONNECT]  = STAY(STARTING),
		[NTD_MACHINE_STOP]       = GO(STOPPING, NOTHING),
		[NTD_MACHINE_EXIT]       = GO(DOWN, DEATH),
		[NTD_MACHINE_FORGET]     = STAY(STARTING),
	},
	[NTD_MACHINE_UP] = {
		[NTD_MACHINE_START]      = STAY(UP),
		[NTD_MACHINE_NEED]       = STAY(UP),
		[NTD_MACHINE_READY]      = REFUSE(UP),
		[NTD_MACHINE_ANNOUNCED]  = GO(CONNECTED, CONNECTED),
		[NTD_MACHINE_DISCONNECT] = STAY(UP),
		[NTD_MACHINE_SAVE]       = GO(SAVING, NOTHING),
		[NTD_MACHINE_RESTORE]    = GO(RESTORING, NOTHING),
		[NTD_MACHINE_RESUME]     = STAY(UP),
		[NTD_MACHINE_RECONNECT]  = STAY(UP),
		[NTD_MACHINE_STOP]       = GO(STOPPING, NOTHING),
		[NTD_MACHINE_EXIT]       = GO(DEAD, DEATH),
		[NTD_MACHINE_FORGET]     = STAY(UP),
	},
	[NTD_MACHINE_CONNECTED] = {
		[NTD_MACHINE_START]      = STAY(CONNECTED),
		[NTD_MACHINE_NEED]       = STAY(CONNECTED),
		[NTD_MACHINE_READY]      = REFUSE(CONNECTED),
		[NTD_MACHINE_ANNOUNCED]  = GO(CONNECTED, CONNECTED),
		[NTD_MACHINE_DISCONNECT] = GO(UP, NOTHING),
		[NTD_MACHINE_SAVE]       = GO(SAVING, NOTHING),
		[NTD_MACHINE_RESTORE]    = GO(RESTORING, NOTHING),
		[NTD_MACHINE_RESUME]     = STAY(CONNECTED),
		[NTD_MACHINE_RECONNECT]  = STAY(CONNECTED),
		[NTD_MACHINE_STOP]       = GO(STOPPING, NOTHING),
		[NTD_MACHINE_EXIT]       = GO(DEAD, DEATH),
		[NTD_MACHINE_FORGET]     = STAY(CONNECTED),
	},
	[NTD_MACHINE_SAVING] = {
		[NTD_MACHINE_START]      = STAY(SAVING),
		[NTD_MACHINE_NEED]       = STAY(SAVING),
		[NTD_MACHINE_READY]      = REFUSE(SAVING),
		[NTD_MACHINE_ANNOUNCED]  = STAY(SAVING),
		[NTD_MACHINE_DISCONNECT] = STAY(SAVING),
		[NTD_MACHINE_SAVE]       = REFUSE(SAVING),
		[NTD_MACHINE_RESTORE]    = REFUSE(SAVING),
		[NTD_MACHINE_RESUME]     = GO(UP, NOTHING),
		[NTD_MACHINE_RECONNECT]  = GO(CONNECTED, CONNECTED),
		[NTD_MACHINE_STOP]       = GO(STOPPING, NOTHING),
		[NTD_MACHINE_EXIT]       = GO(DEAD, DEATH),
		[NTD_MACHINE_FORGET]     = STAY(SAVING),
	},
	[NTD_MACHINE_RESTORING] = {
		[NTD_MACHINE_START]      = STAY(RESTORING),
		[NTD_MACHINE_NEED]       = STAY(RESTORING),
		[NTD_MACHINE_READY]      = GO(RESTORING, FINISH_START),
		[NTD_MACHINE_ANNOUNCED]  = STAY(RESTORING),
		[NTD_MACHINE_DISCONNECT] = STAY(RESTORING),
		[NTD_MACHINE_SAVE]       = REFUSE(RESTORING),
		[NTD_MACHINE_RESTORE]    = REFUSE(RESTORING),
		[NTD_MACHINE_RESUME]     = GO(UP, NOTHING),
		[NTD_MACHINE_RECONNECT]  = GO(CONNECTED, CONNECTED),
		[NTD_MACHINE_STOP]       = GO(STOPPING, NOTHING),
		[NTD_MACHINE_EXIT]       = GO(DEAD, DEATH),
		[NTD_MACHINE_FORGET]     = STAY(RESTORING),
	},
	[NTD_MACHINE_STOPPING] = {
		[NTD_MACHINE_START]      = REFUSE(STOPPING),
		[NTD_MACHINE_NEED]       = REFUSE(STOPPING),
		[NTD_MACHINE_READY]      = STAY(STOPPING),
		[NTD_MACHINE_ANNOUNCED]  = STAY(STOPPING),
		[NTD_MACHINE_DISCONNECT] = STAY(STOPPING),
		[NTD_MACHINE_SAVE]       = REFUSE(STOPPING),
		[NTD_MACHINE_RESTORE]    = REFUSE(STOPPING),
		[NTD_MACHINE_RESUME]     = STAY(STOPPING),
		[NTD_MACHINE_RECONNECT]  = STAY(STOPPING),
		[NTD_MACHINE_STOP]       = STAY(STOPPING),
		[NTD_MACHINE_EXIT]       = GO(DOWN, END),
		[NTD_MACHINE_FORGET]     = STAY(STOPPING),
	},
	[NTD_MACHINE_DEAD] = {
		[NTD_MACHINE_START]      = GO(STARTING, LAUNCH),
		[NTD_MACHINE_NEED]       = REFUSE(DEAD),
		[NTD_MACHINE_READY]      = REFUSE(DEAD),
		[NTD_MACHINE_ANNOUNCED]  = REFUSE(DEAD),
		[NTD_MACHINE_DISCONNECT] = STAY(DEAD),
		[NTD_MACHINE_SAVE]       = REFUSE(DEAD),
		[NTD_MACHINE_RESTORE]    = GO(RESTORING, LAUNCH),
		[NTD_MACHINE_RESUME]     = STAY(DEAD),
		[NTD_MACHINE_RECONNECT]  = STAY(DEAD),
		[NTD_MACHINE_STOP]       = STAY(DEAD),
		[NTD_MACHINE_EXIT]       = STAY(DEAD),
		[NTD_MACHINE_FORGET]     = GO(DOWN, NOTHING),
	},
};
/* clang-format on */
static_assert(sizeof table / sizeof *table == NTD_MACHINE_STATE_COUNT, "every state has a row");

static const struct {
	const char *name, *refusal;
} states[] = {
	[NTD_MACHINE_DOWN] = {"down", "is not running"},
	[NTD_MACHINE_STARTING] = {"starting", "is still starting"},
	[NTD_MACHINE_UP] = {"up", "is already up"},
	[NTD_MACHINE_CONNECTED] = {"connected", "is already up"},
	[NTD_MACHINE_SAVING] = {"saving", "is being saved as a snapshot by another thread"},
	[NTD_MACHINE_RESTORING] = {"restoring",
				   "is being restored from a snapshot by another thread"},
	[NTD_MACHINE_STOPPING] = {"stopping", "is being shut down; wait_for_shutdown() first"},
	[NTD_MACHINE_DEAD] = {"dead", "is not running any more; start() starts it again"},
};
static_assert(sizeof states / sizeof *states == NTD_MACHINE_STATE_COUNT, "every state has a name");

struct ntd_machine_step ntd_machine_step(enum ntd_machine_state state, enum ntd_machine_event event)
{
	return table[state][event];
}

const char *ntd_machine_refusal(enum ntd_machine_state state)
{
	return states[state].refusal;
}

const char *ntd_machine_state_name(enum ntd_machine_state state)
{
	return states[state].name;
}
