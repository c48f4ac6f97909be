/* Tests of timers: their order, cancellation and setting again, on the loop thread. */
#include "loop_fixture.h"

enum { TIMERS = 300 };

struct alarm {
	struct ntd_timer timer;
	struct timers *all;
	bool cancelled, rang;
	int left; /* how often the timer sets itself again */
};

struct timers {
	struct fixture *fixture;
	struct alarm alarms[TIMERS];
	size_t pending;
	int64_t last;
	bool early, disordered;
};

static void ring(struct ntd_timer *timer)
{
	struct alarm *alarm = ntd_container_of(timer, struct alarm, timer);
	struct timers *all = alarm->all;

	all->early |= ntd_now() < timer->at;
	all->disordered |= timer->at < all->last;
	all->last = timer->at;
	alarm->rang = true;
	if (!--all->pending)
		sem_post(&all->fixture->done);
}

static void set_and_cancel_many(void *arg)
{
	struct timers *all = arg;
	int64_t base = ntd_now() + 5 * NTD_MS;
	uint32_t random = 12345;

	for (size_t i = 0; i < TIMERS; i++) {
		struct alarm *alarm = &all->alarms[i];

		random = random * 1664525 + 1013904223;
		*alarm = (struct alarm){.timer.expired = ring, .all = all};
		ntd_timer_set(all->fixture->loop, &alarm->timer,
			      base + (random >> 8) % 1000 * 10000);
	}
	all->pending = TIMERS;
	for (size_t i = 0; i < TIMERS; i += 3) { /* from all parts of the heap */
		ntd_timer_cancel(&all->alarms[i].timer);
		all->alarms[i].cancelled = true;
		all->pending--;
	}
	for (size_t i = 1; i < TIMERS; i += 30) /* earlier, later */
		ntd_timer_set(all->fixture->loop, &all->alarms[i].timer,
			      all->alarms[i].timer.at + (i % 60 == 1 ? -NTD_MS : NTD_MS));
}

static void timers_expire_in_order_of_time(void **state)
{
	static struct timers all;

	all = (struct timers){.fixture = *state};
	ntd_loop_call(all.fixture->loop, set_and_cancel_many, &all);
	sem_wait(&all.fixture->done);
	assert_false(all.early);
	assert_false(all.disordered);
	for (size_t i = 0; i < TIMERS; i++)
		assert_int_equal(all.alarms[i].rang, !all.alarms[i].cancelled);
}

/* The heap holds these timers in this order. Cancelling 61 moves 4, the last one, below 60, from
 * where it has to go up. */
static void cancel_below_a_later_one(void *arg)
{
	static const int at[] = {1, 50, 2, 60, 70, 3, 10, 61, 62, 71, 72, 4};
	struct timers *all = arg;
	int64_t base = ntd_now();

	for (size_t i = 0; i < unit_count(at); i++) {
		all->alarms[i] = (struct alarm){.timer.expired = ring, .all = all};
		ntd_timer_set(all->fixture->loop, &all->alarms[i].timer, base + at[i]);
	}
	ntd_timer_cancel(&all->alarms[7].timer);
	all->pending = unit_count(at) - 1;
}

static void cancelling_keeps_the_order(void **state)
{
	static struct timers all;

	all = (struct timers){.fixture = *state};
	ntd_loop_call(all.fixture->loop, cancel_below_a_later_one, &all);
	sem_wait(&all.fixture->done);
	assert_false(all.disordered);
	assert_false(all.alarms[7].rang);
}

static void ring_again(struct ntd_timer *timer)
{
	struct alarm *alarm = ntd_container_of(timer, struct alarm, timer);
	struct timers *all = alarm->all;

	ntd_timer_cancel(&all->alarms[1].timer); /* due in the same round of the loop */
	if (alarm->left--)
		ntd_timer_set(all->fixture->loop, timer, ntd_now() + NTD_MS);
	else
		ring(timer);
}

static void set_two_for_the_same_time(void *arg)
{
	struct timers *all = arg;
	int64_t now = ntd_now();

	all->alarms[0] = (struct alarm){.timer.expired = ring_again, .all = all, .left = 3};
	all->alarms[1] = (struct alarm){.timer.expired = ring, .all = all};
	all->pending = 1;
	ntd_timer_set(all->fixture->loop, &all->alarms[0].timer, now);
	ntd_timer_set(all->fixture->loop, &all->alarms[1].timer, now + 1);
}

static void timers_are_set_and_cancelled_by_timers(void **state)
{
	static struct timers all;

	all = (struct timers){.fixture = *state};
	ntd_loop_call(all.fixture->loop, set_two_for_the_same_time, &all);
	sem_wait(&all.fixture->done);
	assert_int_equal(all.alarms[0].left, -1);
	assert_false(all.alarms[1].rang);
	assert_false(all.early);
}

static void set_for_ever(void *arg)
{
	struct timers *all = arg;

	all->alarms[0] = (struct alarm){.timer.expired = ring, .all = all};
	ntd_timer_set(all->fixture->loop, &all->alarms[0].timer, ntd_now() + NTD_SECOND);
	ntd_timer_set(all->fixture->loop, &all->alarms[0].timer, NTD_FOREVER);
}

static void a_timer_set_for_ever_is_not_set(void **state)
{
	static struct timers all;

	all = (struct timers){.fixture = *state};
	ntd_loop_call(all.fixture->loop, set_for_ever, &all);
	assert_null(all.alarms[0].timer.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_expire_in_order_of_time),
		cmocka_unit_test(cancelling_keeps_the_order),
		cmocka_unit_test(timers_are_set_and_cancelled_by_timers),
		cmocka_unit_test(a_timer_set_for_ever_is_not_set),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
