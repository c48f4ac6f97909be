/* Waits in the agent: what the service AWAIT (agent/await.c) does for all kinds of conditions, and
 * what each kind does, one file each. All on the agent's only thread.
 */
#pragma once

#include "agent/agent.h"
#include "agent/condition.h"

struct ntd_await;

/* One kind of condition. A kind answers by ntd_await_answer(), which frees the wait, so its
 * functions and their callers do not touch a wait that may have been answered. */
struct ntd_await_kind {
	size_t size; /* of the kind's structure, whose first member is struct ntd_await */
	/* Begins the wait, in memory of zeros behind the first member. */
	void (*begin)(struct ntd_await *await);
	/* The time of ntd_await_again() has come. */
	void (*again)(struct ntd_await *await);
	/* The limit is over. NULL: the answer is NTD_FAILS. */
	void (*over)(struct ntd_await *await);
	/* Gives up what the kind holds. NULL: nothing. */
	void (*free)(struct ntd_await *await);
};

struct ntd_await {
	struct ntd_agent_stream stream;
	struct ntd_condition condition;
	const struct ntd_await_kind *kind;
	int64_t began; /* a time of ntd_agent_now() */
	bool waited;   /* a look has found that the condition does not hold yet */
	struct ntd_agent_timer again, over;
};

/* Begin and end the times of a wait; for agent/await.c. */
void ntd_await_start(struct ntd_await *await);
void ntd_await_stop(struct ntd_await *await);

/* ---- for kinds (agent/await_time.c) */

/* Answers and frees the wait. `seen` may be NULL. NTD_MEETS becomes NTD_MEETS_NOW when the
 * condition did not hold at the wait's first look. */
void ntd_await_answer(struct ntd_await *await, enum ntd_sight sight, const struct ntd_buf *seen);
/* Has `again` called after so many ms. A new time replaces the one before. */
void ntd_await_again(struct ntd_await *await, int64_t after);
/* Has the limit be over after so many ms, whether that is sooner or later than it would be. */
void ntd_await_limit(struct ntd_await *await, int64_t after);
/* For how many ms the wait has lasted. */
int64_t ntd_await_lasted(const struct ntd_await *await);

extern const struct ntd_await_kind ntd_await_file, ntd_await_port, ntd_await_socket, ntd_await_unit,
	ntd_await_tty, ntd_await_rest;
