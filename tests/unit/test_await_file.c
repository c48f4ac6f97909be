/* Tests of the agent's waits for files: which of the things that appear count, and how they are
 * noticed. Limits are a minute where an answer comes sooner unless something is broken.
 */
#include "await_fixture.h"

static struct ntd_condition file_at(const char *path, bool first)
{
	return (struct ntd_condition){
		.kind = NTD_CONDITION_FILE, .subject = path, .first = first, .limit = 60};
}

static int new_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void make_file(const char *path, const char *text)
{
	_cleanup_fd_ int fd = new_file(path);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Begins a wait for a path that is not there, and returns when the agent watches it. */
static void begin_wait(struct fixture *fixture, const char *path)
{
	struct ntd_condition condition = file_at(path, true);

	ask(fixture, &condition);
	settle(fixture);
}

static void what_is_there_at_first_counts(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "empty");
	_cleanup_fd_ int open_file = new_file(path);

	assert_sees(fixture, file_at(path, true), NTD_MEETS);
	assert_sees(fixture, file_at("/dev/null", true), NTD_MEETS);
	assert_sees(fixture, file_at("/", true), NTD_MEETS);
	assert_sees(fixture, file_at("/tmp//", true), NTD_MEETS);
}

static void other_things_than_files_count_at_any_look(void **state)
{
	struct fixture *fixture = begin(state);

	assert_sees(fixture, file_at("/dev/null", false), NTD_MEETS_NOW);
	assert_sees(fixture, file_at(fixture->directory, false), NTD_MEETS_NOW);
}

static void what_is_not_there_ends_with_the_limit(void **state)
{
	struct fixture *fixture = begin(state);
	struct ntd_condition condition = file_at("/no/such/file", true);

	condition.limit = 0.05;
	assert_sees(fixture, condition, NTD_FAILS);
	condition.subject = "/etc/passwd/below-a-file";
	assert_sees(fixture, condition, NTD_FAILS);
}

static void paths_that_are_none_are_not_seen(void **state)
{
	struct fixture *fixture = begin(state);

	assert_sees(fixture, file_at("relative", true), NTD_UNSEEN);
	assert_sees(fixture, file_at("", true), NTD_UNSEEN);
	assert_sees(fixture, file_at(NULL, true), NTD_UNSEEN);
}

/* A limit of a minute, and the file is closed: the answer can only come from that. */
static void a_file_counts_when_it_was_closed(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "closed");

	begin_wait(fixture, path);
	close(new_file(path));
	assert_answer(fixture, NTD_MEETS_NOW);
}

static void an_empty_file_that_is_open_is_unsettled(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "open");
	_cleanup_fd_ int fd = -1;

	begin_wait(fixture, path);
	fd = new_file(path);
	assert_answer(fixture, NTD_UNSETTLED);
	assert_sees(fixture, file_at(path, false), NTD_UNSETTLED);
}

static void a_file_that_is_not_empty_counts_when_it_stays_the_same(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "pid");
	_cleanup_fd_ int fd = -1;

	begin_wait(fixture, path);
	/* A file that is filled long after the agent has seen it is unsettled. */
	kill(fixture->agent.pid, SIGSTOP);
	fd = new_file(path);
	assert_int_equal(write(fd, "1", 1), 1);
	kill(fixture->agent.pid, SIGCONT);
	assert_answer(fixture, NTD_MEETS_NOW);
}

static void a_file_that_appears_at_the_limit_may_settle(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "late");
	struct ntd_condition condition = file_at(path, false);

	make_file(path, "1");
	condition.limit = 0;
	assert_sees(fixture, condition, NTD_MEETS_NOW);
}

/* The agent is told in one turn of its loop that the file was closed and is open again. */
static void a_file_that_is_opened_again_does_not_count_yet(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "touched");
	_cleanup_fd_ int fd = -1;

	begin_wait(fixture, path);
	kill(fixture->agent.pid, SIGSTOP);
	close(new_file(path));
	fd = new_file(path);
	kill(fixture->agent.pid, SIGCONT);
	assert_answer(fixture, NTD_UNSETTLED);
}

static void a_renamed_file_counts_at_once(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *before = path_of(fixture, "before"), *path = path_of(fixture, "path");
	_cleanup_fd_ int fd = new_file(before); /* empty and open: nothing else can count */

	begin_wait(fixture, path);
	assert_int_equal(rename(before, path), 0);
	assert_answer(fixture, NTD_MEETS_NOW);
}

static void directories_above_may_appear(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *above = path_of(fixture, "a"), *below = path_of(fixture, "a/b"),
			    *path = path_of(fixture, "a/b/c");

	begin_wait(fixture, path);
	assert_int_equal(mkdir(above, 0700), 0);
	settle(fixture);
	assert_int_equal(mkdir(below, 0700), 0);
	settle(fixture);
	make_file(path, "text");
	assert_answer(fixture, NTD_MEETS_NOW);
}

static void directories_above_may_be_renamed(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *a = path_of(fixture, "a"), *b = path_of(fixture, "b"),
			    *in_a = path_of(fixture, "a/x"), *in_b = path_of(fixture, "b/x");

	assert_int_equal(mkdir(a, 0700), 0);
	begin_wait(fixture, in_a);
	assert_int_equal(rename(a, b), 0);
	make_file(in_b, "text");
	settle(fixture);
	assert_true(is_silent(fixture));
	assert_int_equal(rename(b, a), 0);
	assert_answer(fixture, NTD_MEETS_NOW);
}

static void directories_above_may_be_removed(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *a = path_of(fixture, "a"), *path = path_of(fixture, "a/x");

	assert_int_equal(mkdir(a, 0700), 0);
	begin_wait(fixture, path);
	assert_int_equal(rmdir(a), 0);
	settle(fixture);
	assert_int_equal(mkdir(a, 0700), 0);
	make_file(path, "text");
	assert_answer(fixture, NTD_MEETS_NOW);
}

static void symbolic_links_are_followed(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *link = path_of(fixture, "link"), *there = path_of(fixture, "there"),
			    *path = path_of(fixture, "link/x"), *file = path_of(fixture, "there/x");

	assert_int_equal(symlink("there", link), 0);
	begin_wait(fixture, path);
	assert_int_equal(mkdir(there, 0700), 0);
	make_file(file, "text");
	assert_answer(fixture, NTD_MEETS_NOW);
	/* a link to nothing is nothing */
	assert_int_equal(unlink(file), 0);
	assert_int_equal(symlink("missing", file), 0);
	assert_sees(
		fixture,
		(struct ntd_condition){.kind = NTD_CONDITION_FILE, .subject = path, .limit = 0.05},
		NTD_FAILS);
}

/* Without descriptors there is no inotify, and looks do. */
static void files_are_found_without_inotify(void **state)
{
	struct fixture *fixture = begin(state);
	_cleanup_free_ char *path = path_of(fixture, "path");

	allow_descriptors(fixture, false);
	begin_wait(fixture, path);
	make_file(path, "text");
	assert_answer(fixture, NTD_MEETS_NOW);
	allow_descriptors(fixture, true);
}

/* One waits for each of many files in one directory, and one file after another appears. */
static void a_thousand_waits_at_once(void **state)
{
	struct fixture *fixture = begin(state);
	enum { COUNT = 999 };

	for (unsigned i = 0; i < COUNT; i++) {
		_cleanup_free_ char *path = ntd_asprintf("%s/%u", fixture->directory, i);
		struct ntd_condition condition = file_at(path, true);

		ask(fixture, &condition);
	}
	settle(fixture);
	for (unsigned i = 0; i < COUNT; i++) {
		_cleanup_free_ char *path = ntd_asprintf("%s/%u", fixture->directory, i);

		make_file(path, "text");
	}
	for (unsigned i = 0; i < COUNT; i++) {
		struct ntd_frame frame = hear(&fixture->agent);

		assert_int_equal(frame.kind, NTD_FRAME_DONE);
		assert_true(frame.bytes[0] >= NTD_UNSETTLED); /* the host may be busy */
	}
}

static void a_wait_that_is_cancelled_ends(void **state)
{
	struct fixture *fixture = begin(state);
	struct ntd_condition condition = file_at("/no/such/file", true);
	uint32_t stream = ask(fixture, &condition);

	tell(&fixture->agent, NTD_FRAME_CANCEL, stream, NULL);
	assert_int_equal(hear(&fixture->agent).kind, NTD_FRAME_FAILED);
	assert_sees(fixture, file_at("/", true), NTD_MEETS);
}

static void payloads_that_are_none_are_refused(void **state)
{
	static const char *const payloads[] = {"", "\xff", "garbage, and more of it"};
	struct fixture *fixture = begin(state);

	for (size_t i = 0; i < unit_count(payloads); i++) {
		tell_bytes(&fixture->agent, NTD_FRAME_AWAIT, ++fixture->stream, payloads[i],
			   strlen(payloads[i]));
		assert_int_equal(hear(&fixture->agent).kind, NTD_FRAME_FAILED);
	}
}

static void conditions_survive_their_way(void **state)
{
	const struct ntd_condition conditions[] = {
		{.kind = NTD_CONDITION_FILE, .subject = "/a", .first = true, .limit = 1.5},
		{.kind = NTD_CONDITION_PORT, .subject = "::1", .port = 70000, .absent = true},
		{.kind = NTD_CONDITION_UNIT, .subject = "", .user = "alice", .limit = 3600},
		{.kind = NTD_CONDITION_TTY, .port = 1},
	};

	for (size_t i = 0; i < unit_count(conditions); i++) {
		const struct ntd_condition *sent = &conditions[i];
		_cleanup_(ntd_condition_free) struct ntd_condition got = {0};
		_cleanup_buf_ struct ntd_buf payload = {0};

		ntd_condition_pack(&payload, sent);
		assert_true(ntd_condition_unpack(ntd_buf_bytes(&payload), payload.len, &got));
		assert_int_equal(got.kind, sent->kind);
		assert_int_equal(got.port, sent->port);
		assert_int_equal(got.absent, sent->absent);
		assert_int_equal(got.first, sent->first);
		assert_true(got.limit == sent->limit);
		assert_string_equal(got.subject ? got.subject : "none",
				    sent->subject ? sent->subject : "none");
		assert_string_equal(got.user ? got.user : "none", sent->user ? sent->user : "none");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		await_test(what_is_there_at_first_counts),
		await_test(other_things_than_files_count_at_any_look),
		await_test(what_is_not_there_ends_with_the_limit),
		await_test(paths_that_are_none_are_not_seen),
		await_test(a_file_counts_when_it_was_closed),
		await_test(an_empty_file_that_is_open_is_unsettled),
		await_test(a_file_that_is_not_empty_counts_when_it_stays_the_same),
		await_test(a_file_that_appears_at_the_limit_may_settle),
		await_test(a_file_that_is_opened_again_does_not_count_yet),
		await_test(a_renamed_file_counts_at_once),
		await_test(directories_above_may_appear),
		await_test(directories_above_may_be_renamed),
		await_test(directories_above_may_be_removed),
		await_test(symbolic_links_are_followed),
		await_test(files_are_found_without_inotify),
		await_test(a_thousand_waits_at_once),
		await_test(a_wait_that_is_cancelled_ends),
		await_test(payloads_that_are_none_are_refused),
		cmocka_unit_test(conditions_survive_their_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
