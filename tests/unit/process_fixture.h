/* A fixture for tests of processes: a real keeper process, processes below it, and the states that
 * their callbacks have been told.
 */
#pragma once

#include "marked.h"

#include "base/buf.h"
#include "loop/process.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

static struct ntd_keeper keeper; /* forked at the beginning of main() */
static struct ntd_loop *loop;
static struct ntd_children *children;
static char mark[64]; /* in the environment of every process that is started */

/* A process and the states that its callback has been told. */
struct watch {
	char *const *argv, *const *env;
	const char *directory;
	unsigned grace;
	bool runs_on;
	int fds[3]; /* 0: /dev/null */
	enum ntd_process_state
		let_go_at; /* the state at which the callback lets go; STARTING: never */
	struct ntd_process *process;
	struct ntd_error *error;
	sem_t changed;
	char states[16]; /* a letter each */
	int status, start_errno;
	pid_t pid;
	bool in_use;
};

/* Static, since a test that fails jumps out and leaves its processes to tear_down(). */
static struct watch watches[4];

static inline struct watch *watch_new(void)
{
	struct watch *watch = watches;

	while (watch->in_use)
		watch++;
	*watch = (struct watch){.in_use = true};
	sem_init(&watch->changed, 0, 0);
	return watch;
}

static inline void on_change(struct ntd_process *process, void *owner)
{
	static const char letters[] = "srEGF";
	struct watch *watch = owner;

	if (process->state == NTD_PROCESS_RUNNING)
		watch->pid = process->pid;
	else if (process->state == NTD_PROCESS_ENDED)
		watch->status = process->status;
	else if (process->state == NTD_PROCESS_FAILED)
		watch->start_errno = process->start_errno;
	watch->states[strlen(watch->states)] = letters[process->state];
	if (process->state == watch->let_go_at || process->state == NTD_PROCESS_FAILED)
		ntd_process_let_go(ntd_steal(&watch->process));
	sem_post(&watch->changed);
}

/* ---- on the loop thread */

static inline void spawn_now(void *arg)
{
	struct watch *watch = arg;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct ntd_spawn spawn = {.argv = watch->argv,
				  .env = watch->env,
				  .directory = watch->directory,
				  .grace = watch->grace,
				  .runs_on = watch->runs_on,
				  .stdin_fd = watch->fds[0] ? watch->fds[0] : null,
				  .stdout_fd = watch->fds[1] ? watch->fds[1] : null,
				  .stderr_fd = watch->fds[2] ? watch->fds[2] : null};

	watch->process = ntd_process_spawn(children, &spawn, on_change, watch, &watch->error);
	close(null);
}

static inline void kill_now(void *arg)
{
	ntd_process_kill_tree(((struct watch *)arg)->process);
}

static inline void let_go_now(void *arg)
{
	struct watch *watch = arg;

	if (watch->process)
		ntd_process_let_go(ntd_steal(&watch->process));
}

static inline void spawn_and_kill_now(void *arg)
{
	spawn_now(arg);
	kill_now(arg);
}

static inline void spawn_and_let_go_now(void *arg)
{
	spawn_now(arg);
	let_go_now(arg);
}

/* ---- on the test's thread */

/* Starts `sh -c SCRIPT`, or the command of other arguments. */
static inline void spawn_by(struct watch *watch, const char *script, void (*how)(void *watch))
{
	static char *env[] = {mark, (char *)"PATH=/usr/bin:/bin", NULL};
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};

	watch->argv = watch->argv ? watch->argv : argv;
	watch->env = watch->env ? watch->env : env;
	ntd_loop_call(loop, how, watch);
	assert_no_error(watch->error);
}

static inline struct watch *spawn(const char *script)
{
	struct watch *watch = watch_new();

	spawn_by(watch, script, spawn_now);
	return watch;
}

struct states_query {
	const struct watch *watch;
	char states[16];
};

static inline void copy_states(void *arg)
{
	struct states_query *query = arg;

	memcpy(query->states, query->watch->states, sizeof query->states);
}

/* Waits until there have been as many states as in `states`, and asserts that they are these. */
static inline void await_states(struct watch *watch, const char *states)
{
	struct states_query query = {.watch = watch};
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	do
		ntd_loop_call(loop, copy_states, &query);
	while (strlen(query.states) < strlen(states) &&
	       sem_timedwait(&watch->changed, &until) == 0);
	assert_string_equal(query.states, states);
}

static inline void end(struct watch *watch)
{
	ntd_loop_call(loop, let_go_now, watch);
	sem_destroy(&watch->changed);
	watch->in_use = false;
}

static inline pid_t parent_of(pid_t pid)
{
	_cleanup_free_ char *path = ntd_asprintf("/proc/%d/stat", pid);
	_cleanup_fd_ int fd = open(path, O_RDONLY);
	char stat[256] = "";

	assert_true(read(fd, stat, sizeof stat - 1) > 0);
	return (pid_t)strtol(strrchr(stat, ')') + 4, NULL, 10);
}

/* ---- around tests */

static inline int set_up(void **state)
{
	static int number;

	snprintf(mark, sizeof mark, "NTD_TEST_MARK=%d.%d", getpid(), number++);
	return 0;
}

/* Asserts that no process of the test is left. */
static inline int tear_down(void **state)
{
	for (size_t i = 0; i < unit_count(watches); i++)
		if (watches[i].in_use)
			end(&watches[i]);
	return await_marked(mark, 0, 2 * NTD_SECOND) ? 0 : -1;
}

static inline int set_up_loop(void **state)
{
	loop = ntd_loop_new(NULL);
	children = ntd_children_new(loop, &keeper, NULL);
	return loop && children ? 0 : -1;
}

static inline int tear_down_loop(void **state)
{
	ntd_children_free(children);
	ntd_loop_free(loop);
	return 0;
}

#define process_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* The last two steps of main(): a keeper, and the tests. */
#define run_process_tests(tests)                                                                   \
	({                                                                                         \
		int failed_ = ntd_keeper_start(&keeper, NULL) < 0;                                 \
		failed_ = failed_ ? failed_                                                        \
				  : cmocka_run_group_tests(tests, set_up_loop, tear_down_loop);    \
		ntd_keeper_stop(&keeper, NTD_FOREVER);                                             \
		failed_;                                                                           \
	})
