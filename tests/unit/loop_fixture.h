/* A fixture with a loop, and a semaphore that callbacks on the loop thread post to end a test. */
#pragma once

#include "unit.h"

#include "loop/loop.h"

#include <semaphore.h>

struct fixture {
	struct ntd_loop *loop;
	sem_t done; /* posted by the callbacks that end a test */
};

static inline int set_up(void **state)
{
	static struct fixture fixture;
	struct ntd_error *err = NULL;

	fixture.loop = ntd_loop_new(&err);
	sem_init(&fixture.done, 0, 0);
	*state = &fixture;
	return err ? -1 : 0;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_loop_free(fixture->loop);
	sem_destroy(&fixture->done);
	return 0;
}
