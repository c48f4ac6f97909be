/* Tests of the sink that keeps the last part of the log and of consoles in memory, for pytest's
 * reports.
 */
#include "sink_fixture.h"

#include "base/buf.h"
#include "report/recall.h"

/* ---- logged text */

static struct ntd_sink *remember(struct fixture *fixture, size_t limit)
{
	struct ntd_sink *sink = ntd_recall_sink(limit);

	ntd_report_add(fixture->report, sink);
	return sink;
}

static void flush(struct fixture *fixture)
{
	ntd_report_flush(fixture->report, ntd_after(10 * NTD_SECOND));
}

static void expect_text(struct ntd_sink *sink, size_t from, const char *console,
			const char *expected)
{
	_cleanup_buf_ struct ntd_buf text = {0};

	ntd_recall(sink, from, console, &text);
	ntd_buf_append(&text, "", 1);
	assert_string_equal(ntd_buf_bytes(&text), expected);
}

static void messages_and_consoles_are_told_apart(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_sink *sink = remember(fixture, 10000);

	emit(fixture, (struct ntd_event){.text = "of the run"});
	emit(fixture, (struct ntd_event){.text = "of it", .machine = "m"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SERIAL, .text = "boot", .machine = "m"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SERIAL, .text = "else", .machine = "n"});
	emit(fixture,
	     (struct ntd_event){.kind = NTD_EVENT_NEST_BEGIN, .text = "step", .machine = "m"});
	emit(fixture,
	     (struct ntd_event){
		     .kind = NTD_EVENT_NEST_END, .text = "step", .machine = "m", .seconds = 1.5});
	emit(fixture,
	     (struct ntd_event){.kind = NTD_EVENT_NEST_END, .text = "not this", .failed = true});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_SUBTEST_BEGIN, .text = "nor this"});
	flush(fixture);
	expect_text(sink, 0, NULL,
		    "of the run\nm: of it\nm: step\nm: (finished: step, in 1.50 seconds)\n");
	expect_text(sink, 0, "m", "boot\n");
	expect_text(sink, 0, "n", "else\n");
	expect_text(sink, 0, "o", "");
}

static void what_came_before_is_left_out(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_sink *sink = remember(fixture, 10000);
	size_t position;

	emit(fixture, (struct ntd_event){.text = "before"});
	flush(fixture);
	position = ntd_recall_position(sink);
	expect_text(sink, position, NULL, "");
	emit(fixture, (struct ntd_event){.text = "after"});
	flush(fixture);
	expect_text(sink, position, NULL, "after\n");
	expect_text(sink, position + 100, NULL, "");
}

/* There are more events than the sink has room for at first, and more text than it keeps. */
static void the_oldest_makes_room(void **state)
{
	enum { EVENTS = 5000, KEPT = 2500, LENGTH = 4 };
	struct fixture *fixture = *state;
	struct ntd_sink *sink = remember(fixture, (size_t)KEPT * (LENGTH + NTD_RECALL_OVERHEAD));
	_cleanup_buf_ struct ntd_buf text = {0};
	char number[16];

	for (int i = 0; i < EVENTS; i++) {
		snprintf(number, sizeof number, "%04d", i);
		emit(fixture, (struct ntd_event){.text = number});
	}
	flush(fixture);
	ntd_recall(sink, 0, NULL, &text);
	assert_int_equal(text.len, KEPT * (LENGTH + 1));
	assert_memory_equal(ntd_buf_bytes(&text), "2500\n2501\n", 10);
	expect_text(sink, EVENTS - 1, NULL, "4999\n");
}

static void an_event_that_is_too_long_is_not_kept(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_sink *sink = remember(fixture, 10 + NTD_RECALL_OVERHEAD);

	emit(fixture, (struct ntd_event){.text = "short"});
	emit(fixture, (struct ntd_event){.text = "longer than all that may be kept"});
	flush(fixture);
	expect_text(sink, 0, NULL, "");
	emit(fixture, (struct ntd_event){.text = "again"});
	flush(fixture);
	expect_text(sink, 0, NULL, "again\n");
}

/* An event takes room beside its text: a guest that prints empty lines does not fill the memory. */
static void empty_lines_make_room_too(void **state)
{
	enum { EVENTS = 5000, KEPT = 500 };
	struct fixture *fixture = *state;
	struct ntd_sink *sink = remember(fixture, (size_t)KEPT * NTD_RECALL_OVERHEAD);
	_cleanup_buf_ struct ntd_buf text = {0};

	for (int i = 0; i < EVENTS; i++)
		emit(fixture,
		     (struct ntd_event){.kind = NTD_EVENT_SERIAL, .text = "", .machine = "m"});
	flush(fixture);
	ntd_recall(sink, 0, "m", &text);
	assert_int_equal(text.len, KEPT);
	expect_text(sink, EVENTS - 1, "m", "\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(messages_and_consoles_are_told_apart),
		test(what_came_before_is_left_out),
		test(the_oldest_makes_room),
		test(an_event_that_is_too_long_is_not_kept),
		test(empty_lines_make_room_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
