/* What QEMU tells of its guest by QMP: that it shut down, and why; that it was reset or is stopped;
 * that its kernel panicked. The driver acts on a panic and on a reset; the rest is for the
 * messages of errors. All functions are for the loop thread.
 *
 * The kernel of a guest that has QEMU's panic device (pvpanic) reports a panic to it, whether a
 * console shows the panic's text or not.
 *
 * Events: https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
 */
#pragma once

#include "qemu/qmp.h"

enum { NTD_GUEST_EVENTS = 5 };

/* Part of the structure of a machine, which must not move. */
struct ntd_guest_state {
	struct ntd_qmp *qmp;
	struct ntd_qmp_listener listeners[NTD_GUEST_EVENTS];
	void (*panicked)(void *owner);  /* called when QEMU tells of a panic */
	void (*was_reset)(void *owner); /* called when the guest was reset */
	void *owner;
	struct ntd_qmp_question status;

	bool stopped;        /* QEMU does not run the guest */
	bool panic_told;     /* by an event */
	int64_t reset_at;    /* when the guest was last reset; 0: never */
	char end_reason[65]; /* of the last SHUTDOWN, a ShutdownCause of QEMU's; "": none */
};

/* Begins to listen, before the connection is opened. The owner has set `qmp`, `owner` and the
 * functions. */
void ntd_guest_state_listen(struct ntd_guest_state *state);
/* A new QEMU is about to be started, which has told nothing yet. */
void ntd_guest_state_clear(struct ntd_guest_state *state);
/* Asks whether the guest runs, since no event tells that it is stopped from the start, as under -S.
 * QMP is ready. */
void ntd_guest_state_ask(struct ntd_guest_state *state);
/* Returns a new string: `what`, then in parentheses why QEMU ends if it has told, and that the
 * guest's kernel panicked if only an event has told (`panic_shown`: the console shows it too). */
char *ntd_guest_state_describe(const struct ntd_guest_state *state, const char *what,
			       bool panic_shown);
/* Returns a new string with what may explain that the guest has not done since `since` what was
 * expected, such as "the guest is stopped"; NULL: QEMU has told nothing. */
char *ntd_guest_state_remark(const struct ntd_guest_state *state, int64_t since, bool panic_shown);
