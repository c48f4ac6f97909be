/* Tests of threads that use a guest while another one saves its state (machine/use.c). */
#include "life_fixture.h"

#include "machine/snapshot.h"

#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 30 };

struct work {
	struct ntd_machine *machine;
	atomic_bool over;
	atomic_int inside, runs, failures;
	pthread_t threads[THREADS];
};

static void *use(void *arg)
{
	struct work *work = arg;

	while (!work->over) {
		struct ntd_error *err = NULL;

		if (!ntd_machine_enter(work->machine, NULL, &err)) {
			ntd_error_free(err);
			work->failures++;
			continue;
		}
		work->inside++;
		work->runs++;
		work->inside--;
		ntd_machine_leave(work->machine);
		if (ntd_machine_try_enter(work->machine)) {
			work->inside++;
			work->inside--;
			ntd_machine_leave(work->machine);
		}
	}
	return NULL;
}

static void nobody_uses_a_guest_that_is_saved(void **state)
{
	static struct work work;
	struct fixture *fixture = *state;
	struct ntd_error *err = NULL;

	work.machine = machine_new(fixture, "server", NULL);
	start(work.machine);
	connect_shell(work.machine);
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&work.threads[i], NULL, use, &work);
	for (int round = 0; round < ROUNDS; round++) {
		int runs = work.runs;

		ntd_snapshot_begin_saving(work.machine, ntd_after(PATIENCE), NULL, &err);
		assert_no_error(err);
		for (int i = 0; i < 100; i++)
			assert_int_equal(work.inside, 0);
		assert_false(ntd_machine_try_enter(work.machine));
		assert_state(work.machine, NTD_MACHINE_SAVING);
		ntd_snapshot_end(work.machine, true);
		while (work.runs == runs)
			;
	}
	work.over = true;
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(work.threads[i], NULL);
	assert_int_equal(work.failures, 0);
}

static void a_user_that_stays_is_waited_for(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct ntd_error *err = NULL;

	start(machine);
	ntd_machine_enter(machine, NULL, &err);
	assert_no_error(err);
	assert_int_equal(ntd_snapshot_begin_saving(machine, ntd_after(NTD_SECOND / 10), NULL, &err),
			 -1);
	assert_error(err, NTD_E_TIMEOUT, "timed out");
	err = NULL;
	assert_state(machine, NTD_MACHINE_CONNECTED);
	assert_output(machine, "echo here", "here\n");
	ntd_machine_leave(machine);
	ntd_snapshot_begin_saving(machine, ntd_after(PATIENCE), NULL, &err);
	assert_no_error(err);
	ntd_snapshot_end(machine, true);
	assert_output(machine, "echo here", "here\n");
}

static void the_waits_end_with_the_machine(void **state)
{
	static struct work work;
	struct fixture *fixture = *state;
	struct ntd_error *err = NULL;

	work = (struct work){.machine = machine_new(fixture, "server", NULL)};
	start(work.machine);
	connect_shell(work.machine);
	ntd_snapshot_begin_saving(work.machine, ntd_after(PATIENCE), NULL, &err);
	assert_no_error(err);
	pthread_create(&work.threads[0], NULL, use, &work);
	kill(ntd_machine_status(work.machine).pid, SIGKILL);
	while (!work.failures)
		;
	work.over = true;
	pthread_join(work.threads[0], NULL);
	ntd_snapshot_end(work.machine, true);
	assert_state(work.machine, NTD_MACHINE_DEAD);
	assert_int_equal(ntd_snapshot_begin_saving(work.machine, ntd_after(PATIENCE), NULL, &err),
			 -1);
	assert_error(err, NTD_E_DEAD, "machine 'server': QEMU process was killed by signal 9");
}

static void one_thread_at_a_time_has_the_claim(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct ntd_error *err = NULL;

	ntd_snapshot_claim(machine, &err);
	assert_no_error(err);
	assert_int_equal(ntd_snapshot_claim(machine, &err), -1);
	assert_error(err, NTD_E_MACHINE, "another thread saves or restores its state");
	err = NULL;
	ntd_snapshot_yield(machine);
	ntd_snapshot_claim(machine, &err);
	assert_no_error(err);
	ntd_snapshot_yield(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		life_test(nobody_uses_a_guest_that_is_saved),
		life_test(a_user_that_stays_is_waited_for),
		life_test(the_waits_end_with_the_machine),
		life_test(one_thread_at_a_time_has_the_claim),
	};

	return run_life_tests(tests);
}
