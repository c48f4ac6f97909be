/* Processes below a real keeper, which is forked first thing in main(). */
#include "marked.h"

#include "base/buf.h"
#include "loop/process.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

#define PATIENCE (10 * NTD_SECOND)

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
	char states[16]; /* a letter each */
	int status, start_errno;
	pid_t pid;
};

static void on_change(struct ntd_process *process, void *owner)
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

static void spawn_now(void *arg)
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

static void kill_now(void *arg)
{
	ntd_process_kill_tree(((struct watch *)arg)->process);
}

static void terminate_now(void *arg)
{
	ntd_process_signal(((struct watch *)arg)->process, SIGTERM);
}

static void let_go_now(void *arg)
{
	struct watch *watch = arg;

	if (watch->process)
		ntd_process_let_go(ntd_steal(&watch->process));
}

static void spawn_and_kill_now(void *arg)
{
	spawn_now(arg);
	kill_now(arg);
}

static void spawn_and_let_go_now(void *arg)
{
	spawn_now(arg);
	let_go_now(arg);
}

/* Starts `sh -c SCRIPT` unless there are other arguments. */
static void spawn_by(struct watch *watch, const char *script, void (*how)(void *watch))
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

static void spawn(struct watch *watch, const char *script)
{
	spawn_by(watch, script, spawn_now);
}

/* Waits until the states are `states`; fails when they are others. */
static void await_states(struct watch *watch, const char *states)
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

static void end(struct watch *watch)
{
	ntd_loop_call(loop, let_go_now, watch);
	sem_destroy(&watch->changed);
}

/* What the process writes to its standard output. */
static char *output_of(struct watch *watch, const char *script)
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

static int set_up(void **state)
{
	static int number;

	(void)state;
	snprintf(mark, sizeof mark, "NTD_TEST_MARK=%d.%d", getpid(), number++);
	return 0;
}

/* Whatever the test did, nothing of it is left. */
static int tear_down(void **state)
{
	(void)state;
	return await_marked(mark, 0, 2 * NTD_SECOND) ? 0 : -1;
}

/* ---- starting and ending */

static void a_process_ends_with_its_status(void **state)
{
	static const struct {
		const char *script;
		const char *text;
	} cases[] = {
		{"exit 0", "exited with code 0"},
		{"exit 127", "exited with code 127"},
		{"kill -9 $$", "was killed by signal 9 (Killed)"},
		{"kill -SEGV $$", "was killed by signal 11 (Segmentation fault)"},
	};

	for (size_t i = 0; i < unit_count(cases); i++) {
		struct watch watch = {0};
		_cleanup_free_ char *text = NULL;

		spawn(&watch, cases[i].script);
		await_states(&watch, "rEG");
		text = ntd_status_text(watch.status);
		assert_string_equal(text, cases[i].text);
		assert_true(watch.pid > 1);
		end(&watch);
	}
}

static void what_cannot_be_started_fails_with_the_reason(void **state)
{
	static char *no_path[] = {(char *)"PATH=/nowhere", NULL};
	static char *const path[] = {(char *)"PATH=/usr/bin:/bin", NULL};
	static const struct {
		const char *program, *directory;
		char *const *env;
		int error;
	} cases[] = {
		{"/no/such/program", NULL, path, ENOENT},
		{"/etc/passwd", NULL, path, EACCES},
		{"/", NULL, path, EACCES},
		{"/dev/null/x", NULL, path, ENOTDIR},
		{"true", "/no/such/directory", path, ENOENT},
		{"true", "/etc/passwd", path, ENOTDIR},
		{"true", NULL, no_path, ENOENT}, /* its own PATH counts, not ours */
	};

	for (size_t i = 0; i < unit_count(cases); i++) {
		char *const argv[] = {(char *)cases[i].program, NULL};
		struct watch watch = {
			.argv = argv, .env = cases[i].env, .directory = cases[i].directory};

		spawn(&watch, NULL);
		await_states(&watch, "F");
		assert_int_equal(watch.start_errno, cases[i].error);
		end(&watch);
	}
}

static void arguments_environment_and_directory_arrive(void **state)
{
	char *const argv[] = {(char *)"/bin/sh",
			      (char *)"-c",
			      (char *)"printf '<%s>' \"$@\" \"$A\"; pwd; tr '\\0' '\\n' < "
				      "/proc/$$/environ | wc -l",
			      (char *)"name",
			      (char *)"",
			      (char *)"two words",
			      (char *)"a\nb\xff",
			      NULL};
	char *const env[] = {mark, (char *)"A=1=2 ", NULL};
	struct watch watch = {.argv = argv, .env = env, .directory = "/usr"};
	_cleanup_free_ char *output = output_of(&watch, NULL);

	assert_string_equal(output, "<><two words><a\nb\xff><1=2 >/usr\n2\n");
}

static void a_long_list_of_arguments_arrives(void **state)
{
	_cleanup_free_ char *word = ntd_calloc(1, 100001);
	char *argv[24] = {(char *)"sh", (char *)"-c", (char *)"echo $# ${#1}", (char *)"x"};
	struct watch watch = {.argv = argv};
	_cleanup_free_ char *output = NULL;

	memset(word, 'x', 100000);
	for (size_t i = 4; i < 14; i++)
		argv[i] = word;
	output = output_of(&watch, NULL);
	assert_string_equal(output, "10 100000\n");
}

static void descriptors_are_three_and_signals_as_new(void **state)
{
	struct watch watch = {0}, group = {0};
	unsigned long long blocked = 1, ignored = 1;
	_cleanup_free_ char *fds = NULL;
	_cleanup_free_ char *output =
		output_of(&watch, "grep -E 'Sig(Blk|Ign)' /proc/self/status; echo /proc/$$/fd/*");
	_cleanup_free_ char *pgid = output_of(&group, "cut -d ' ' -f 5 /proc/$$/stat");
	int len;

	assert_int_equal(sscanf(output, "SigBlk: %llx SigIgn: %llx %n", &blocked, &ignored, &len),
			 2);
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored & 0x7fffffff, 0); /* two above are the C library's own */
	fds = ntd_asprintf("/proc/%1$d/fd/0 /proc/%1$d/fd/1 /proc/%1$d/fd/2\n", watch.pid);
	assert_string_equal(output + len, fds);
	assert_int_equal(strtol(pgid, NULL, 10), group.pid); /* its own group */
}

static void standard_input_and_error_are_the_callers(void **state)
{
	struct watch watch = {0};
	int in[2], err[2];
	char bytes[16] = "";

	assert_int_equal(pipe(in) | pipe(err), 0);
	watch.fds[0] = in[0];
	watch.fds[2] = err[1];
	spawn(&watch, "read line; echo \"$line\" >&2");
	assert_int_equal(write(in[1], "hello\n", 6), 6);
	assert_int_equal(read(err[0], bytes, sizeof bytes - 1), 6);
	assert_string_equal(bytes, "hello\n");
	await_states(&watch, "rEG");
	end(&watch);
	for (int i = 0; i < 2; i++)
		close(in[i]), close(err[i]);
}

static void a_signal_reaches_the_process_itself(void **state)
{
	struct watch watch = {0};
	int out[2];
	char byte;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	watch.fds[1] = out[1];
	spawn(&watch, "trap 'exit 5' TERM; echo; while :; do sleep 0.05; done");
	assert_int_equal(read(out[0], &byte, 1), 1);
	ntd_loop_call(loop, terminate_now, &watch);
	await_states(&watch, "rEG");
	assert_int_equal(WEXITSTATUS(watch.status), 5);
	ntd_loop_call(loop, terminate_now, &watch); /* no-op */
	end(&watch);
	close(out[0]);
	close(out[1]);
}

/* ---- nothing is left */

static void a_tree_is_killed_with_those_that_left_it(void **state)
{
	struct watch watch = {0};

	spawn(&watch, FAMILY "wait");
	assert_true(await_marked(mark, FAMILY_SIZE, PATIENCE));
	ntd_loop_call(loop, kill_now, &watch);
	await_states(&watch, "rEG");
	assert_int_equal(count_marked(mark), 0);
	assert_int_equal(WTERMSIG(watch.status), SIGKILL);
	end(&watch);
}

static void what_a_process_leaves_behind_is_killed_before_it_is_gone(void **state)
{
	struct watch watch = {0};
	int in[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	watch.fds[0] = in[0];
	spawn(&watch, FAMILY "read line; exit 3");
	assert_true(await_marked(mark, FAMILY_SIZE, PATIENCE));
	assert_int_equal(write(in[1], "\n", 1), 1);
	await_states(&watch, "rEG");
	assert_int_equal(count_marked(mark), 0);
	assert_int_equal(WEXITSTATUS(watch.status), 3);
	end(&watch);
	close(in[0]);
	close(in[1]);
}

static void killing_or_letting_go_before_the_start_is_not_lost(void **state)
{
	for (int i = 0; i < 10; i++) {
		struct watch killed = {0}, let_go = {0};

		spawn_by(&killed, "sleep 1000", spawn_and_kill_now);
		spawn_by(&let_go, "sleep 1000", spawn_and_let_go_now);
		await_states(&killed, "rEG");
		assert_string_equal(let_go.states, "");
		end(&killed);
		end(&let_go);
	}
	assert_true(await_marked(mark, 0, 2 * NTD_SECOND));
}

static void a_callback_may_let_go(void **state)
{
	static const char *const states[] = {"r", "rE", "rEG"};

	for (size_t i = 0; i < unit_count(states); i++) {
		struct watch watch = {.let_go_at = NTD_PROCESS_RUNNING + (int)i};

		spawn(&watch, i ? "setsid sleep 1000 & exit 0" : "sleep 1000");
		await_states(&watch, states[i]);
		assert_null(watch.process);
		assert_true(await_marked(mark, 0, 2 * NTD_SECOND));
		assert_string_equal(watch.states, states[i]);
		end(&watch);
	}
}

/* By the kernel, when memory is short, say. */
static void a_guard_that_is_killed_takes_the_process_with_it(void **state)
{
	struct watch watch = {0};
	_cleanup_free_ char *path = NULL;
	char stat[256] = "", *parent;
	int fd;

	spawn(&watch, "exec sleep 1000");
	await_states(&watch, "r");
	path = ntd_asprintf("/proc/%d/stat", watch.pid);
	fd = open(path, O_RDONLY);
	assert_true(read(fd, stat, sizeof stat - 1) > 0);
	close(fd);
	parent = strrchr(stat, ')') + 4;
	assert_int_equal(kill((pid_t)strtol(parent, NULL, 10), SIGKILL), 0);
	await_states(&watch, "rEG");
	assert_int_equal(WTERMSIG(watch.status), SIGKILL);
	end(&watch);
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
		struct watch watch = {0};

		spawn(&watch, i % 2 ? "sleep 1000" : "setsid sleep 1000 & exit 0");
		if (i % 2)
			ntd_loop_call(loop, kill_now, &watch);
		await_states(&watch, "rEG");
		end(&watch);
	}
	assert_int_equal(count_entries("/proc/self/fd"), ours);
	assert_int_equal(count_entries(fds), theirs);
	fd = open(path, O_RDONLY); /* zombies would be in it */
	while (pread(fd, &byte, 1, 0) == 1 && ntd_now() < deadline)
		;
	assert_int_equal(pread(fd, &byte, 1, 0), 0);
	close(fd);
}

static int set_up_loop(void **state)
{
	(void)state;
	loop = ntd_loop_new(NULL);
	children = ntd_children_new(loop, &keeper, NULL);
	return loop && children ? 0 : -1;
}

static int tear_down_loop(void **state)
{
	(void)state;
	ntd_children_free(children);
	ntd_loop_free(loop);
	return 0;
}

int main(void)
{
#define process_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		process_test(a_process_ends_with_its_status),
		process_test(what_cannot_be_started_fails_with_the_reason),
		process_test(arguments_environment_and_directory_arrive),
		process_test(a_long_list_of_arguments_arrives),
		process_test(descriptors_are_three_and_signals_as_new),
		process_test(standard_input_and_error_are_the_callers),
		process_test(a_signal_reaches_the_process_itself),
		process_test(a_tree_is_killed_with_those_that_left_it),
		process_test(what_a_process_leaves_behind_is_killed_before_it_is_gone),
		process_test(killing_or_letting_go_before_the_start_is_not_lost),
		process_test(a_callback_may_let_go),
		process_test(a_guard_that_is_killed_takes_the_process_with_it),
		process_test(fifty_cycles_leave_no_descriptor_and_no_process),
	};
	int failed;

	if (dup(STDERR_FILENO) < 0 || ntd_keeper_start(&keeper, NULL) < 0)
		return 1; /* the copy is one that must not be inherited */
	failed = cmocka_run_group_tests(tests, set_up_loop, tear_down_loop);
	ntd_keeper_stop(&keeper);
	return failed;
}
