/* Threads that the driver starts for itself: the loop's, those that write logs and files, those
 * that recognize text.
 *
 * All signals are blocked in such a thread, so that the kernel hands them to the script's threads,
 * where Python's handlers run and end what the script waits for.
 */
#pragma once

#include "base/error.h"

#include <pthread.h>

/* Starts `main`(`arg`) on a new thread, which is to be joined or detached. `name` is up to 11
 * characters; debuggers and ps show the thread as "ntd-NAME". The error, NTD_E_SYS, is "cannot
 * start the NAME thread: ...". Any thread. */
int ntd_thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *arg,
		     struct ntd_error **err);
