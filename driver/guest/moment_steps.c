/* A step that each machine of a moment takes: one after the other on the calling thread, or all at
 * the same time, each on a thread of its own. Script threads.
 *
 * What a guest does for a step takes it tens of milliseconds, which emulated guests on several
 * processors need not wait for one after the other. The threads of a step are not the script's:
 * hooks are not called on them (machine/machine.h), so a step that starts machines is not for them.
 */
#include "guest/moment_internal.h"

#include "base/thread.h"

#include <stdatomic.h>
#include <sys/eventfd.h>

/* Decides what the step's failure means for the machine. */
static int take(struct ntd_parts *parts, struct ntd_part *part, ntd_part_step *step,
		struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_error *error = NULL;

	if (part->left_out || step(parts, part, waiter, &error) == 0)
		return 0;
	return ntd_part_failed(parts, part, error, err);
}

int ntd_parts_each(struct ntd_parts *parts, ntd_part_step *step, struct ntd_waiter *waiter,
		   struct ntd_error **err)
{
	ntd_each_part (part, parts)
		if (take(parts, part, step, waiter, err) < 0)
			return -1;
	return 0;
}

/* ---- at the same time */

struct team {
	struct ntd_request request; /* of the thread that waits for all */
	struct ntd_parts *parts;
	ntd_part_step *step;
	int64_t deadline; /* of the waiter; 0: none */
	int cancel_fd;
	atomic_size_t working;
	bool waited_for, finished; /* loop */
};

struct worker {
	struct team *team;
	struct ntd_part *part;
	pthread_t thread;
	bool started;
	struct ntd_error *error;
};

/* Loop. */
static void finish(void *arg)
{
	struct team *team = arg;

	team->finished = true;
	if (team->waited_for)
		ntd_request_complete(&team->request, NULL);
}

/* Loop. */
static void begin(struct ntd_request *request)
{
	struct team *team = ntd_container_of(request, struct team, request);

	team->waited_for = true;
	if (team->finished)
		ntd_request_complete(request, NULL);
}

/* The threads end for themselves, when the team is told to stop. */
static void abandon(struct ntd_request *request)
{
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct team *team = worker->team;
	struct ntd_waiter waiter = {.cancel_fd = team->cancel_fd, .deadline = team->deadline};

	take(team->parts, worker->part, team->step, &waiter, &worker->error);
	if (atomic_fetch_sub(&team->working, 1) == 1)
		ntd_loop_call(ntd_machine_context(worker->part->machine)->loop, finish, team);
	return NULL;
}

/* Returns how many threads have started; where there can be no more threads, the step is taken
 * here. */
static size_t start(struct team *team, struct worker *workers)
{
	size_t started = 0;

	ntd_each_part (part, team->parts) {
		struct worker *worker = &workers[part - team->parts->each];

		*worker = (struct worker){.team = team, .part = part};
		worker->started =
			ntd_thread_start(&worker->thread, "moment", work, worker, NULL) == 0;
		if (worker->started)
			started++;
		else
			work(worker);
	}
	return started;
}

static int join(struct team *team, struct worker *workers, struct ntd_error **err)
{
	int result = 0;

	for (size_t i = 0; i < team->parts->count; i++) {
		if (workers[i].started)
			pthread_join(workers[i].thread, NULL);
		if (workers[i].error)
			result = ntd_first_error(err, workers[i].error);
	}
	return result;
}

int ntd_parts_at_once(struct ntd_parts *parts, ntd_part_step *step, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	_cleanup_fd_ int cancel_fd = eventfd(0, EFD_CLOEXEC);
	struct team team = {.request = {.begin = begin, .abandon = abandon},
			    .parts = parts,
			    .step = step,
			    .deadline = waiter ? waiter->deadline : 0,
			    .cancel_fd = cancel_fd,
			    .working = parts->count};
	_cleanup_free_ struct worker *workers = NULL;
	struct ntd_error *error = NULL;

	if (parts->count < 2 || cancel_fd <= 0)
		return ntd_parts_each(parts, step, waiter, err);
	workers = ntd_calloc(parts->count, sizeof *workers);
	start(&team, workers);
	if (ntd_request_run(ntd_machine_context(parts->each->machine)->loop, &team.request,
			    NTD_FOREVER, waiter, &error) < 0) {
		eventfd_write(cancel_fd, 1);
		ntd_first_error(err, error);
		join(&team, workers, err);
		return -1;
	}
	return join(&team, workers, err);
}
