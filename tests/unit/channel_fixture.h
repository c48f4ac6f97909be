/* A fixture for tests of machines whose guests are reached by other channels than the root shell:
 * QEMU is the fake one, and the other channel the stand-in.
 */
#pragma once

#include "life_fixture.h"

#include "stand_in.h"

static struct stand_in stand_in;

/* A machine with the stand-in, whose guest shows no root shell; it may have one if `may`. */
static inline struct ntd_machine *with_stand_in(struct fixture *fixture, bool may)
{
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);

	order_faults(fixture, machine, "FAKE_BANNER=no");
	ntd_machine_set_root_shell(machine, may);
	stand_in_init(&stand_in, fixture->base);
	ntd_machine_add_channel(machine, &stand_in.channel);
	return machine;
}

static inline void be_ready(struct fixture *fixture)
{
	ntd_loop_call(fixture->loop, stand_in_ready, &stand_in);
}

static inline int end(void **state)
{
	int result = tear_down(state);

	ntd_error_free(atomic_exchange(&stand_in.refusal, NULL));
	return result;
}

#define channel_test(name) cmocka_unit_test_setup_teardown(name, set_up, end)
