/* Tests that no started process is left behind by a process that ends, is killed, or is let go of.
 */
#include "process_fixture.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define PATIENCE (10 * NTD_SECOND)

static void a_tree_is_killed_with_those_that_left_it(void **state)
{
	struct watch *watch = spawn(FAMILY "wait");

	assert_true(await_marked(mark, FAMILY_SIZE, PATIENCE));
	ntd_loop_call(loop, kill_now, watch);
	await_states(watch, "rEG");
	assert_int_equal(count_marked(mark), 0);
	assert_int_equal(WTERMSIG(watch->status), SIGKILL);
}

/* Starts the init of a pid namespace, like a container's, which adopts the orphans there. Returns
 * -1 if that is not permitted. */
static pid_t start_namespace(void)
{
	pid_t init = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);

	if (init == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_range(3, ~0U, 0); /* above all, the keeper's socket */
		for (;;)
			pause();
	}
	return init;
}

static void what_runs_in_another_pid_namespace_is_killed(void **state)
{
	pid_t init = start_namespace();
	_cleanup_free_ char *script = NULL;
	struct watch *watch;

	if (init < 0) {
		print_message("SKIPPED: no pid namespace can be made here: %s\n", strerror(errno));
		skip();
	}
	script = ntd_asprintf("exec nsenter --target %d --pid sh -c "
			      "'(sleep 1000 & exec sleep 1000 &); exec sleep 1000'",
			      init);
	watch = spawn(script);
	assert_true(await_marked(mark, 4, PATIENCE)); /* nsenter counts, too */
	ntd_loop_call(loop, kill_now, watch);
	await_states(watch, "rEG");
	assert_true(await_marked(mark, 0, 2 * NTD_SECOND));
	assert_int_equal(kill(init, SIGKILL), 0);
	assert_int_equal(waitpid(init, NULL, 0), init);
}

static void what_a_process_leaves_behind_is_killed_before_it_is_gone(void **state)
{
	struct watch *watch = watch_new();
	int in[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	watch->fds[0] = in[0];
	spawn_by(watch, FAMILY "read line; exit 3", spawn_now);
	assert_true(await_marked(mark, FAMILY_SIZE, PATIENCE));
	assert_int_equal(write(in[1], "\n", 1), 1);
	await_states(watch, "rEG");
	assert_int_equal(count_marked(mark), 0);
	assert_int_equal(WEXITSTATUS(watch->status), 3);
	close(in[0]);
	close(in[1]);
}

static void killing_or_letting_go_before_the_start_is_not_lost(void **state)
{
	for (int i = 0; i < 10; i++) {
		struct watch *killed = watch_new(), *let_go = watch_new();

		spawn_by(killed, "sleep 1000", spawn_and_kill_now);
		spawn_by(let_go, "sleep 1000", spawn_and_let_go_now);
		await_states(killed, "rEG");
		assert_string_equal(let_go->states, "");
		end(killed);
		end(let_go);
	}
	assert_true(await_marked(mark, 0, 2 * NTD_SECOND));
}

static void signal_now(void *arg)
{
	ntd_process_signal(((struct watch *)arg)->process, SIGTERM);
}

static void spawn_and_signal_now(void *arg)
{
	spawn_now(arg);
	signal_now(arg);
}

static void what_is_signalled_before_it_has_started_gets_the_signal(void **state)
{
	struct watch *watch = watch_new();

	spawn_by(watch, "exec sleep 1000", spawn_and_signal_now);
	await_states(watch, "rEG");
	assert_int_equal(WTERMSIG(watch->status), SIGTERM);
	end(watch);
}

static struct rlimit descriptors;

/* Leaves one free descriptor; the report of a start needs two. */
static void spawn_with_one_descriptor(void *arg)
{
	struct rlimit few;
	int next;

	spawn_now(arg);
	getrlimit(RLIMIT_NOFILE, &descriptors);
	next = dup(STDIN_FILENO);
	close(next);
	few = (struct rlimit){.rlim_cur = (rlim_t)next + 1, .rlim_max = descriptors.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
}

static void what_starts_without_descriptors_for_it_has_failed(void **state)
{
	struct watch *watch = watch_new();

	spawn_by(watch, "exec sleep 1000", spawn_with_one_descriptor);
	await_states(watch, "F");
	setrlimit(RLIMIT_NOFILE, &descriptors);
	assert_int_equal(watch->start_errno, EMFILE);
	assert_true(await_marked(mark, 0, 2 * NTD_SECOND));
	end(watch);
}

static void a_callback_may_let_go(void **state)
{
	static const char *const states[] = {"r", "rE", "rEG"};

	for (size_t i = 0; i < unit_count(states); i++) {
		struct watch *watch = watch_new();

		watch->let_go_at = NTD_PROCESS_RUNNING + (unsigned)i;
		spawn_by(watch, i ? "setsid sleep 1000 & exit 0" : "sleep 1000", spawn_now);
		await_states(watch, states[i]);
		assert_null(watch->process);
		assert_true(await_marked(mark, 0, 2 * NTD_SECOND));
		assert_string_equal(watch->states, states[i]);
	}
}

/* The kernel may kill a guard when memory is short. */
static void a_guard_that_is_killed_takes_the_process_with_it(void **state)
{
	struct watch *watch = spawn("exec sleep 1000");

	await_states(watch, "r");
	assert_int_equal(kill(parent_of(watch->pid), SIGKILL), 0);
	await_states(watch, "rEG");
	assert_int_equal(WTERMSIG(watch->status), SIGKILL);
}

static int count_entries(const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void fifty_cycles_leave_no_descriptor_and_no_process(void **state)
{
	_cleanup_free_ char *fds = ntd_asprintf("/proc/%d/fd", keeper.pid);
	_cleanup_free_ char *path =
		ntd_asprintf("/proc/%d/task/%d/children", keeper.pid, keeper.pid);
	int ours = count_entries("/proc/self/fd"), theirs = count_entries(fds), fd;
	int64_t deadline = ntd_after(2 * NTD_SECOND);
	char byte;

	for (int i = 0; i < 50; i++) {
		struct watch *watch = spawn(i % 2 ? "sleep 1000" : "setsid sleep 1000 & exit 0");

		if (i % 2)
			ntd_loop_call(loop, kill_now, watch);
		await_states(watch, "rEG");
		end(watch);
	}
	assert_int_equal(count_entries("/proc/self/fd"), ours);
	assert_int_equal(count_entries(fds), theirs);
	fd = open(path, O_RDONLY); /* lists zombies, too */
	while (pread(fd, &byte, 1, 0) == 1 && ntd_now() < deadline)
		;
	assert_int_equal(pread(fd, &byte, 1, 0), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		process_test(a_tree_is_killed_with_those_that_left_it),
		process_test(what_runs_in_another_pid_namespace_is_killed),
		process_test(what_a_process_leaves_behind_is_killed_before_it_is_gone),
		process_test(killing_or_letting_go_before_the_start_is_not_lost),
		process_test(what_is_signalled_before_it_has_started_gets_the_signal),
		process_test(what_starts_without_descriptors_for_it_has_failed),
		process_test(a_callback_may_let_go),
		process_test(a_guard_that_is_killed_takes_the_process_with_it),
		process_test(fifty_cycles_leave_no_descriptor_and_no_process),
	};

	return run_process_tests(tests);
}
