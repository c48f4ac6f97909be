/* Questions of the driver's own to a guest, which is to answer quickly or not at all: for what is
 * collected about a machine that may hang. The functions block their thread, which may be any but
 * the loop thread.
 */
#pragma once

#include "machine/machine.h"

/* How many times longer everything takes than on a fast machine. */
double ntd_ask_slowness(const struct ntd_machine *machine);
/* How long a question may take on this machine that takes `seconds` on a fast one, in seconds: a
 * question runs a few programs, each of which takes what a short command does. */
double ntd_ask_patience(const struct ntd_machine *machine, double seconds);

/* Why the guest cannot be asked anything now, a new string; NULL: it can. A channel that became
 * ready while no thread waited for it is used like any other. */
char *ntd_ask_obstacle(struct ntd_machine *machine);

/* Runs a command as root on the first channel that is ready, without starting or connecting the
 * machine and without the hook for commands. The guest ends the command after `seconds`, which the
 * driver waits for a moment longer, so that output until then is not lost. `result` has what came,
 * also when the call fails. NTD_E_MACHINE for the obstacle above, when the command was not
 * finished, and when its status is not 0; NTD_E_TIMEOUT when the guest does not answer. The caller
 * frees `result`. */
int ntd_machine_ask(struct ntd_machine *machine, const char *text, double seconds,
		    struct ntd_result *result, const struct ntd_waiter *waiter,
		    struct ntd_error **err);
