/* snapshot() and restore() of a machine, and of all machines and their networks at one moment.
 *
 * What is saved: memory, processors and devices of each machine, and the disks that its QEMU writes
 * to. What is not: frames on their way between machines, connections that lead out of the virtual
 * networks (QEMU's user network), and files of the host, those in the shared directories included.
 *
 * Script threads. A snapshot is there until the end of the run, or until another of the same name
 * is made.
 */
#pragma once

#include "machine/snapshot.h"
#include "net/vlan.h"

/* What is saved or restored together. The caller owns the arrays. */
struct ntd_moment {
	const char *name;
	struct ntd_machine *const *machines;
	size_t count;
	struct ntd_vlan *const *vlans;
	size_t vlan_count;
	/* Saving: machines that do not run are started, and all wait for their boot; else a machine
	 * that does not run is off in the snapshot, too. */
	bool starts;
	/* Saving: machines are saved as they are, also while they boot, and one that cannot be
	 * saved is left out with a warning that says why. */
	bool as_they_are;
	/* Saving: seconds that commands under way in the machines may still take. */
	double timeout;
	/* Called for each machine while all stand still: when its new snapshot is complete, or
	 * before the snapshot is loaded. When it fails, so does the saving of this machine, or the
	 * restoring of all. NULL: nothing is to be done. */
	int (*standing)(void *owner, struct ntd_machine *machine,
			const struct ntd_snapshot *snapshot, struct ntd_waiter *waiter,
			struct ntd_error **err);
	void *owner;
};

#define NTD_SNAPSHOT_TIMEOUT 60.0

/* Saves the machines as the snapshot `name`; they go on afterwards. Errors: NTD_E_MACHINE when QEMU
 * cannot save a machine, with every reason and what to do about it, or when the disk is full;
 * NTD_E_TIMEOUT when a command goes on too long; NTD_E_DEAD when a machine has ended. The machines
 * go on after an error, too, and have the snapshots that they had. With `as_they_are`, it fails
 * only when the thread is interrupted. */
int ntd_moment_save(const struct ntd_moment *moment, struct ntd_waiter *waiter,
		    struct ntd_error **err);
/* Brings the machines back to the snapshot `name`, also those that have ended. What was pending in
 * them fails. The guests' clocks are set to the host's time, their random numbers are stirred, and
 * calls can use them at once. NTD_E_VALUE when a machine has no such snapshot, before anything has
 * been done. After another error, machines that could not be restored are off. */
int ntd_moment_restore(const struct ntd_moment *moment, struct ntd_waiter *waiter,
		       struct ntd_error **err);
