/* Tests of the loop thread: sources of descriptors' events, tasks and calls from other threads. */
#include "loop_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

/* ---- sources */

struct watched {
	struct ntd_source source;
	struct sources *all;
};

struct sources {
	struct fixture *fixture;
	struct watched *pair[2], *late;
	int fds[3];
	size_t calls, late_calls;
	struct ntd_timer timer;
};

static struct watched *watch(struct sources *all, int fd,
			     void (*ready)(struct ntd_source *, uint32_t))
{
	struct watched *watched = ntd_calloc(1, sizeof *watched);

	*watched = (struct watched){.source = {.fd = fd, .ready = ready}, .all = all};
	if (ntd_source_add(all->fixture->loop, &watched->source, EPOLLIN, NULL) < 0)
		abort();
	return watched;
}

static void unwatch(struct watched **watched)
{
	if (!*watched)
		return;
	ntd_source_remove(&(*watched)->source);
	free(ntd_steal(watched));
}

static void late_ready(struct ntd_source *source, uint32_t events)
{
	ntd_container_of(source, struct watched, source)->all->late_calls++;
}

static void end_of_batch(struct ntd_timer *timer)
{
	struct sources *all = ntd_container_of(timer, struct sources, timer);

	unwatch(&all->late);
	sem_post(&all->fixture->done);
}

/* Frees the source whose event is still to come, puts another source into its slot, and frees its
 * own. */
static void pair_ready(struct ntd_source *source, uint32_t events)
{
	struct sources *all = ntd_container_of(source, struct watched, source)->all;
	size_t self = source == &all->pair[0]->source ? 0 : 1;

	all->calls++;
	unwatch(&all->pair[!self]);
	all->late = watch(all, all->fds[2], late_ready);
	unwatch(&all->pair[self]);
	ntd_timer_set(all->fixture->loop, &all->timer, ntd_now());
}

/* Both sources become ready while the loop is busy here, so that epoll returns both at once. */
static void make_both_ready(void *arg)
{
	struct sources *all = arg;

	for (size_t i = 0; i < 2; i++) {
		all->pair[i] = watch(all, all->fds[i], pair_ready);
		eventfd_write(all->fds[i], 1);
	}
}

static void events_of_removed_sources_are_dropped(void **state)
{
	struct sources all = {.fixture = *state, .timer.expired = end_of_batch};

	for (size_t i = 0; i < 3; i++)
		all.fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (int round = 0; round < 10; round++) {
		ntd_loop_call(all.fixture->loop, make_both_ready, &all);
		sem_wait(&all.fixture->done);
		assert_int_equal(all.calls, round + 1);
		assert_int_equal(all.late_calls, 0);
	}
	for (size_t i = 0; i < 3; i++)
		close(all.fds[i]);
}

enum { MANY = 100 };

struct many {
	struct fixture *fixture;
	struct ntd_source sources[MANY];
	size_t left;
};

static struct many many;

static void one_of_many(struct ntd_source *source, uint32_t events)
{
	ntd_source_remove(source);
	if (!--many.left)
		sem_post(&many.fixture->done);
}

static void watch_many(void *arg)
{
	for (size_t i = 0; i < MANY; i++) {
		many.sources[i] =
			(struct ntd_source){.fd = eventfd(1, EFD_CLOEXEC), .ready = one_of_many};
		if (ntd_source_add(many.fixture->loop, &many.sources[i], 0, NULL) < 0)
			abort();
	}
	many.left = MANY;
	for (size_t i = 0; i < MANY; i++) /* after the table of sources has grown */
		ntd_source_modify(&many.sources[i], EPOLLIN);
}

static void many_sources_are_watched(void **state)
{
	many.fixture = *state;
	ntd_loop_call(many.fixture->loop, watch_many, NULL);
	sem_wait(&many.fixture->done);
	for (size_t i = 0; i < MANY; i++)
		close(many.sources[i].fd);
}

struct refused {
	struct fixture *fixture;
	struct ntd_error *error;
	struct ntd_source source;
	bool watched;
};

static void watch_a_file(void *arg)
{
	struct refused *refused = arg;

	if (ntd_source_add(refused->fixture->loop, &refused->source, EPOLLIN, &refused->error) == 0)
		abort();
	refused->watched = refused->source.loop;
	ntd_source_modify(&refused->source, EPOLLIN); /* these calls do nothing */
	ntd_source_remove(&refused->source);
}

static void what_cannot_be_watched_is_an_error(void **state)
{
	struct refused refused = {.fixture = *state, .source.fd = open("/proc/self/exe", O_RDONLY)};

	ntd_loop_call(refused.fixture->loop, watch_a_file, &refused);
	close(refused.source.fd);
	assert_false(refused.watched);
	assert_int_equal(refused.error->sys_errno, EPERM);
	assert_error(refused.error, NTD_E_SYS, "cannot watch descriptor");
}

/* ---- tasks and calls */

enum { TASKS = 2000, POSTERS = 3 };

struct job {
	struct ntd_task task;
	struct poster *poster;
	int number;
};

struct poster {
	struct fixture *fixture;
	struct job jobs[TASKS];
	int next;
	bool disordered;
};

static void run_job(struct ntd_task *task)
{
	struct job *job = ntd_container_of(task, struct job, task);

	job->poster->disordered |= job->number != job->poster->next;
	if (++job->poster->next == TASKS)
		sem_post(&job->poster->fixture->done);
}

static void *post_all(void *arg)
{
	struct poster *poster = arg;

	for (int i = 0; i < TASKS; i++) {
		poster->jobs[i] = (struct job){.task.run = run_job, .poster = poster, .number = i};
		ntd_loop_post(poster->fixture->loop, &poster->jobs[i].task);
	}
	return NULL;
}

static void tasks_run_in_the_order_of_their_posting(void **state)
{
	static struct poster posters[POSTERS];
	pthread_t threads[POSTERS];

	for (size_t i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){.fixture = *state};
		pthread_create(&threads[i], NULL, post_all, &posters[i]);
	}
	for (size_t i = 0; i < POSTERS; i++) {
		pthread_join(threads[i], NULL);
		sem_wait(&posters[i].fixture->done);
	}
	for (size_t i = 0; i < POSTERS; i++)
		assert_false(posters[i].disordered);
}

struct inner {
	struct fixture *fixture;
	bool on_loop, nested_ran_at_once;
	sigset_t mask;
};

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void look_around(void *arg)
{
	struct inner *inner = arg;
	bool ran = false;

	inner->on_loop = ntd_loop_is_current(inner->fixture->loop);
	pthread_sigmask(SIG_SETMASK, NULL, &inner->mask);
	ntd_loop_call(inner->fixture->loop, set_true, &ran);
	inner->nested_ran_at_once = ran;
}

static void calls_run_on_the_loop_thread(void **state)
{
	struct inner inner = {.fixture = *state};

	ntd_loop_call(inner.fixture->loop, look_around, &inner);
	assert_true(inner.on_loop);
	assert_false(ntd_loop_is_current(inner.fixture->loop));
	assert_true(inner.nested_ran_at_once);
	assert_true(sigismember(&inner.mask, SIGTERM) && sigismember(&inner.mask, SIGINT));
}

struct relay {
	struct ntd_task task, second;
	struct ntd_loop *loop;
	bool second_ran;
};

static void run_second(struct ntd_task *task)
{
	ntd_container_of(task, struct relay, second)->second_ran = true;
}

static void run_first(struct ntd_task *task)
{
	struct relay *relay = ntd_container_of(task, struct relay, task);

	ntd_loop_post(relay->loop, &relay->second);
}

static void queued_tasks_run_before_the_loop_ends(void **state)
{
	for (int round = 0; round < 200; round++) {
		struct relay relay = {.task.run = run_first, .second.run = run_second};

		relay.loop = ntd_loop_new(NULL);
		ntd_loop_post(relay.loop, &relay.task);
		ntd_loop_free(relay.loop);
		assert_true(relay.second_ran);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_of_removed_sources_are_dropped),
		cmocka_unit_test(many_sources_are_watched),
		cmocka_unit_test(what_cannot_be_watched_is_an_error),
		cmocka_unit_test(tasks_run_in_the_order_of_their_posting),
		cmocka_unit_test(calls_run_on_the_loop_thread),
		cmocka_unit_test(queued_tasks_run_before_the_loop_ends),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
