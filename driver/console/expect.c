/* Readers of a console: see expect.h. A reader's text and its cursor belong to the loop thread;
 * each waiting thread has a copy of the text, to which the loop thread appends what is new.
 *
 * The bytes of a reader's text are numbered from its first on, so that a copy can be compared with
 * the text after other threads have moved the cursor, or old text was dropped. When the console
 * goes back, the text gets numbers that no byte has had before.
 */
#include "console/console_internal.h"

#include "console/expect.h"

#include <inttypes.h>
#include <string.h>

/* How much text an error shows. */
enum { SHOWN = 2000 };

struct ntd_expect {
	struct ntd_console *console;
	size_t limit;
	struct ntd_list_link link; /* in the console's `readers` */

	/* The loop thread alone uses the rest. */
	unsigned number; /* no two readers of a console have the same */
	bool reads;      /* the first read has been made */
	struct ntd_plain plain;
	struct ntd_buf text;     /* behind the cursor */
	uint64_t begin;          /* the number of its first byte */
	uint64_t since;          /* bytes with lower numbers are of before the console went back */
	uint64_t dropped;        /* how many bytes were dropped since the cursor was last moved */
	struct ntd_error *ended; /* why no more text comes; NULL: it may come */
	struct ntd_error *interruption; /* for a thread that does not wait now; NULL: none */
	struct ntd_list waits;          /* of struct expect_wait */
};

struct expect_wait {
	struct ntd_request request;
	struct ntd_expect *expect;
	struct ntd_expect_text *text;
	struct ntd_list_link link;
};

/* ---- loop */

static void discard(struct ntd_expect *expect, size_t count)
{
	ntd_buf_consume(&expect->text, count);
	expect->begin += count;
}

/* Drops the oldest text, a quarter of the limit more than necessary, so that a flood does not move
 * all text for every byte. No character is cut. */
static void keep_to_limit(struct ntd_expect *expect)
{
	const char *bytes = ntd_buf_bytes(&expect->text);
	size_t drop = expect->text.len - expect->limit + expect->limit / 4;

	if (expect->text.len <= expect->limit)
		return;
	while (drop < expect->text.len && (bytes[drop] & 0xc0) == 0x80)
		drop++;
	expect->dropped += drop;
	discard(expect, drop);
}

/* Brings a waiting thread's copy up to date; whether it has grown. */
static bool update(const struct ntd_expect *expect, struct ntd_expect_text *copy)
{
	const char *bytes = ntd_buf_bytes(&expect->text);
	uint64_t end = copy->begin + copy->bytes.len;

	if (!copy->known || end < expect->begin) {
		ntd_buf_clear(&copy->bytes);
		end = expect->begin;
	} else if (copy->begin < expect->begin) {
		ntd_buf_consume(&copy->bytes, (size_t)(expect->begin - copy->begin));
	}
	copy->begin = expect->begin;
	copy->known = true;
	if (end == expect->begin + expect->text.len)
		return false;
	ntd_buf_append(&copy->bytes, bytes + (end - expect->begin),
		       expect->text.len - (size_t)(end - expect->begin));
	return true;
}

static void complete(struct expect_wait *wait, struct ntd_error *error)
{
	ntd_list_unlink(&wait->link);
	ntd_request_complete(&wait->request, error);
}

static void serve(struct ntd_expect *expect)
{
	ntd_list_each (struct expect_wait, wait, &expect->waits, link)
		if (update(expect, wait->text))
			complete(wait, NULL);
}

static void feed(struct ntd_expect *expect, const char *bytes, size_t len)
{
	ntd_plain_add(&expect->plain, bytes, len, &expect->text);
	keep_to_limit(expect);
}

void ntd_expect_feed(struct ntd_console *console, const char *bytes, size_t len)
{
	ntd_list_each (struct ntd_expect, expect, &console->readers, link) {
		if (!expect->reads)
			continue;
		feed(expect, bytes, len);
		serve(expect);
	}
}

void ntd_expect_begin(struct ntd_console *console)
{
	ntd_list_each (struct ntd_expect, expect, &console->readers, link) {
		discard(expect, expect->text.len);
		expect->dropped = 0;
		expect->plain = (struct ntd_plain){0};
		ntd_error_free(ntd_steal(&expect->ended));
	}
}

void ntd_expect_interrupt(struct ntd_expect *expect, const struct ntd_error *why)
{
	if (ntd_list_empty(&expect->waits) && !expect->interruption)
		expect->interruption = ntd_error_copy(why);
	ntd_list_each (struct expect_wait, wait, &expect->waits, link)
		complete(wait, ntd_error_copy(why));
}

void ntd_expect_fail_waits(struct ntd_console *console, const struct ntd_error *why)
{
	ntd_list_each (struct ntd_expect, expect, &console->readers, link)
		ntd_list_each (struct expect_wait, wait, &expect->waits, link)
			complete(wait, ntd_error_copy(why));
}

void ntd_expect_end(struct ntd_console *console, const struct ntd_error *why)
{
	ntd_list_each (struct ntd_expect, expect, &console->readers, link)
		if (!expect->ended)
			expect->ended = ntd_error_copy(why);
	ntd_expect_fail_waits(console, why);
}

void ntd_expect_mark(const struct ntd_console *console, struct ntd_expect_marks *marks)
{
	ntd_list_each (struct ntd_expect, expect, &console->readers, link) {
		struct ntd_expect_mark *mark =
			ntd_vec_push(marks, (struct ntd_expect_mark){.reader = expect->number,
								     .reads = expect->reads,
								     .plain = expect->plain,
								     .dropped = expect->dropped});

		ntd_buf_append(&mark->text, ntd_buf_bytes(&expect->text), expect->text.len);
	}
}

static void go_back(struct ntd_expect *expect, const struct ntd_expect_mark *mark)
{
	discard(expect, expect->text.len);
	expect->since = ++expect->begin;
	expect->reads = mark->reads;
	expect->plain = mark->plain;
	expect->dropped = mark->dropped;
	ntd_buf_append(&expect->text, ntd_buf_bytes(&mark->text), mark->text.len);
}

void ntd_expect_go_back(struct ntd_console *console, const struct ntd_expect_marks *marks)
{
	static const struct ntd_expect_mark as_new;

	ntd_list_each (struct ntd_expect, expect, &console->readers, link) {
		const struct ntd_expect_mark *mark = &as_new;

		for (size_t i = 0; i < marks->count; i++)
			if (marks->items[i].reader == expect->number)
				mark = &marks->items[i];
		go_back(expect, mark);
	}
}

/* The first read: takes what the console has, and what it gets from now on. */
static void start_reading(struct ntd_expect *expect)
{
	_cleanup_buf_ struct ntd_buf lines = {0};
	size_t skip;

	if (expect->reads)
		return;
	expect->reads = true;
	ntd_lines_copy(&expect->console->lines, &lines);
	skip = lines.len > expect->limit ? lines.len - expect->limit : 0;
	expect->dropped = skip;
	feed(expect, ntd_buf_bytes(&lines) + skip, lines.len - skip);
	/* the copy has no newline at its end when the last line is complete */
	if (lines.len && !expect->console->lines.partial.len)
		feed(expect, "\n", 1);
}

static struct ntd_error *why_no_more(struct ntd_expect *expect)
{
	if (expect->interruption)
		return ntd_steal(&expect->interruption);
	if (expect->console->output.fd >= 0)
		return NULL;
	if (expect->ended)
		return ntd_error_copy(expect->ended);
	return ntd_error_new(NTD_E_DEAD, "machine '%s' is not running", expect->console->machine);
}

static void wait_begin(struct ntd_request *request)
{
	struct expect_wait *wait = ntd_container_of(request, struct expect_wait, request);
	struct ntd_expect *expect = wait->expect;
	struct ntd_error *error;

	if (wait->text->known && wait->text->begin < expect->since) {
		ntd_request_complete(request, ntd_error_copy(expect->console->back));
		return;
	}
	start_reading(expect);
	if (update(expect, wait->text))
		ntd_request_complete(request, NULL);
	else if ((error = why_no_more(expect)))
		ntd_request_complete(request, error);
	else
		ntd_list_append(&expect->waits, &wait->link);
}

static void wait_abandon(struct ntd_request *request)
{
	ntd_list_unlink(&ntd_container_of(request, struct expect_wait, request)->link);
}

/* ---- script threads */

int ntd_expect_read(struct ntd_expect *expect, struct ntd_expect_text *text, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct expect_wait wait = {
		.request = {.begin = wait_begin, .abandon = wait_abandon, .looks = true},
		.expect = expect,
		.text = text};

	return ntd_request_run(expect->console->loop, &wait.request, deadline, waiter, err);
}

struct move {
	struct ntd_expect *expect;
	struct ntd_expect_text *text;
	uint64_t to, dropped;
};

static void advance(void *arg)
{
	const struct move *move = arg;
	struct ntd_expect *expect = move->expect;
	uint64_t end = expect->begin + expect->text.len;

	if (move->to > expect->begin)
		discard(expect, (size_t)((move->to < end ? move->to : end) - expect->begin));
	expect->dropped = 0;
	update(expect, move->text);
}

void ntd_expect_advance(struct ntd_expect *expect, struct ntd_expect_text *text, size_t count)
{
	ntd_loop_call(expect->console->loop, advance,
		      &(struct move){.expect = expect, .text = text, .to = text->begin + count});
}

static void skip(void *arg)
{
	struct ntd_expect *expect = arg;
	const char *bytes, *newline;

	start_reading(expect);
	ntd_error_free(ntd_steal(&expect->interruption));
	bytes = ntd_buf_bytes(&expect->text);
	newline = memrchr(bytes, '\n', expect->text.len);
	if (newline)
		discard(expect, (size_t)(newline - bytes) + 1);
	expect->dropped = 0;
}

void ntd_expect_skip(struct ntd_expect *expect)
{
	ntd_loop_call(expect->console->loop, skip, expect);
}

static void read_dropped(void *arg)
{
	struct move *move = arg;

	move->dropped = move->expect->dropped;
}

/* Completes the error of a wait whose time is over. */
static void tell_text(struct ntd_expect *expect, const struct ntd_expect_text *text,
		      struct ntd_error *error)
{
	struct move move = {.expect = expect};
	const char *bytes = ntd_buf_bytes(&text->bytes);
	size_t from = text->bytes.len > SHOWN ? text->bytes.len - SHOWN : 0;
	_cleanup_free_ char *shown = NULL, *lost = NULL;

	while (from < text->bytes.len && (bytes[from] & 0xc0) == 0x80)
		from++;
	shown = ntd_strndup(bytes + from, text->bytes.len - from);
	ntd_loop_call(expect->console->loop, read_dropped, &move);
	lost = move.dropped
		       ? ntd_asprintf(" (older text, %" PRIu64 " bytes, was dropped)", move.dropped)
		       : ntd_strdup("");
	free(error->message);
	error->message =
		text->bytes.len
			? ntd_asprintf("machine '%s': what was expected has not come; the "
				       "console has shown since then%s:\n%s%s",
				       expect->console->machine, lost, from ? "..." : "", shown)
			: ntd_asprintf("machine '%s': what was expected has not come; the "
				       "console has shown nothing since then",
				       expect->console->machine);
}

static int search(struct ntd_expect *expect, struct ntd_expect_text *text, ntd_expect_match *match,
		  void *arg, int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err)
{
	for (;;) {
		struct ntd_error *error = NULL;
		size_t end = 0;
		int found;

		if (ntd_expect_read(expect, text, deadline, waiter, &error) < 0) {
			if (error->code == NTD_E_TIMEOUT)
				tell_text(expect, text, error);
			return ntd_error_move(err, error);
		}
		found = match(arg, ntd_buf_bytes(&text->bytes), text->bytes.len, &end, waiter, err);
		if (found > 0)
			ntd_expect_advance(expect, text, end);
		if (found)
			return found < 0 ? -1 : 0;
	}
}

int ntd_expect_wait(struct ntd_expect *expect, ntd_expect_match *match, void *arg, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_expect_text text = {0};
	int result = search(expect, &text, match, arg, deadline, waiter, err);

	ntd_buf_free(&text.bytes);
	return result;
}

/* ---- life */

static void add_reader(void *arg)
{
	struct ntd_expect *expect = arg;

	expect->number = ++expect->console->reader_count;
	ntd_list_append(&expect->console->readers, &expect->link);
}

struct ntd_expect *ntd_expect_new(struct ntd_console *console, size_t limit)
{
	struct ntd_expect *expect = ntd_calloc(1, sizeof *expect);

	expect->console = console;
	expect->limit = limit;
	ntd_loop_call(console->loop, add_reader, expect);
	return expect;
}

static void remove_reader(void *arg)
{
	struct ntd_expect *expect = arg;

	ntd_list_unlink(&expect->link);
}

void ntd_expect_free(struct ntd_expect *expect)
{
	if (!expect)
		return;
	ntd_loop_call(expect->console->loop, remove_reader, expect);
	ntd_buf_free(&expect->text);
	ntd_error_free(expect->ended);
	ntd_error_free(expect->interruption);
	free(expect);
}
