/* Tests of the table of a machine's states and events, against expectations for each cell and rules
 * that hold for every state.
 */
#include "unit.h"

#include "machine/state.h"

#include <assert.h>

static const char letters[] = {
	[NTD_MACHINE_DOWN] = 'd',      [NTD_MACHINE_STARTING] = 's',  [NTD_MACHINE_UP] = 'u',
	[NTD_MACHINE_CONNECTED] = 'c', [NTD_MACHINE_STOPPING] = 'p',  [NTD_MACHINE_DEAD] = 'x',
	[NTD_MACHINE_SAVING] = 'v',    [NTD_MACHINE_RESTORING] = 'r',
};

static const char *const actions[] = {
	[NTD_ACTION_NOTHING] = "",
	[NTD_ACTION_LAUNCH] = "launch",
	[NTD_ACTION_FINISH_START] = "started",
	[NTD_ACTION_CONNECTED] = "connected",
	[NTD_ACTION_DEATH] = "death",
	[NTD_ACTION_END] = "end",
	[NTD_ACTION_REFUSE] = "refuse",
};

static const char *const event_names[] = {"start",      "need", "ready",   "announced",
					  "disconnect", "save", "restore", "resume",
					  "reconnect",  "stop", "exit",    "forget"};
static_assert(unit_count(event_names) == NTD_MACHINE_EVENT_COUNT, "every event has a name");

/* One word for each cell: the letter of the next state, and the action. The columns are in the
 * order of event_names. */
static const char *const expected[NTD_MACHINE_STATE_COUNT][NTD_MACHINE_EVENT_COUNT] = {
	/* There is no process: the machine can be started, there is nothing to stop, and nothing
	 * connects. */
	[NTD_MACHINE_DOWN] = {"s launch", "s launch", "d refuse", "d refuse", "d", "d refuse",
			      "r launch", "d", "d", "d", "d", "d"},
	/* Further calls join the start. A start that fails leaves the machine down, to be started
	 * again. */
	[NTD_MACHINE_STARTING] = {"s", "s", "u started", "s", "s", "s refuse", "s refuse", "s", "s",
				  "p", "d death", "s"},
	[NTD_MACHINE_UP] = {"u", "u", "u refuse", "c connected", "u", "v", "r", "u", "u", "p",
			    "x death", "u"},
	/* After a reboot the shell announces itself again. */
	[NTD_MACHINE_CONNECTED] = {"c", "c", "c refuse", "c connected", "u", "v", "r", "c", "c",
				   "p", "x death", "c"},
	/* Calls that use the guest wait; what becomes of the machine, the thread decides that saves
	 * or restores it, and not a channel that becomes ready meanwhile. */
	[NTD_MACHINE_SAVING] = {"v", "v", "v refuse", "v", "v", "v refuse", "v refuse", "u",
				"c connected", "p", "x death", "v"},
	[NTD_MACHINE_RESTORING] = {"r", "r", "r started", "r", "r", "r refuse", "r refuse", "u",
				   "c connected", "p", "x death", "r"},
	/* Late events may still come; the machine cannot be used. */
	[NTD_MACHINE_STOPPING] = {"p refuse", "p refuse", "p", "p", "p", "p refuse", "p refuse",
				  "p", "p", "p", "d end", "p"},
	/* Uses fail with the cause of death until the script notes the end or starts the machine
	 * again. */
	[NTD_MACHINE_DEAD] = {"s launch", "x refuse", "x refuse", "x refuse", "x", "x refuse",
			      "r launch", "x", "x", "x", "x", "d"},
};

static void every_cell_is_as_expected(void **state)
{
	for (int from = 0; from < NTD_MACHINE_STATE_COUNT; from++)
		for (int event = 0; event < NTD_MACHINE_EVENT_COUNT; event++) {
			struct ntd_machine_step step = ntd_machine_step(
				(enum ntd_machine_state)from, (enum ntd_machine_event)event);
			char cell[32];

			snprintf(cell, sizeof cell, "%c%s%s", letters[step.next],
				 *actions[step.action] ? " " : "", actions[step.action]);
			if (strcmp(cell, expected[from][event]) != 0)
				print_error("%s in %s:\n", event_names[event],
					    ntd_machine_state_name((enum ntd_machine_state)from));
			assert_string_equal(cell, expected[from][event]);
		}
}

static bool has_process(enum ntd_machine_state state)
{
	return state != NTD_MACHINE_DOWN && state != NTD_MACHINE_DEAD;
}

static void processes_come_and_go_with_the_right_actions(void **state)
{
	for (int from = 0; from < NTD_MACHINE_STATE_COUNT; from++)
		for (int event = 0; event < NTD_MACHINE_EVENT_COUNT; event++) {
			enum ntd_machine_state before = (enum ntd_machine_state)from;
			struct ntd_machine_step step =
				ntd_machine_step(before, (enum ntd_machine_event)event);
			bool comes = !has_process(before) && has_process(step.next);
			bool goes = has_process(before) && !has_process(step.next);

			assert_int_equal(comes, step.action == NTD_ACTION_LAUNCH);
			assert_int_equal(goes, event == NTD_MACHINE_EXIT && has_process(before));
			assert_int_equal(goes, step.action == NTD_ACTION_DEATH ||
						       step.action == NTD_ACTION_END);
			if (step.action == NTD_ACTION_REFUSE)
				assert_int_equal(step.next, before);
		}
}

/* After any events in any order, a machine that is told to stop and whose process ends is down and
 * can be started. */
static void every_state_has_a_way_down(void **state)
{
	static const enum ntd_machine_event way[] = {NTD_MACHINE_STOP, NTD_MACHINE_EXIT,
						     NTD_MACHINE_FORGET};

	for (int from = 0; from < NTD_MACHINE_STATE_COUNT; from++) {
		struct ntd_machine_step step = {.next = (enum ntd_machine_state)from};

		for (size_t i = 0; i < unit_count(way); i++)
			step = ntd_machine_step(step.next, way[i]);
		assert_int_equal(step.next, NTD_MACHINE_DOWN);
		step = ntd_machine_step(step.next, NTD_MACHINE_START);
		assert_int_equal(step.action, NTD_ACTION_LAUNCH);
	}
}

static void states_have_names_and_refusals(void **state)
{
	for (int i = 0; i < NTD_MACHINE_STATE_COUNT; i++) {
		const char *name = ntd_machine_state_name((enum ntd_machine_state)i);
		const char *refusal = ntd_machine_refusal((enum ntd_machine_state)i);

		assert_true(name && *name && refusal);
		assert_true(!strncmp(refusal, "is ", 3)); /* "machine 'x' is ..." */
		assert_int_not_equal(refusal[strlen(refusal) - 1], '.');
		for (int other = 0; other < i; other++)
			assert_string_not_equal(
				name, ntd_machine_state_name((enum ntd_machine_state)other));
	}
	assert_non_null(strstr(ntd_machine_refusal(NTD_MACHINE_STOPPING), "being shut down"));
	assert_non_null(strstr(ntd_machine_refusal(NTD_MACHINE_DOWN), "not running"));
	assert_non_null(strstr(ntd_machine_refusal(NTD_MACHINE_DEAD), "not running"));
}

static void booted_is_from_the_start_to_the_end_of_qemu(void **state)
{
	static const bool booted[NTD_MACHINE_STATE_COUNT] = {
		[NTD_MACHINE_UP] = true,        [NTD_MACHINE_CONNECTED] = true,
		[NTD_MACHINE_STOPPING] = true,  [NTD_MACHINE_SAVING] = true,
		[NTD_MACHINE_RESTORING] = true,
	};

	for (int i = 0; i < NTD_MACHINE_STATE_COUNT; i++)
		assert_int_equal(ntd_machine_state_booted((enum ntd_machine_state)i), booted[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_is_as_expected),
		cmocka_unit_test(processes_come_and_go_with_the_right_actions),
		cmocka_unit_test(every_state_has_a_way_down),
		cmocka_unit_test(states_have_names_and_refusals),
		cmocka_unit_test(booted_is_from_the_start_to_the_end_of_qemu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
