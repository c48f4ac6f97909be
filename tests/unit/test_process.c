/* Tests of processes: their start, and their end by themselves. */
#include "process_fixture.h"

/* Returns the standard output of a process, up to its end. */
static char *output_of(struct watch *watch, const char *script)
{
	struct ntd_buf output = {0};
	int pair[2];
	ssize_t got;

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	watch->fds[1] = pair[1];
	spawn_by(watch, script, spawn_now);
	close(pair[1]);
	while ((got = read(pair[0], ntd_buf_reserve(&output, 4096), 4096)) > 0)
		ntd_buf_added(&output, (size_t)got);
	close(pair[0]);
	await_states(watch, "rEG");
	return ntd_buf_take_string(&output);
}

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
		struct watch *watch = spawn(cases[i].script);
		_cleanup_free_ char *text = NULL;

		await_states(watch, "rEG");
		text = ntd_status_text(watch->status);
		assert_string_equal(text, cases[i].text);
		assert_true(watch->pid > 1);
		end(watch);
	}
}

static void what_cannot_be_started_fails_with_the_reason(void **state)
{
	static char *const nowhere[] = {(char *)"PATH=/nowhere", NULL};
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
		{"true", NULL, nowhere,
		 ENOENT}, /* the PATH of the process counts, not the driver's */
	};

	for (size_t i = 0; i < unit_count(cases); i++) {
		char *const argv[] = {(char *)cases[i].program, NULL};
		struct watch *watch = watch_new();

		watch->argv = argv;
		watch->env = cases[i].env;
		watch->directory = cases[i].directory;
		spawn_by(watch, NULL, spawn_now);
		await_states(watch, "F");
		assert_int_equal(watch->start_errno, cases[i].error);
		end(watch);
	}
}

static void arguments_environment_and_directory_arrive(void **state)
{
	char *const argv[] = {(char *)"/bin/sh",
			      (char *)"-c",
			      (char *)"printf '<%s>' \"$@\" \"$A\"; pwd;"
				      "tr '\\0' '\\n' < /proc/$$/environ | wc -l",
			      (char *)"name",
			      (char *)"",
			      (char *)"two words",
			      (char *)"a\nb\xff",
			      NULL};
	char *const env[] = {mark, (char *)"A=1=2 ", NULL};
	struct watch *watch = watch_new();
	_cleanup_free_ char *output = NULL;

	watch->argv = argv;
	watch->env = env;
	watch->directory = "/usr";
	output = output_of(watch, NULL);
	assert_string_equal(output, "<><two words><a\nb\xff><1=2 >/usr\n2\n");
}

static void a_long_list_of_arguments_arrives(void **state)
{
	_cleanup_free_ char *word = ntd_calloc(1, 100001);
	char *argv[16] = {(char *)"sh", (char *)"-c", (char *)"echo $# ${#1}", (char *)"x"};
	struct watch *watch = watch_new();
	_cleanup_free_ char *output = NULL;

	memset(word, 'x', 100000);
	for (size_t i = 4; i < 14; i++)
		argv[i] = word;
	watch->argv = argv;
	output = output_of(watch, NULL);
	assert_string_equal(output, "10 100000\n");
}

static void descriptors_are_three_and_signals_as_new(void **state)
{
	struct watch *watch = watch_new();
	unsigned long long blocked = 1, ignored = 1;
	_cleanup_free_ char *output = output_of(
		watch, "grep -E 'Sig(Blk|Ign)' /proc/self/status;"
		       "for i in $(seq 0 300); do [ ! -e /proc/$$/fd/$i ] || echo $i; done");
	int len;

	assert_int_equal(sscanf(output, "SigBlk: %llx SigIgn: %llx %n", &blocked, &ignored, &len),
			 2);
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored & 0x7fffffff,
			 0); /* the two highest signals belong to the C library */
	assert_string_equal(output + len, "0\n1\n2\n");
}

static void a_process_leads_a_group_of_its_own(void **state)
{
	struct watch *watch = watch_new();
	_cleanup_free_ char *group = output_of(watch, "cut -d ' ' -f 5 /proc/$$/stat");

	assert_int_equal(strtol(group, NULL, 10), watch->pid);
}

static void standard_input_and_error_are_the_callers(void **state)
{
	struct watch *watch = watch_new();
	int in[2], err[2];
	char bytes[16] = "";

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	watch->fds[0] = in[0];
	watch->fds[2] = err[1];
	spawn_by(watch, "read line; echo \"$line\" >&2", spawn_now);
	assert_int_equal(write(in[1], "hello\n", 6), 6);
	assert_int_equal(read(err[0], bytes, sizeof bytes - 1), 6);
	assert_string_equal(bytes, "hello\n");
	await_states(watch, "rEG");
	for (int i = 0; i < 2; i++) {
		close(in[i]);
		close(err[i]);
	}
}

static void terminate_now(void *arg)
{
	ntd_process_signal(((struct watch *)arg)->process, SIGTERM);
}

static void a_signal_reaches_the_process_itself(void **state)
{
	struct watch *watch = watch_new();
	int out[2];
	char byte;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	watch->fds[1] = out[1];
	spawn_by(watch, "trap 'exit 5' TERM; echo; while :; do sleep 0.05; done", spawn_now);
	await_states(watch, "r");
	assert_int_equal(read(out[0], &byte, 1), 1);
	ntd_loop_call(loop, terminate_now, watch);
	await_states(watch, "rEG");
	assert_int_equal(WEXITSTATUS(watch->status), 5);
	ntd_loop_call(loop, terminate_now, watch); /* does nothing */
	close(out[0]);
	close(out[1]);
}

static void what_is_to_run_on_is_continued_when_it_is_stopped(void **state)
{
	struct watch *watch = watch_new();

	watch->runs_on = true;
	spawn_by(watch, "kill -STOP $$; kill -STOP $$; exit 4", spawn_now);
	await_states(watch, "rEG");
	assert_int_equal(WEXITSTATUS(watch->status), 4);
}

static void several_run_at_the_same_time(void **state)
{
	struct watch *running[unit_count(watches)];
	int64_t began = ntd_now();

	for (size_t i = 0; i < unit_count(running); i++)
		running[i] = spawn("sleep 0.5");
	for (size_t i = 0; i < unit_count(running); i++)
		await_states(running[i], "rEG");
	assert_true(ntd_now() - began < 1500 * NTD_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		process_test(a_process_ends_with_its_status),
		process_test(what_cannot_be_started_fails_with_the_reason),
		process_test(arguments_environment_and_directory_arrive),
		process_test(a_long_list_of_arguments_arrives),
		process_test(descriptors_are_three_and_signals_as_new),
		process_test(a_process_leads_a_group_of_its_own),
		process_test(standard_input_and_error_are_the_callers),
		process_test(a_signal_reaches_the_process_itself),
		process_test(what_is_to_run_on_is_continued_when_it_is_stopped),
		process_test(several_run_at_the_same_time),
	};

	if (dup(STDERR_FILENO) < 0) /* a descriptor that must not be inherited */
		return 1;
	return run_process_tests(tests);
}
