/* Starting threads. The caller blocks all signals around pthread_create(), since a thread inherits
 * the mask of the one that makes it. */
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

/* What a new thread needs; it belongs to that thread. */
struct beginning {
	char name[16]; /* as the kernel limits it */
	void *(*main)(void *);
	void *arg;
};

static void *begin(void *arg)
{
	struct beginning beginning = *(struct beginning *)arg;

	free(arg);
	prctl(PR_SET_NAME, beginning.name);
	return beginning.main(beginning.arg);
}

int ntd_thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *arg,
		     struct ntd_error **err)
{
	struct beginning *beginning = ntd_calloc(1, sizeof *beginning);
	sigset_t all, before;
	int failed;

	*beginning = (struct beginning){.main = main, .arg = arg};
	snprintf(beginning->name, sizeof beginning->name, "ntd-%s", name);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(thread, NULL, begin, beginning);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!failed)
		return 0;
	free(beginning);
	return ntd_error_sys(err, failed, "cannot start the %s thread", name);
}
