/* Evidence of a machine after a failed test: files for a person who was not there. The functions
 * block their thread, which may be any but the loop thread.
 */
#pragma once

#include "machine/machine.h"

/* Whether there is anything to collect: the machine was started, even if it ended before it was
 * up. */
bool ntd_machine_was_started(struct ntd_machine *machine);

/* Writes what the driver can learn of the machine to files in `directory`, which is made if
 * missing: the end of its console, QEMU's status, the screen, the end of the journal, processes,
 * failed units. notes.txt says what is missing, and why. The machine may be in any state and stays
 * in it: it is not started, and no hooks are called. Each piece has a deadline of a few seconds,
 * more on a slow machine. When two pieces in a row miss their deadlines and need the same part of
 * the machine (QEMU, the root shell), all others that need that part are left out.
 *
 * `since`, a time of ntd_now(), is where the journal begins; 0: its beginning is not limited.
 * `limits` has the deadline of all pieces together, and the descriptor that cancels the collection.
 * Files that cannot be written are warnings in the log. */
void ntd_machine_collect(struct ntd_machine *machine, const char *directory, int64_t since,
			 const struct ntd_waiter *limits);
/* How long ntd_machine_collect() should take at most, in ns: about 10 s, longer when the machine's
 * commands have been slow, its processor is emulated or its time-outs are stretched, but never more
 * than 25 s. */
int64_t ntd_machine_collect_patience(const struct ntd_machine *machine);
/* Removes the files that ntd_machine_collect() writes, and the directory if nothing else is in
 * it. */
void ntd_evidence_remove(const char *directory);
