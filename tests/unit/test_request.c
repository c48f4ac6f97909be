/* Tests of requests: a thread of the script waits for work on the loop thread, until the work
 * completes, a deadline passes or a signal interrupts the wait.
 */
#include "unit.h"

#include "loop/request.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

/* A request that a timer completes on the loop thread, and its history. */
struct errand {
	struct ntd_request request;
	struct ntd_timer timer;
	int64_t delay;           /* from begin to completion; NTD_FOREVER: never */
	struct ntd_error *error; /* the error of the completion */
	bool begun, completed, abandoned, on_loop;
};

static void errand_done(struct ntd_timer *timer)
{
	struct errand *errand = ntd_container_of(timer, struct errand, timer);

	errand->completed = true;
	ntd_request_complete(&errand->request, errand->error);
}

static void errand_begin(struct ntd_request *request)
{
	struct errand *errand = ntd_container_of(request, struct errand, request);

	errand->begun = true;
	errand->on_loop = ntd_loop_is_current(request->loop);
	errand->timer.expired = errand_done;
	if (errand->delay)
		ntd_timer_set(request->loop, &errand->timer, ntd_after(errand->delay));
	else
		errand_done(&errand->timer);
}

static void errand_abandon(struct ntd_request *request)
{
	struct errand *errand = ntd_container_of(request, struct errand, request);

	errand->abandoned = true;
	errand->on_loop &= ntd_loop_is_current(request->loop);
	ntd_timer_cancel(&errand->timer);
}

static struct errand errand_for(int64_t delay)
{
	return (struct errand){.request = {.begin = errand_begin, .abandon = errand_abandon},
			       .delay = delay};
}

static int set_up(void **state)
{
	struct ntd_error *err = NULL;

	*state = ntd_loop_new(&err);
	return err ? -1 : 0;
}

static int tear_down(void **state)
{
	ntd_loop_free(*state);
	return 0;
}

/* ---- completion and deadline */

static void a_request_completes(void **state)
{
	for (int64_t delay = 0; delay <= NTD_MS; delay += NTD_MS) {
		struct errand errand = errand_for(delay);
		struct ntd_error *err = NULL;
		int result = ntd_request_run(*state, &errand.request, NTD_FOREVER, NULL, &err);

		assert_no_error(err);
		assert_int_equal(result, 0);
		assert_true(errand.completed && errand.on_loop);
		assert_false(errand.abandoned);
		assert_int_equal(errand.request.done_fd, -1);
	}
}

static void a_request_fails_with_its_own_error(void **state)
{
	struct errand errand = errand_for(0);

	errand.error = ntd_error_new(NTD_E_DEAD, "server: QEMU ended");
	assert_fails(ntd_request_run(*state, &errand.request, NTD_FOREVER, NULL, &err), NTD_E_DEAD,
		     "server: QEMU ended");
}

static void a_deadline_abandons_the_request(void **state)
{
	struct errand errand = errand_for(NTD_FOREVER);
	int64_t began = ntd_now();

	assert_fails(ntd_request_run(*state, &errand.request, began + 20 * NTD_MS, NULL, &err),
		     NTD_E_TIMEOUT, "timed out");
	assert_true(ntd_now() >= began + 20 * NTD_MS);
	assert_true(errand.abandoned && errand.on_loop);
	assert_false(errand.completed);
}

static void a_deadline_that_has_passed_still_begins_the_request(void **state)
{
	struct errand errand = errand_for(NTD_FOREVER);

	assert_fails(ntd_request_run(*state, &errand.request, ntd_now() - NTD_SECOND, NULL, &err),
		     NTD_E_TIMEOUT, "timed out");
	assert_true(errand.begun && errand.abandoned);
}

static void a_waiter_has_a_deadline_for_all_its_waits(void **state)
{
	struct errand errand = errand_for(NTD_FOREVER), second = errand_for(NTD_FOREVER);
	struct ntd_waiter waiter = {.deadline = ntd_after(20 * NTD_MS)};

	assert_fails(ntd_request_run(*state, &errand.request, NTD_FOREVER, &waiter, &err),
		     NTD_E_TIMEOUT, "timed out");
	assert_true(ntd_now() >= waiter.deadline);
	assert_true(errand.abandoned);
	assert_fails(ntd_request_run(*state, &second.request, NTD_FOREVER, &waiter, &err),
		     NTD_E_TIMEOUT, "timed out");
}

static void *cancel(void *arg)
{
	eventfd_write(((struct ntd_waiter *)arg)->cancel_fd, 1);
	return NULL;
}

static void a_waiter_is_cancelled_by_another_thread(void **state)
{
	struct errand errand = errand_for(NTD_FOREVER), second = errand_for(0);
	struct ntd_waiter waiter = {.cancel_fd = eventfd(0, EFD_CLOEXEC)};
	pthread_t thread;

	assert_int_equal(ntd_request_run(*state, &second.request, NTD_FOREVER, &waiter, NULL), 0);
	pthread_create(&thread, NULL, cancel, &waiter);
	assert_fails(ntd_request_run(*state, &errand.request, NTD_FOREVER, &waiter, &err),
		     NTD_E_CANCELLED, "interrupted");
	pthread_join(thread, NULL);
	assert_true(errand.abandoned);
	close(waiter.cancel_fd);
}

struct chore {
	struct ntd_errand errand;
	int runs, stop_after;
};

static bool run_chore(struct ntd_errand *errand, struct ntd_waiter *waiter)
{
	struct chore *chore = ntd_container_of(errand, struct chore, errand);

	return ++chore->runs == chore->stop_after;
}

static void a_waiter_runs_an_errand(void **state)
{
	struct chore chore = {.errand = {.fd = eventfd(1, EFD_CLOEXEC), .run = run_chore},
			      .stop_after = 3};
	struct errand errand = errand_for(NTD_FOREVER), late = errand_for(NTD_FOREVER);
	struct ntd_waiter waiter = {.errand = &chore.errand};

	assert_fails(ntd_request_run(*state, &errand.request, NTD_FOREVER, &waiter, &err),
		     NTD_E_CANCELLED, "interrupted");
	assert_int_equal(chore.runs, 3);
	assert_true(errand.abandoned);
	/* an errand that never rests does not keep the wait from ending */
	assert_fails(ntd_request_run(*state, &late.request, ntd_after(20 * NTD_MS), &waiter, &err),
		     NTD_E_TIMEOUT, "timed out");
	assert_true(chore.runs > 3);
	close(chore.errand.fd);
}

static void a_second_completion_is_ignored(void **state)
{
	struct errand errand = errand_for(0);

	assert_int_equal(ntd_request_run(*state, &errand.request, NTD_FOREVER, NULL, NULL), 0);
	ntd_request_complete(&errand.request, ntd_error_new(NTD_E_DEAD, "too late"));
	assert_null(errand.request.error);
}

/* ---- interruption by a signal */

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	signals++;
}

/* The scheme of request.h: SIGUSR1 is blocked except while a wait sleeps. */
struct script {
	struct ntd_waiter waiter;
	sigset_t asleep;
	int interrupt_after; /* the number of signals before the one that interrupts */
	int asked;
};

static bool script_interrupted(struct ntd_waiter *waiter)
{
	struct script *script = ntd_container_of(waiter, struct script, waiter);

	script->asked++;
	return signals > script->interrupt_after;
}

static void script_init(struct script *script, int interrupt_after)
{
	sigset_t blocked;

	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = count_signal}, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, &script->asleep);
	sigdelset(&script->asleep, SIGUSR1);
	script->waiter =
		(struct ntd_waiter){.interrupted = script_interrupted, .signals = &script->asleep};
	script->interrupt_after = interrupt_after;
	script->asked = 0;
	signals = 0;
}

struct kick {
	struct ntd_loop *loop;
	struct ntd_timer timer;
	pthread_t thread;
	int times;
};

static void kick_thread(struct ntd_timer *timer)
{
	struct kick *kick = ntd_container_of(timer, struct kick, timer);

	pthread_kill(kick->thread, SIGUSR1);
	if (--kick->times)
		ntd_timer_set(kick->loop, timer, ntd_after(5 * NTD_MS));
}

static void kick_start(void *arg)
{
	struct kick *kick = arg;

	ntd_timer_set(kick->loop, &kick->timer, ntd_after(5 * NTD_MS));
}

static void kick_stop(void *arg)
{
	ntd_timer_cancel(&((struct kick *)arg)->timer);
}

static struct kick kick_self(struct ntd_loop *loop, int times)
{
	return (struct kick){.loop = loop,
			     .timer.expired = kick_thread,
			     .thread = pthread_self(),
			     .times = times};
}

static void a_signal_interrupts_a_request(void **state)
{
	struct errand errand = errand_for(NTD_FOREVER);
	struct kick kick = kick_self(*state, 1);
	struct script script;

	script_init(&script, 0);
	ntd_loop_call(*state, kick_start, &kick);
	assert_fails(ntd_request_run(*state, &errand.request, ntd_after(10 * NTD_SECOND),
				     &script.waiter, &err),
		     NTD_E_CANCELLED, "interrupted");
	assert_true(errand.abandoned);
	assert_int_equal(script.asked, 1);
}

static void a_signal_before_the_wait_is_not_lost(void **state)
{
	struct errand errand = errand_for(NTD_FOREVER);
	struct script script;

	script_init(&script, 0);
	pthread_kill(pthread_self(), SIGUSR1);
	assert_int_equal(signals, 0);
	assert_fails(ntd_request_run(*state, &errand.request, ntd_after(10 * NTD_SECOND),
				     &script.waiter, &err),
		     NTD_E_CANCELLED, "interrupted");
	assert_int_equal(signals, 1);
}

static void a_signal_may_be_ignored_by_the_waiter(void **state)
{
	struct errand errand = errand_for(60 * NTD_MS);
	struct kick kick = kick_self(*state, 3);
	struct script script;

	script_init(&script, 100);
	ntd_loop_call(*state, kick_start, &kick);
	assert_int_equal(
		ntd_request_run(*state, &errand.request, NTD_FOREVER, &script.waiter, NULL), 0);
	ntd_loop_call(*state, kick_stop, &kick);
	assert_true(script.asked > 0);
	assert_true(errand.completed);
}

static void a_plain_wait_ends_at_its_deadline_or_by_a_signal(void **state)
{
	struct kick kick = kick_self(*state, 1);
	int64_t began = ntd_now();
	struct script script;

	script_init(&script, 0);
	assert_int_equal(ntd_wait_until(began + 10 * NTD_MS, NULL, NULL), 0);
	assert_true(ntd_now() >= began + 10 * NTD_MS);
	ntd_loop_call(*state, kick_start, &kick);
	assert_fails(ntd_wait_until(ntd_after(10 * NTD_SECOND), &script.waiter, &err),
		     NTD_E_CANCELLED, "interrupted");
	ntd_loop_call(*state, kick_stop, &kick); /* the loop thread no longer uses `kick` */
}

/* ---- completion against giving up */

enum { ROUNDS = 2000, RACERS = 2 };

struct race {
	struct ntd_loop *loop;
	size_t completed, abandoned, wrong;
	uint32_t random;
};

static int64_t some_time(struct race *race)
{
	race->random = race->random * 1664525 + 1013904223;
	return (race->random >> 8) % 60 * 1000;
}

/* The waiter's result is what has happened, and no thread uses the request afterwards: it is freed
 * at once, so that the sanitizers notice a use. */
static void run_once(struct race *race)
{
	struct errand *errand = ntd_malloc(sizeof *errand);
	struct ntd_error *err = NULL;
	int64_t deadline;

	*errand = errand_for(some_time(race));
	deadline = ntd_after(some_time(race));
	if (ntd_request_run(race->loop, &errand->request, deadline, NULL, &err) == 0) {
		race->completed++;
		race->wrong += err || !errand->completed || errand->abandoned;
	} else {
		race->abandoned++;
		race->wrong +=
			err->code != NTD_E_TIMEOUT || errand->completed || !errand->abandoned;
	}
	ntd_error_free(err);
	free(errand);
}

static void *run_race(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		run_once(arg);
	return NULL;
}

static void completion_and_giving_up_exclude_each_other(void **state)
{
	struct race races[RACERS];
	pthread_t threads[RACERS];

	for (size_t i = 0; i < RACERS; i++) {
		races[i] = (struct race){.loop = *state, .random = (uint32_t)i + 1};
		pthread_create(&threads[i], NULL, run_race, &races[i]);
	}
	for (size_t i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < RACERS; i++) {
		print_message("%zu completed, %zu abandoned\n", races[i].completed,
			      races[i].abandoned);
		assert_int_equal(races[i].wrong, 0);
		assert_true(races[i].completed &&
			    races[i].abandoned); /* both outcomes have occurred */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_completes),
		cmocka_unit_test(a_request_fails_with_its_own_error),
		cmocka_unit_test(a_deadline_abandons_the_request),
		cmocka_unit_test(a_deadline_that_has_passed_still_begins_the_request),
		cmocka_unit_test(a_waiter_has_a_deadline_for_all_its_waits),
		cmocka_unit_test(a_waiter_is_cancelled_by_another_thread),
		cmocka_unit_test(a_waiter_runs_an_errand),
		cmocka_unit_test(a_second_completion_is_ignored),
		cmocka_unit_test(a_signal_interrupts_a_request),
		cmocka_unit_test(a_signal_before_the_wait_is_not_lost),
		cmocka_unit_test(a_signal_may_be_ignored_by_the_waiter),
		cmocka_unit_test(a_plain_wait_ends_at_its_deadline_or_by_a_signal),
		cmocka_unit_test(completion_and_giving_up_exclude_each_other),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
