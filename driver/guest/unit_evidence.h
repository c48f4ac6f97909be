/* What a unit's failure leaves behind: its status and its journal, in a file for a person. The
 * functions block their thread, which may be any but the loop thread.
 */
#pragma once

#include "machine/machine.h"

/* The directory of these files below a machine's output directory; each machine has one in it. */
#define NTD_UNIT_EVIDENCE "failed-units"

/* Collects the unit's status and the end of its journal in a file below the machine's output
 * directory, and returns the file's path, a new string. `user` is the user whose manager has the
 * unit; NULL: the system's. A file that is a few seconds old is not written again, so that a script
 * which tries a wait again and again is not slowed down. The guest has a few seconds to answer,
 * more on a slow machine. NULL when nothing could be had, which the log then tells, or when the
 * machine is not connected. */
char *ntd_unit_evidence_collect(struct ntd_machine *machine, const char *unit, const char *user,
				const struct ntd_waiter *waiter);
/* Notes in the error of a wait for the unit, which has ended, where its evidence is; nothing when
 * there is none. The message stays as scripts know it from upstream's driver. */
void ntd_unit_evidence_name(struct ntd_machine *machine, const char *unit, const char *user,
			    const struct ntd_waiter *waiter, struct ntd_error *error);
/* Removes these files from the directory of one machine, and the directory if nothing else is in
 * it. */
void ntd_unit_evidence_remove(const char *directory);
