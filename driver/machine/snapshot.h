/* Snapshots: saved states of QEMU machines, which the machines can go back to. Here is what is done
 * to a machine and its QEMU, step by step; which steps make a snapshot, also one of several
 * machines at one moment, and what they ask of the guest, is in guest/snapshot.c. On script
 * threads.
 *
 * A snapshot is memory and devices, in an image of the driver's own (machine/snapshot_store.c), and
 * the disks, in the qcow2 images that QEMU writes to. It is there as long as the run.
 */
#pragma once

#include "agent_channel/agent_channel.h"
#include "base/vec.h"
#include "machine/machine.h"
#include "qemu/job.h"

/* One saved state of one machine. */
struct ntd_snapshot {
	char *name;                 /* by which scripts call it */
	char *tag;                  /* by which QEMU's images know it; NULL: the machine was off */
	bool connected;             /* a channel was ready */
	bool has_shell, has_serial; /* the root shell was, and the shell on the serial console */
	/* What the console had printed, and what of it was taken; NULL: the machine was off. */
	struct ntd_console_mark *console;
	char *shares; /* how the guest had mounted the driver's shares (guest/shares.c) */
	struct ntd_agent_saved agent; /* that was saved with the guest */
	struct ntd_list_link link;
};

/* Any thread. NULL is allowed. */
void ntd_snapshot_free(struct ntd_snapshot *snapshot);

/* ---- whose turn it is */

/* Why the machine never has snapshots; NULL: it may have. Any thread. */
const char *ntd_snapshot_refusal(const struct ntd_machine *machine);
/* Makes the calling thread the one that saves and restores the machine, until it yields. One thread
 * at a time does; NTD_E_MACHINE for another, and for containers, which have no snapshots. The other
 * functions are for that thread. */
int ntd_snapshot_claim(struct ntd_machine *machine, struct ntd_error **err);
void ntd_snapshot_yield(struct ntd_machine *machine);

/* The machine's snapshot of that name; NULL: it has none. */
struct ntd_snapshot *ntd_snapshot_find(const struct ntd_machine *machine, const char *name);
/* The names of the machine's snapshots, "'a', 'b'", a new string; "" when it has none. */
char *ntd_snapshot_names(const struct ntd_machine *machine);
/* Adds a snapshot, which the function takes, in the place of that of the same name. */
void ntd_snapshot_keep(struct ntd_machine *machine, struct ntd_snapshot *snapshot,
		       struct ntd_waiter *waiter);

/* ---- saving */

/* The machine becomes SAVING, so that calls that use the guest wait. Waits for the end of those
 * that use it already, until `deadline`. Returns 0; or -1, and the machine is what it was: with
 * NTD_E_TIMEOUT when a command goes on too long. */
int ntd_snapshot_begin_saving(struct ntd_machine *machine, int64_t deadline,
			      struct ntd_waiter *waiter, struct ntd_error **err);
/* Why QEMU cannot save the machine now: each reason on a line of its own, after a newline and four
 * spaces. Fails with NTD_E_MACHINE and these reasons. */
int ntd_snapshot_check(struct ntd_machine *machine, struct ntd_waiter *waiter,
		       struct ntd_error **err);
/* Launches the agent if there is none yet, so that it is saved with the guest. Only interruptions
 * are errors. */
int ntd_snapshot_launch_agent(struct ntd_machine *machine, struct ntd_waiter *waiter,
			      struct ntd_error **err);
/* Frees QEMU of the driver's data ports, since a state can be loaded only where the same devices
 * are; but that of an agent that is saved with the guest stays. */
int ntd_snapshot_clear_ports(struct ntd_machine *machine, struct ntd_waiter *waiter,
			     struct ntd_error **err);
/* Stops the guest's processors. Returns when they stand still. */
int ntd_snapshot_stop(struct ntd_machine *machine, struct ntd_waiter *waiter,
		      struct ntd_error **err);
/* Has them go on. */
int ntd_snapshot_continue(struct ntd_machine *machine, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* A new snapshot that is not kept yet: of a guest that is stopped, or of a machine that is off. */
struct ntd_snapshot *ntd_snapshot_new(struct ntd_machine *machine, const char *name);
/* Begins to write the state of a stopped guest. NULL with an error: it has not begun. */
struct ntd_qmp_job *ntd_snapshot_save(struct ntd_machine *machine,
				      const struct ntd_snapshot *snapshot,
				      struct ntd_waiter *waiter, struct ntd_error **err);
/* Adds to the error of a job that the disk is full, if it is: QEMU may only say that it could not
 * write. */
void ntd_snapshot_add_space(const struct ntd_machine *machine, struct ntd_error *error);
/* Takes a snapshot off QEMU's images; what QEMU says to that is of no interest. */
void ntd_snapshot_delete(struct ntd_machine *machine, const char *tag, struct ntd_waiter *waiter);

/* ---- restoring */

/* The machine becomes RESTORING, with a QEMU whose guest is stopped: its own, after everything that
 * was pending has failed; or a new one, if it had none. */
int ntd_snapshot_begin_restoring(struct ntd_machine *machine, struct ntd_waiter *waiter,
				 struct ntd_error **err);
/* Gives a machine that is RESTORING a new QEMU, whose guest is stopped. */
int ntd_snapshot_renew_qemu(struct ntd_machine *machine, struct ntd_waiter *waiter,
			    struct ntd_error **err);
/* Gives QEMU, whose guest is stopped, the devices of the driver's that the state needs. */
int ntd_snapshot_plug(struct ntd_machine *machine, const struct ntd_snapshot *snapshot,
		      struct ntd_waiter *waiter, struct ntd_error **err);
/* Begins to load the state into it. NULL with an error: it has not begun. */
struct ntd_qmp_job *ntd_snapshot_load(struct ntd_machine *machine,
				      const struct ntd_snapshot *snapshot,
				      struct ntd_waiter *waiter, struct ntd_error **err);
/* The state has been loaded: what the driver knows of the guest is what it knew then, and channels
 * that were ready are so again. The guest does not run yet. */
void ntd_snapshot_loaded(struct ntd_machine *machine, const struct ntd_snapshot *snapshot);
/* Has the guest's network cards tell the switches where they are. */
void ntd_snapshot_announce(struct ntd_machine *machine, struct ntd_waiter *waiter);

/* Has the guest's clock set and its random numbers renewed (ntd_agent_channel_refresh()). The guest
 * runs, and its root shell is ready. */
int ntd_snapshot_refresh(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err);

/* ---- taking a snapshot out of the run, and into another (machine/snapshot_images.c) */

/* A file that has a part of a machine's snapshots. */
struct ntd_image {
	char *device;  /* of a disk, as people know it; NULL: memory and devices */
	char *file;    /* its path */
	char *backing; /* the path of the image that it is an overlay of; NULL: none */
};

struct ntd_images ntd_vec_members(struct ntd_image);

void ntd_images_free(struct ntd_images *images);
#define _cleanup_images_ _cleanup_(ntd_images_free)

/* Has QEMU write what it has in memory of the images of a stopped guest, and appends the images:
 * memory and devices first, then the disks that it writes to. From here until the guest goes on the
 * files can be copied. NTD_E_MACHINE when another run could not be given them: a disk is not in the
 * state directory, or its base is named by a relative path. */
int ntd_snapshot_images(struct ntd_machine *machine, struct ntd_images *images,
			struct ntd_waiter *waiter, struct ntd_error **err);
/* Gives a machine that has never been started a snapshot, which the function takes, of another run.
 * `store` is the path of the image with memory and devices, in the state directory, as are the
 * disks already; NULL: the machine was off. */
void ntd_snapshot_adopt(struct ntd_machine *machine, struct ntd_snapshot *snapshot,
			const char *store);

/* ---- the end of both */

/* The machine becomes CONNECTED if it was `connected` and a channel is ready, else UP; calls that
 * have waited go on. */
void ntd_snapshot_end(struct ntd_machine *machine, bool connected);
/* Ends a machine that could not be restored: its guest is in no state that anybody knows. */
void ntd_snapshot_give_up(struct ntd_machine *machine);
/* Switches the machine off, as it was in the snapshot. */
int ntd_snapshot_switch_off(struct ntd_machine *machine, struct ntd_waiter *waiter,
			    struct ntd_error **err);
