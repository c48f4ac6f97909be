/* Moulds: what the clones of a machine are made from. A mould is the state of a guest at one moment
 * in files that many QEMUs can load at the same time. The session makes a mould, its machine fills
 * it, and the clones are cast in it; then the files are removed, apart from the bases of overlays.
 *
 * Here is what is done to QEMUs and files, step by step. What it asks of the guests is in
 * guest/clones.c, which machines there are in session/clones.c. On threads that may block.
 *
 * Theory of operation
 *
 * The machine's QEMU writes its whole state to a stream. A second QEMU of the same start script,
 * the caster, reads it with the guest's memory in a file that it shares, and writes what is left of
 * its state, the devices, without the memory. Each clone is one more QEMU of that script, which
 * maps the file for itself alone: the pages that no clone has changed are there once, and a clone
 * is ready when it has read the devices. Where QEMU cannot have the memory in a file, as in a
 * machine whose start script has put it somewhere itself, each clone loads the stream.
 *
 * The disks are copied while the guest stands still. A clone has an overlay (qcow2) or a copy of
 * its own (raw) at the same place in its state directory, where the start script finds it.
 */
#pragma once

#include "base/vec.h"
#include "loop/keeper.h"
#include "machine/life_wait.h"
#include "machine/snapshot.h"
#include "qemu/migration.h"

/* A disk that the guest writes to. */
struct ntd_mould_disk {
	char *file;   /* on the host; as QEMU names it */
	char *place;  /* below the state directory; NULL: it is the file of EFI variables */
	char *source; /* what the disk of a clone is a copy of */
	double size;  /* bytes that the guest sees */
	bool is_qcow2;
};

struct ntd_mould {
	const struct ntd_keeper *keeper;
	const char *tmp_dir;
	char *directory;                 /* of the disks; bases are there until the run ends */
	char *scratch;                   /* of the rest: there until the clones have been cast */
	char *stream, *devices, *memory; /* files in `scratch` */
	char *memory_id;                 /* QEMU's name of the guest's memory; NULL: not known */
	double memory_size;              /* bytes; a whole number */
	char *kernel; /* what QEMU is to take for the kernel (mould_kernel.c); NULL: nothing else */
	bool has_devices; /* the clones share the memory */
	ntd_vec(struct ntd_mould_disk) disks;
	/* What the driver knew of the guest; NULL: the mould has not been filled. */
	struct ntd_snapshot *snapshot;
};

/* An empty mould. The pointers must outlive it; the keeper removes its files should the driver be
 * killed. */
struct ntd_mould ntd_mould_new(const struct ntd_keeper *keeper, const char *tmp_dir);
/* Frees what the mould holds, and removes its files; what the QEMUs of clones have mapped stays for
 * them. The disks that the clones' are overlays of stay, too, unless `disks`. */
void ntd_mould_free(struct ntd_mould *mould, bool disks);

/* ---- the template's part: the machine is SAVING (mould.c, mould_disks.c) */

/* Asks QEMU for the memory and the disks, and makes the directories. Fails with NTD_E_MACHINE and
 * all reasons for which the machine cannot be cloned, each on a line of its own. */
int ntd_mould_prepare(struct ntd_mould *mould, struct ntd_machine *machine,
		      struct ntd_waiter *waiter, struct ntd_error **err);
/* The guest stands still: writes the stream and copies the disks. */
int ntd_mould_fill(struct ntd_mould *mould, struct ntd_machine *machine, struct ntd_waiter *waiter,
		   struct ntd_error **err);
/* Finds the writable disks, and adds to `reasons` why one cannot be cloned. */
int ntd_mould_find_disks(struct ntd_mould *mould, struct ntd_machine *machine,
			 struct ntd_buf *reasons, struct ntd_waiter *waiter,
			 struct ntd_error **err);
/* Copies them, while the guest stands still. */
int ntd_mould_copy_disks(struct ntd_mould *mould, struct ntd_machine *machine,
			 struct ntd_waiter *waiter, struct ntd_error **err);

/* Has QEMUs that begin with the state in the mould not read the whole of the kernel at that path,
 * if they can do without (mould_kernel.c). */
void ntd_mould_shorten_kernel(struct ntd_mould *mould, const struct ntd_machine *machine,
			      const char *kernel);
/* Moves the state of the machine's guest. The error of a QEMU that has ended meanwhile says how. */
int ntd_mould_move(struct ntd_machine *machine, const struct ntd_migration *migration,
		   struct ntd_waiter *waiter, struct ntd_error **err);

/* ---- new machines: DOWN before, then RESTORING (cast.c) */

/* Gives a new machine what the template has: disks, and what scripts have set. */
int ntd_mould_outfit(const struct ntd_mould *mould, const struct ntd_machine *template,
		     struct ntd_machine *machine, struct ntd_error **err);
/* The machine's disks alone. */
int ntd_mould_give_disks(const struct ntd_mould *mould, const struct ntd_machine *machine,
			 struct ntd_error **err);
/* Gives pages of zeros in the memory's file back to the host (mould_memory.c). */
void ntd_mould_dig_holes(const struct ntd_mould *mould);
/* Has a new machine be the caster, outfitted as a clone, and ends it. Without success, which a line
 * at the level debug tells under the template's name, the clones load the stream. Fails only when
 * the thread is to stop waiting. */
int ntd_mould_cast_memory(struct ntd_mould *mould, const struct ntd_machine *template,
			  struct ntd_machine *caster, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* Begins to start a clone; its guest will stand still. Then, on any thread: waits for the start,
 * and loads the state. Every start that has begun is to be finished. */
int ntd_mould_begin_clone(const struct ntd_mould *mould, struct ntd_machine *clone,
			  struct ntd_life_wait *wait, struct ntd_waiter *waiter,
			  struct ntd_error **err);
int ntd_mould_finish_clone(const struct ntd_mould *mould, struct ntd_machine *clone,
			   struct ntd_life_wait *wait, struct ntd_waiter *waiter,
			   struct ntd_error **err);
