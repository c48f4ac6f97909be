/* What is different in a process that the script has forked.
 *
 * Such a process is a copy of the driver's with one thread, the one that forked: it has no loop
 * thread and no thread that writes the log, and a thread that it does not have may hold a lock for
 * ever. So the driver does not exist there: a function that would wait for another thread asks here
 * first, and the descriptors that connect the driver's own process to others are closed. A process
 * that runs another program at once (posix_spawn(), subprocess) is not concerned.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* Prepares the processes that this one will fork. Called once, before the first thread is started.
 */
void ntd_forked_prepare(void);
/* Whether the script has forked this process. Any thread. */
bool ntd_is_forked(void);
/* Sets the error NTD_E_MACHINE that says so; returns -1. */
int ntd_refuse_forked(struct ntd_error **err);

/* Withholds a descriptor from the processes that the script forks, which get /dev/null in its
 * place. The descriptor is released before it is closed. Any thread. */
void ntd_forked_withhold(int fd);
void ntd_forked_release(int fd);
