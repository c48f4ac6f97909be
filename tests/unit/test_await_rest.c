/* Tests of the agent's wait for rest: what the kernel says in /proc/stat, which is a file of the
 * test's here, ends it or does not.
 */
#include "await_fixture.h"

/* Puts a text in place of the file that the agent looks into. */
static void set_stat(const struct fixture *fixture, const char *text)
{
	_cleanup_free_ char *path = path_of(fixture, "stat"), *next = path_of(fixture, "next");
	_cleanup_fd_ int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(rename(next, path), 0);
}

static void set_tasks(const struct fixture *fixture, int running, int blocked)
{
	_cleanup_free_ char *text = ntd_asprintf("cpu  1 2 3\nintr 10 0 9\nprocesses 99\n"
						 "procs_running %d\nprocs_blocked %d\nsoftirq 7\n",
						 running, blocked);

	set_stat(fixture, text);
}

static struct ntd_condition rest(const char *path, double limit)
{
	return (struct ntd_condition){
		.kind = NTD_CONDITION_REST, .subject = path, .first = true, .limit = limit};
}

static void a_guest_that_is_at_rest_is_seen_at_once(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "stat");

	set_tasks(fixture, 1, 0); /* the agent itself */
	assert_sees(fixture, rest(path, 60), NTD_MEETS);
}

static void a_busy_guest_is_waited_for(void **state)
{
	static const int tasks[][2] = {{2, 0}, {1, 1}, {17, 3}};
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "stat");

	for (size_t i = 0; i < unit_count(tasks); i++) {
		struct ntd_condition condition = rest(path, 60);

		set_tasks(fixture, tasks[i][0], tasks[i][1]);
		ask(fixture, &condition);
		settle(fixture);
		assert_true(is_silent(fixture));
		set_tasks(fixture, 1, 0);
		assert_answer(fixture, NTD_MEETS_NOW);
	}
}

static void a_guest_that_is_never_at_rest_ends_with_the_limit(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "stat");

	set_tasks(fixture, 2, 0);
	assert_sees(fixture, rest(path, 0.05), NTD_FAILS);
}

static void what_does_not_tell_is_not_seen(void **state)
{
	static const char *const texts[] = {
		"",
		"cpu 1 2 3\n",
		"cpu 1 2 3\nprocs_running 1\n",
		"cpu 1 2 3\nprocs_blocked 0\n",
		"cpu 1 2 3\nprocs_running 1\nprocs_blocked",
		"cpu 1 2 3\nprocs_running one\nprocs_blocked 0\n",
		"cpu 1 2 3\nprocs_running 1\nprocs_blocked 0",
	};
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "stat"), *missing = path_of(fixture, "no");

	for (size_t i = 0; i < unit_count(texts); i++) {
		set_stat(fixture, texts[i]);
		assert_sees(fixture, rest(path, 60), NTD_UNSEEN);
	}
	assert_sees(fixture, rest(missing, 60), NTD_UNSEEN);
	assert_sees(fixture, rest(fixture->directory, 60), NTD_UNSEEN);
}

/* Without a path it is the kernel that the agent runs on, which may be busy. */
static void the_kernel_is_asked(void **state)
{
	struct fixture *fixture = begin(state);
	struct ntd_condition condition = rest(NULL, 0.05);
	struct ntd_frame frame;

	ask(fixture, &condition);
	frame = hear_kind(&fixture->agent, NTD_FRAME_DONE, fixture->stream);
	assert_int_not_equal(frame.bytes[0], NTD_UNSEEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		await_test(a_guest_that_is_at_rest_is_seen_at_once),
		await_test(a_busy_guest_is_waited_for),
		await_test(a_guest_that_is_never_at_rest_ends_with_the_limit),
		await_test(what_does_not_tell_is_not_seen),
		await_test(the_kernel_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
