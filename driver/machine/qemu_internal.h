/* The inside of a QEMU machine, for the files that make it up. All of it belongs to the loop
 * thread, but for the paths and for what is said to be any thread's.
 */
#pragma once

#include "machine/internal.h"
#include "machine/qemu.h"
#include "qemu/guest_state.h"

struct ntd_qemu;

enum { NTD_QEMU_MONITOR, NTD_QEMU_SHELL, NTD_QEMU_QMP, NTD_QEMU_SOCKETS };

/* A socket between QEMU and the driver. QEMU connects to those on which the driver listens. */
struct ntd_qemu_socket {
	char *_Atomic path;
	/* Takes the connection; NULL: the driver connects to QEMU. */
	int (*accepted)(struct ntd_qemu *qemu, int fd, struct ntd_error **err);
	struct ntd_qemu *qemu;
	struct ntd_source listener; /* fd -1: not listening, or no longer */
};

struct ntd_qemu {
	struct ntd_machine *machine;
	struct ntd_shell *shell;
	struct ntd_monitor *monitor;
	struct ntd_qmp *qmp;
	struct ntd_guest_state guest; /* what QEMU tells of it by QMP */
	struct ntd_qemu_socket sockets[NTD_QEMU_SOCKETS];
	char *_Atomic efi_vars;
	char *_Atomic vsock_guest, *_Atomic vsock_host; /* NULL: no vsock device */

	bool monitor_prompted, qmp_ready;
	bool panicked;
	int64_t panic_heard;           /* when the shell had last said something before a panic */
	struct ntd_timer verdict;      /* on what silence means */
	unsigned accelerator_question; /* accelerator.c */
	atomic_bool emulated;          /* by TCG, as far as is known; any thread may read it */
};

/* Loop: QMP is ready. Asks what runs the guest's instructions, and logs the answer when it comes; a
 * machine that never answers has none (machine/accelerator.c). */
void ntd_accelerator_ask(struct ntd_qemu *qemu);
