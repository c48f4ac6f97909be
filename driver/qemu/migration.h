/* Moving a guest's state from a QEMU into a file, or from a file into a QEMU, by the commands of
 * QMP for migration. For threads that may block.
 *
 * https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html#migration
 */
#pragma once

#include "qemu/qmp.h"

struct ntd_migration {
	const char *file;
	/* From the file into a QEMU that was started with -incoming defer; else into the file,
	 * which is made or overwritten. */
	bool incoming;
	/* The memory is not in the file, as far as QEMU has it in a file that others can map. */
	bool without_memory;
};

/* Does it, and returns when it is done. The guest stands still afterwards. Fails with NTD_E_MACHINE
 * and QEMU's words, with NTD_E_DEAD when QEMU has ended, which is how it refuses a state that it
 * cannot load, with NTD_E_TIMEOUT or NTD_E_CANCELLED. */
int ntd_qmp_migrate(struct ntd_qmp *qmp, const struct ntd_migration *migration, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err);
