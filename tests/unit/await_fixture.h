/* Waits of the agent, for tests: the agent runs in a process of its own, on this host. */
#pragma once

#include "agent_fixture.h"

#include "agent/condition.h"
#include "base/text.h"
#include "base/tree.h"

#include <sys/resource.h>
#include <sys/stat.h>

struct fixture {
	char directory[64];
	struct agent agent;
	uint32_t stream; /* the last one */
};

static inline int set_up(void **state)
{
	struct fixture *fixture = ntd_calloc(1, sizeof *fixture);

	snprintf(fixture->directory, sizeof fixture->directory, "/tmp/ntd-await-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	*state = fixture;
	return 0;
}

/* Starts the agent, when the test has made what it must find or inherit. */
static inline struct fixture *begin(void **state)
{
	struct fixture *fixture = *state;

	fixture->agent = start_agent();
	return fixture;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (fixture->agent.pid)
		stop_agent(&fixture->agent);
	ntd_tree_remove(fixture->directory, NULL);
	free(fixture);
	return 0;
}

/* Lets the agent open nothing more, or again what it likes. */
static inline void allow_descriptors(const struct fixture *fixture, bool allowed)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (!allowed)
		limit.rlim_cur = STDERR_FILENO + 1;
	assert_int_equal(prlimit(fixture->agent.pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

/* A path below the test's directory, a new string. */
static inline char *path_of(const struct fixture *fixture, const char *name)
{
	return ntd_asprintf("%s/%s", fixture->directory, name);
}

/* Begins a wait, and returns its number. */
static inline uint32_t ask(struct fixture *fixture, const struct ntd_condition *condition)
{
	_cleanup_buf_ struct ntd_buf payload = {0};

	ntd_condition_pack(&payload, condition);
	tell(&fixture->agent, NTD_FRAME_AWAIT, ++fixture->stream, &payload);
	return fixture->stream;
}

/* Takes the answer to the wait that began last, which must be this sight. Returns what was seen, a
 * new string. */
static inline char *answer(struct fixture *fixture, enum ntd_sight sight)
{
	struct ntd_frame frame = hear_kind(&fixture->agent, NTD_FRAME_DONE, fixture->stream);
	_cleanup_finding_ struct ntd_finding finding = {0};

	assert_true(ntd_finding_unpack(frame.bytes, frame.len, &finding));
	assert_int_equal(finding.sight, sight);
	return ntd_buf_take_string(&finding.seen);
}

static inline void assert_answer(struct fixture *fixture, enum ntd_sight sight)
{
	free(answer(fixture, sight));
}

static inline void assert_sees(struct fixture *fixture, struct ntd_condition condition,
			       enum ntd_sight sight)
{
	ask(fixture, &condition);
	assert_answer(fixture, sight);
}

/* Whether the agent has said nothing yet. */
static inline bool is_silent(const struct fixture *fixture)
{
	struct pollfd polled = {.fd = fixture->agent.fd, .events = POLLIN};

	return poll(&polled, 1, 0) == 0;
}

/* Makes the agent take notice of all that it was told before: what is asked here is answered. */
static inline void settle(struct fixture *fixture)
{
	struct ntd_condition condition = {
		.kind = NTD_CONDITION_FILE, .subject = "/", .first = true, .limit = 60};
	_cleanup_buf_ struct ntd_buf payload = {0};
	uint32_t stream = fixture->stream + 1000000;

	ntd_condition_pack(&payload, &condition);
	tell(&fixture->agent, NTD_FRAME_AWAIT, stream, &payload);
	hear_kind(&fixture->agent, NTD_FRAME_DONE, stream);
}

#define await_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
