/* Processes below a real keeper, and what has been told about them. */
#pragma once

#include "marked.h"

#include "base/buf.h"
#include "loop/process.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

static struct ntd_keeper keeper;
static struct ntd_loop *loop;
static struct ntd_children *children;
static char mark[64]; /* in the environment of everything that is started */

/* A process and what has been told about it. */
struct watch {
	char *const *argv;
	char *const *env;
	const char *directory;
	int fds[3];                       /* 0: /dev/null */
	enum ntd_process_state let_go_at; /* STARTING: when the test says so */
	struct ntd_process *process;
	struct ntd_error *error;
	sem_t changed;
	bool in_use;
	char states[16]; /* a letter each */
	int status, start_errno;
	pid_t pid;
};

static inline void on_change(struct ntd_process *process, void *owner)
{
	static const char letters[] = "srEGF";
	struct watch *watch = owner;

	watch->pid = process->pid;
	watch->status = process->status;
	watch->start_errno = process->start_errno;
	watch->states[strlen(watch->states)] = letters[process->state];
	if (process->state == watch->let_go_at || process->state == NTD_PROCESS_FAILED)
		ntd_process_let_go(ntd_steal(&watch->process));
	sem_post(&watch->changed);
}

static inline void spawn_now(void *arg)
{
	struct watch *watch = arg;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct ntd_spawn spawn = {.argv = watch->argv,
				  .env = watch->env,
				  .directory = watch->directory,
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

static inline void terminate_now(void *arg)
{
	ntd_process_signal(((struct watch *)arg)->process, SIGTERM);
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

/* Starts `sh -c SCRIPT` unless there are other arguments. */
static inline void spawn_by(struct watch *watch, const char *script, void (*how)(void *watch))
{
	static char *env[] = {mark, (char *)"PATH=/usr/bin:/bin", NULL};
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};

	watch->argv = watch->argv ? watch->argv : argv;
	watch->env = watch->env ? watch->env : env;
	sem_init(&watch->changed, 0, 0);
	ntd_loop_call(loop, how, watch);
	assert_no_error(watch->error);
	watch->argv = NULL;
}

static inline void spawn(struct watch *watch, const char *script)
{
	spawn_by(watch, script, spawn_now);
}

/* Waits until the states are `states`; fails when they are others. */
static inline void await_states(struct watch *watch, const char *states)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	for (size_t i = 0; i < strlen(states); i++)
		if (sem_timedwait(&watch->changed, &until) < 0)
			break;
	assert_string_equal(watch->states, states);
	for (size_t i = 0; i < strlen(states); i++)
		sem_post(&watch->changed);
}

static inline void end(struct watch *watch)
{
	ntd_loop_call(loop, let_go_now, watch);
	sem_destroy(&watch->changed);
}

/* What the process writes to its standard output. */
static inline char *output_of(struct watch *watch, const char *script)
{
	struct ntd_buf output = {0};
	int pair[2];
	ssize_t got;

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	watch->fds[1] = pair[1];
	spawn(watch, script);
	close(pair[1]);
	while ((got = read(pair[0], ntd_buf_reserve(&output, 4096), 4096)) > 0)
		ntd_buf_added(&output, (size_t)got);
	close(pair[0]);
	await_states(watch, "rEG");
	end(watch);
	return ntd_buf_take_string(&output);
}

