/* Tests of the line about what a run waits for. */
#include "unit.h"

#include "report/status.h"

#define AT(seconds) ((int64_t)((seconds)*1e9) + NTD_SECOND)

static int make(void **state)
{
	*state = ntd_calloc(1, sizeof(struct ntd_status));
	return 0;
}

static int end(void **state)
{
	ntd_status_free(*state);
	free(*state);
	return 0;
}

static bool add(struct ntd_status *status, double seconds, struct ntd_event event)
{
	event.monotonic = AT(seconds);
	event.text = event.text ? event.text : "";
	event.text_len = strlen(event.text);
	return ntd_status_event(status, &event);
}

#define BEGIN(id_, step_, machine_, text_)                                                         \
	(struct ntd_event)                                                                         \
	{                                                                                          \
		.kind = NTD_EVENT_NEST_BEGIN, .id = (id_), .step = (step_), .machine = (machine_), \
		.text = (text_)                                                                    \
	}
#define BUSY(machine_, text_, limit_)                                                              \
	(struct ntd_event)                                                                         \
	{                                                                                          \
		.kind = NTD_EVENT_BUSY, .machine = (machine_), .text = (text_),                    \
		.seconds = (limit_)                                                                \
	}
#define END(id_)                                                                                   \
	(struct ntd_event)                                                                         \
	{                                                                                          \
		.kind = NTD_EVENT_NEST_END, .id = (id_)                                            \
	}
#define IDLE                                                                                       \
	(struct ntd_event)                                                                         \
	{                                                                                          \
		.kind = NTD_EVENT_IDLE                                                             \
	}

/* The line, or NULL for none; the caller frees it. */
static char *line_at(const struct ntd_status *status, double seconds, size_t width)
{
	struct ntd_buf out = {0};

	if (ntd_status_line(status, AT(seconds), width, true, &out))
		return ntd_buf_take_string(&out);
	assert_int_equal(out.len, 0);
	return NULL;
}

static void assert_line(const struct ntd_status *status, double seconds, size_t width,
			const char *expected)
{
	_cleanup_free_ char *line = line_at(status, seconds, width);

	if (!expected)
		assert_null(line);
	else
		assert_string_equal(line ? line : "no line", expected);
}

static void a_wait_is_shown_when_it_lasts(void **state)
{
	struct ntd_status *status = *state;

	assert_true(ntd_status_due(status) == NTD_FOREVER);
	add(status, 0, BEGIN(1, NTD_STEP_WAIT, "web", "waiting for unit nginx"));
	add(status, 0, BUSY("web", "", 900));
	assert_true(ntd_status_due(status) == AT(1));
	assert_line(status, 0.9, 79, NULL);
	assert_line(status, 1, 79, "web: waiting for unit nginx (1s of 15m)");
	assert_line(status, 125, 79, "web: waiting for unit nginx (2m05s of 15m)");
	add(status, 126, IDLE);
	add(status, 126, END(1));
	assert_line(status, 127, 79, NULL);
	assert_true(ntd_status_due(status) == NTD_FOREVER);
}

static void a_wait_is_shown_and_not_its_parts(void **state)
{
	struct ntd_status *status = *state;

	add(status, 0, BEGIN(1, NTD_STEP_RUN, NULL, "run the VM test script"));
	add(status, 0, BEGIN(2, NTD_STEP_SCRIPT, NULL, "a subtest"));
	assert_line(status, 5, 79, NULL);
	add(status, 5, BEGIN(3, NTD_STEP_WAIT, "m", "waiting for success: x"));
	add(status, 5, BUSY("m", "", 10));
	add(status, 6, BUSY("m", "x", 7));
	assert_line(status, 8, 79, "m: waiting for success: x (3s of 10s)");
	add(status, 8, BEGIN(4, NTD_STEP_BOOT, "m", "waiting for the VM to finish booting"));
	assert_line(status, 9, 79, "m: waiting for the VM to finish booting (1s)");
	add(status, 9, END(4));
	add(status, 9, IDLE);
	assert_line(status, 9, 79, "m: waiting for success: x (4s of 10s)");
}

static void a_command_is_shown_with_its_limit(void **state)
{
	struct ntd_status *status = *state;

	add(status, 0, BEGIN(1, NTD_STEP_COMMAND, "m", "must succeed: make"));
	add(status, 0, BUSY("m", "make", 3700));
	assert_line(status, 2, 79, "m: must succeed: make (2s of 1h01m)");
	add(status, 2, IDLE);
	add(status, 2, END(1));
	/* execute() is no step */
	add(status, 3, BEGIN(5, NTD_STEP_SCRIPT, NULL, "a subtest"));
	add(status, 3, BUSY("m", "make install", 0));
	assert_line(status, 5, 79, "m: make install (2s)");
	add(status, 5, IDLE);
	assert_line(status, 6, 79, NULL);
}

static void a_boot_shows_the_last_line_of_its_console(void **state)
{
	struct ntd_event serial = {.kind = NTD_EVENT_SERIAL, .machine = "m"};
	struct ntd_status *status = *state;
	_cleanup_buf_ struct ntd_buf out = {0};

	add(status, 0, BEGIN(1, NTD_STEP_BOOT, "m", "booting"));
	serial.text = "\033[32m[ OK ]\033[0m Started \033]0;evil\aa\tb";
	add(status, 1, serial);
	serial.text = "\033[2J \t\r";
	add(status, 1, serial);
	serial.machine = "other";
	serial.text = "of another machine";
	add(status, 1, serial);
	assert_line(status, 3, 79, "m: booting: [ OK ] Started a b (3s)");
	assert_true(ntd_status_line(status, AT(3), 79, false, &out));
	assert_memory_equal(ntd_buf_bytes(&out), "m: booting (3s)", out.len);
}

static void a_copy_shows_how_far_it_is(void **state)
{
	struct ntd_event progress = {.kind = NTD_EVENT_MESSAGE,
				     .machine = "m",
				     .text = "copying",
				     .done = 1 << 20,
				     .total = 4 << 20};
	struct ntd_status *status = *state;

	assert_false(add(status, 0, progress));
	add(status, 0, BUSY("m", "copying /a to /b", 0));
	progress.thread = 7; /* the loop thread's */
	assert_true(add(status, 2, progress));
	assert_line(status, 4, 79, "m: copying /a to /b: 25% of 4.0 MiB (4s)");
	assert_line(status, 4, 34, "m: copying...: 25% of 4.0 MiB (4s)");
	progress.machine = "other";
	assert_false(add(status, 4, progress));
	progress.total = 0;
	progress.machine = "m";
	assert_false(add(status, 4, progress)); /* another message */
}

/* Begins a wait of each of so many threads. */
static void begin_many(struct ntd_status *status, unsigned count)
{
	for (unsigned i = 1; i <= count; i++) {
		struct ntd_event event = BEGIN(i, NTD_STEP_WAIT, "m", "waiting for something");

		event.thread = i;
		add(status, 0, event);
		event = BUSY("m", "", 60);
		event.thread = i;
		add(status, 0, event);
	}
}

static void waits_share_the_width(void **state)
{
	struct ntd_status *status = *state;

	begin_many(status, 2);
	assert_line(status, 5, 79,
		    "m: waiting for something (5s of 1m) | m: waiting for something (5s of 1m)");
	assert_line(status, 5, 60, "m: waiting for... (5s of 1m) | m: waiting for... (5s of 1m)");
	assert_line(status, 5, 50, "m: waiting for something (5s of 1m) | +1");
	begin_many(status, 40);
	assert_line(status, 5, 60, "m: waiting ... (5s of 1m) | m: waiting ... (5s of 1m) | +38");
}

static size_t cells(const char *line)
{
	size_t count = 0;

	for (; *line; line++)
		if ((*line & 0xc0) != 0x80)
			count += *line & 0x80 ? 2 : 1;
	return count;
}

static void a_line_is_never_too_long(void **state)
{
	struct ntd_status *status = *state;

	add(status, 0,
	    BEGIN(99, NTD_STEP_WAIT, "m\xc3\xbcller",
		  "\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd \033[31mtext\n\r\tof a guest"
		  "\xff\x80 \xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"));
	for (unsigned count = 0; count <= 6; count++) {
		begin_many(status, count);
		for (size_t width = 0; width < 200; width++) {
			_cleanup_free_ char *line = line_at(status, 4000, width);

			assert_true(!line || cells(line) <= width);
			assert_true(!line || !strpbrk(line, "\n\r\t\033"));
		}
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, make, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_wait_is_shown_when_it_lasts),
		test(a_wait_is_shown_and_not_its_parts),
		test(a_command_is_shown_with_its_limit),
		test(a_boot_shows_the_last_line_of_its_console),
		test(a_copy_shows_how_far_it_is),
		test(waits_share_the_width),
		test(a_line_is_never_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
