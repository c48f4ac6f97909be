/* What is kept of a machine when a test has failed: files for a person who was not there. */
#pragma once

#include "machine/machine.h"

/* Whether there is anything to tell: the machine was started, if in vain. */
bool ntd_machine_was_started(struct ntd_machine *machine);

/* Writes what can be had of the machine to files in `directory`, which is made if missing: the end
 * of its console, QEMU's status, the screen, failed units, the end of the journal, processes.
 * notes.txt says what could not be had, and why. The machine may be in any state and stays in it:
 * it is not started, and hooks are not run. Each piece has a deadline of a few seconds, more on a
 * machine that is slow, and two that are missed one after the other end everything that needs the
 * same part to answer.
 *
 * `since`: the journal begins there, a time of ntd_now(); 0: as early as it is long. Blocks; for a
 * thread of its own. `limits` has the deadline of all, and what cancels it. */
void ntd_machine_collect(struct ntd_machine *machine, const char *directory, int64_t since,
			 const struct ntd_waiter *limits);
/* The most that this should take, ns: more on a machine that is slow by its commands so far, by its
 * processor being emulated or by the scale of its time-outs, but never more than 25 s. */
int64_t ntd_machine_collect_patience(const struct ntd_machine *machine);
/* Removes those files, and the directory if nothing else is in it. */
void ntd_evidence_remove(const char *directory);
