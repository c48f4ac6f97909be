/* Cloning a machine: what its guest and the guests of the clones have to do with it. Script
 * threads.
 */
#pragma once

#include "machine/mould.h"

/* Fills the mould with the machine's present state; the machine goes on afterwards, also after an
 * error. A machine that does not run is booted. Commands under way in it may take `timeout`
 * seconds. Errors: NTD_E_MACHINE for a container, and when the machine cannot be cloned, with every
 * reason and what to do about it; NTD_E_TIMEOUT when a command goes on too long. */
int ntd_clones_fill(struct ntd_mould *mould, struct ntd_machine *machine, double timeout,
		    struct ntd_waiter *waiter, struct ntd_error **err);
/* Starts new machines, which have been outfitted, with the state in the mould; all at the same
 * time. Calls can use them afterwards. After an error all of them are off; it names the machine. */
int ntd_clones_cast(const struct ntd_mould *mould, struct ntd_machine *const *clones, size_t count,
		    struct ntd_waiter *waiter, struct ntd_error **err);
