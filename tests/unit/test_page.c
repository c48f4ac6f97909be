/* The page that --report writes: its text, its parts in the file at any moment, and the events that
 * come back from lines. */
#include "sink_fixture.h"

#include "base/buf.h"
#include "base/fd.h"
#include "report/event_json.h"
#include "report/page.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>

/* ---- text */

static void expect_json(const char *bytes, size_t len, const char *expected)
{
	struct ntd_buf out = {0};
	_cleanup_free_ char *text = NULL;

	ntd_page_json_string(&out, bytes, len);
	text = ntd_buf_take_string(&out);
	assert_string_equal(text, expected);
}

static void json_has_no_character_that_html_knows(void **state)
{
	expect_json("plain \xc3\xa9", 8, "\"plain \xc3\xa9\"");
	expect_json("</script>&", 10, "\"\\u003c/script\\u003e\\u0026\"");
	expect_json("\"\\\n\t\x1b\x7f", 6, "\"\\u0022\\u005c\\u000a\\u0009\\u001b\\u007f\"");
	expect_json("a\0b", 3, "\"a\\u0000b\"");
	expect_json("\xff\xc3", 2, "\"\\ufffd\\ufffd\"");
	expect_json("\xe2\x80\xae", 3, "\"\xe2\x80\xae\"");
}

static void expect_html(const char *bytes, const char *expected)
{
	struct ntd_buf out = {0};
	_cleanup_free_ char *text = NULL;

	ntd_page_html(&out, bytes, strlen(bytes));
	text = ntd_buf_take_string(&out);
	assert_string_equal(text, expected);
}

static void html_is_text(void **state)
{
	expect_html("<a href=\"x\"> & \xc3\xa9", "&lt;a href=&quot;x&quot;&gt; &amp; \xc3\xa9");
	expect_html("one\ntwo\033[31m\x07", "one\ntwo[31m");
	expect_html("\xe2\x80\xaegnp\xe2\x81\xa6\xd8\x9c\xff",
		    "\xef\xbf\xbdgnp\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void base64_has_every_length(void **state)
{
	static const char *const expected[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="};

	for (size_t len = 0; len < unit_count(expected); len++) {
		struct ntd_buf out = {0};
		_cleanup_free_ char *text = NULL;

		ntd_page_base64(&out, "foob", len);
		text = ntd_buf_take_string(&out);
		assert_string_equal(text, expected[len]);
	}
}

/* ---- the file */

#define LINES "<script type=\"text/x-ntd-lines\">"
#define TAIL "<noscript class=\"tail\"><ul class=\"plain\">\n"
#define IN "<!--\n"
#define OUT "-->\n"

/* The file without its head, a new string. */
static char *read_page(const struct fixture *fixture)
{
	_cleanup_fd_ int fd = open(fixture->path, O_RDONLY);
	struct ntd_buf bytes = {0};

	assert_int_equal(ntd_fd_read_all(fd, &bytes, 64 << 20), 0);
	assert_true(bytes.len >= ntd_page_head_len);
	assert_memory_equal(ntd_buf_bytes(&bytes), ntd_page_head, ntd_page_head_len);
	ntd_buf_consume(&bytes, ntd_page_head_len);
	return ntd_buf_take_string(&bytes);
}

static int digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	return c == '=' ? 0 : (int)(strchr(digits, c) - digits);
}

/* Appends the lines of all pieces in the page. */
static void unpack(const char *page, struct ntd_buf *lines)
{
	const char *at = page;

	while ((at = strstr(at, LINES))) {
		z_stream stream = {0};
		struct ntd_buf packed = {0};
		int result;

		for (at += strlen(LINES); *at != '<'; at += 4) {
			unsigned group = (unsigned)(digit(at[0]) << 18 | digit(at[1]) << 12 |
						    digit(at[2]) << 6 | digit(at[3]));
			char three[] = {(char)(group >> 16), (char)(group >> 8), (char)group};

			ntd_buf_append(&packed, three, at[3] != '=' ? 3 : at[2] != '=' ? 2 : 1);
		}
		assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
		stream.next_in = (Bytef *)ntd_buf_bytes(&packed);
		stream.avail_in = (uInt)packed.len;
		do {
			char *room = ntd_buf_reserve(lines, 1 << 20);

			stream.next_out = (Bytef *)room;
			stream.avail_out = 1 << 20;
			result = inflate(&stream, Z_NO_FLUSH);
			ntd_buf_added(lines, (1 << 20) - stream.avail_out);
		} while (result == Z_OK);
		assert_int_equal(result, Z_STREAM_END);
		inflateEnd(&stream);
		ntd_buf_free(&packed);
	}
}

/* Appends the lines of a tail, which has no items here. */
static void add_tail(const char *tail, struct ntd_buf *lines)
{
	while (*tail) {
		const char *end = strstr(tail, OUT);

		assert_non_null(end);
		assert_memory_equal(tail, IN, strlen(IN));
		tail += strlen(IN);
		ntd_buf_append(lines, tail, (size_t)(end - tail));
		tail = end + strlen(OUT);
	}
}

static void begin(struct fixture *fixture, struct ntd_page *page)
{
	struct ntd_error *err = NULL;

	assert_int_equal(ntd_page_open(page, fixture->path, &err), 0);
}

static void what_is_flushed_is_in_the_file(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_page page;
	_cleanup_free_ char *first = NULL, *second = NULL, *third = NULL, *end = NULL;

	begin(fixture, &page);
	ntd_page_line(&page, "{\"a\":\"<&>\"}", 11);
	ntd_page_flush(&page);
	first = read_page(fixture);
	assert_string_equal(first, TAIL IN "{\"a\":\"\\u003c\\u0026\\u003e\"}\n" OUT);
	ntd_page_console(&page.lines, 17, "m", "</pre>", 6);
	ntd_page_item(&page, "log", "<b>\n<!--", 8);
	ntd_page_flush(&page);
	ntd_page_flush(&page);
	second = read_page(fixture);
	assert_string_equal(second, TAIL IN "{\"a\":\"\\u003c\\u0026\\u003e\"}\n" OUT IN
					    "[\"c\",17,\"m\",\"\\u003c/pre\\u003e\"]\n" OUT
					    "<li class=\"log\">&lt;b&gt;\n&lt;!--\n");
	ntd_page_line(&page, "3", 1);
	ntd_page_item(&page, "bad", "another", 7);
	ntd_page_flush(&page);
	third = read_page(fixture);
	assert_memory_equal(third, second, strlen(second));
	assert_string_equal(third + strlen(second), IN "3\n" OUT "<li class=\"bad\">another\n");
	assert_int_equal(ntd_page_close(&page, "{}", NULL), 0);
	end = read_page(fixture);
	assert_true(!strncmp(end, LINES, strlen(LINES)) && !strstr(end, TAIL));
	assert_non_null(strstr(end, "<script type=\"text/x-ntd-end\">{}</script>\n"
				    "</body></html>\n"));
}

/* The file is read in between as a browser would after a kill: no line is missing or twice. */
static void a_long_tail_becomes_a_piece(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_page page;
	struct ntd_buf expected = {0}, lines = {0};
	enum { COUNT = 30000 };

	begin(fixture, &page);
	for (int i = 0; i < COUNT; i++) {
		_cleanup_free_ char *line =
			ntd_asprintf("[\"c\",%d,\"m\",\"line %d\"]", i, i * 7919);

		ntd_page_line(&page, line, strlen(line));
		ntd_buf_printf(&expected, "%s\n", line);
		if (i % 100 == 0)
			ntd_page_flush(&page);
		if (i % 10000 == 5000) {
			_cleanup_free_ char *text = read_page(fixture), *tail = NULL;
			size_t flushed;

			ntd_buf_clear(&lines);
			unpack(text, &lines);
			tail = ntd_strdup(strstr(text, TAIL) + strlen(TAIL));
			add_tail(tail, &lines);
			flushed = lines.len;
			assert_true(flushed > 0 && flushed <= expected.len);
			assert_memory_equal(ntd_buf_bytes(&lines), ntd_buf_bytes(&expected),
					    flushed);
			assert_null(strstr(text, "x-rest"));
		}
	}
	assert_int_equal(ntd_page_close(&page, "{}", NULL), 0);
	{
		_cleanup_free_ char *text = read_page(fixture);

		ntd_buf_clear(&lines);
		unpack(text, &lines);
	}
	assert_int_equal(lines.len, expected.len);
	assert_memory_equal(ntd_buf_bytes(&lines), ntd_buf_bytes(&expected), expected.len);
	ntd_buf_free(&lines);
	ntd_buf_free(&expected);
}

static void pictures_and_items_stand_before_the_tail(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_page page;
	struct ntd_buf png = {0};
	_cleanup_free_ char *text = NULL, *end = NULL;

	begin(fixture, &page);
	ntd_page_line(&page, "1", 1);
	ntd_page_flush(&page);
	ntd_page_item(&page, "log", "<item>", 6);
	ntd_buf_puts(&png, "foob");
	ntd_page_picture(&page, "a/<b>.png", &png);
	ntd_page_line(&page, "2", 1);
	ntd_page_flush(&page);
	text = read_page(fixture);
	assert_string_equal(text, "<script type=\"text/x-ntd-picture\">\"a/\\u003cb\\u003e.png\"\n"
				  "Zm9vYg==</script>\n" TAIL IN "1\n2\n" OUT
				  "<li class=\"log\">&lt;item&gt;\n");
	ntd_page_verdict(&page, true, "Failed & <gone>");
	assert_int_equal(ntd_page_close(&page, "{}", NULL), 0);
	end = read_page(fixture);
	assert_non_null(strstr(end,
			       "<noscript><ul class=\"plain\">\n<li class=\"log\">&lt;item&gt;\n"
			       "</ul></noscript>\n"));
	assert_non_null(
		strstr(end, "<p class=\"verdict bad\">Failed &amp; &lt;gone&gt;</noscript>"));
	ntd_buf_free(&png);
}

/* Where nothing can be written over, lines wait for their piece. */
static void a_pipe_gets_pieces_only(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_page page;
	_cleanup_fd_ int reader = -1;
	struct ntd_buf bytes = {0};
	_cleanup_free_ char *text = NULL;

	assert_int_equal(mkfifo(fixture->path, 0600), 0);
	reader = open(fixture->path, O_RDONLY | O_NONBLOCK);
	/* more than the head: nobody reads meanwhile */
	assert_true(fcntl(reader, F_SETPIPE_SZ, 1 << 20) > 0);
	begin(fixture, &page);
	ntd_page_line(&page, "1", 1);
	ntd_page_flush(&page);
	ntd_page_line(&page, "2", 1);
	assert_int_equal(ntd_page_close(&page, "{}", NULL), 0);
	assert_int_equal(ntd_fd_read_all(reader, &bytes, 4 << 20), 0);
	ntd_buf_consume(&bytes, ntd_page_head_len);
	text = ntd_buf_take_string(&bytes);
	assert_true(!strncmp(text, LINES, strlen(LINES)) && !strstr(text, "tail"));
	unpack(text, &bytes);
	assert_memory_equal(ntd_buf_bytes(&bytes), "1\n2\n", 4);
	ntd_buf_free(&bytes);
}

static void a_full_disk_is_told_at_the_end(void **state)
{
	struct ntd_page page;

	assert_int_equal(ntd_page_open(&page, "/dev/full", NULL), 0);
	ntd_page_line(&page, "1", 1);
	ntd_page_flush(&page);
	assert_fails(ntd_page_close(&page, "{}", &err), NTD_E_SYS, "No space left");
}

/* A file that may not become longer is like a disk that is full. */
static void limit_files(rlim_t most)
{
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){most, RLIM_INFINITY}), 0);
}

/* What is written before stays, except for the tail, which gives its room to the end. */
static void a_full_disk_has_room_for_the_end(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_page page;
	struct ntd_buf png = {0};
	_cleanup_free_ char *text = NULL;
	static char line[5000];
	static const char last[] =
		"<script type=\"text/x-ntd-unwritten\"></script>\n" NTD_PAGE_LAST;

	memset(line, '1', sizeof line);
	signal(SIGXFSZ, SIG_IGN);
	begin(fixture, &page);
	ntd_buf_puts(&png, "foob");
	ntd_page_picture(&page, "a.png", &png);
	ntd_page_line(&page, line, sizeof line);
	ntd_page_flush(&page);
	limit_files(ntd_page_head_len + 5200);
	ntd_page_line(&page, line, sizeof line);
	ntd_page_flush(&page);
	ntd_page_line(&page, "2", 1);
	ntd_page_flush(&page);
	assert_fails(ntd_page_close(&page, "{}", &err), NTD_E_SYS, "too large");
	limit_files(RLIM_INFINITY);
	text = read_page(fixture);
	assert_non_null(strstr(text, "Zm9vYg==</script>\n\n<!-- -->"));
	assert_null(strstr(text, TAIL));
	assert_string_equal(text + strlen(text) - strlen(last), last);
	ntd_buf_free(&png);
}

/* ---- the sink */

static void console_lines_have_a_limit(void **state)
{
	struct fixture *fixture = *state;
	static char line[1 << 18];
	struct ntd_buf lines = {0};
	_cleanup_free_ char *text = NULL, *all = NULL;

	memset(line, 'x', sizeof line - 1);
	add(fixture, ntd_page_sink);
	for (int i = 0; i < 4 * 48 + 8; i++) {
		emit(fixture,
		     (struct ntd_event){.kind = NTD_EVENT_SERIAL, .machine = "m", .text = line});
		ntd_report_settle(fixture->report);
	}
	emit(fixture,
	     (struct ntd_event){.kind = NTD_EVENT_SERIAL, .machine = "m", .text = "the last line"});
	ntd_report_run_end(fixture->report, 0);
	end(fixture);
	text = read_page(fixture);
	unpack(text, &lines);
	all = ntd_buf_take_string(&lines);
	/* 192 lines of 256 KiB less one byte are 48 MiB, and 3 are the end */
	assert_non_null(strstr(all, "\n[\"d\",5]\n[\"c\","));
	assert_true(strstr(all, "the last line") > strstr(all, "[\"d\",5]"));
}

static void a_full_list_says_so(void **state)
{
	struct fixture *fixture = *state;
	static char line[2000];
	_cleanup_free_ char *text = NULL;
	const char *full;

	memset(line, 'x', sizeof line - 1);
	add(fixture, ntd_page_sink);
	for (int i = 0; i < (4 << 20) / 2000; i++)
		emit(fixture, (struct ntd_event){.kind = NTD_EVENT_MESSAGE, .text = line});
	for (int i = 0; i < 9; i++)
		emit(fixture, (struct ntd_event){.kind = NTD_EVENT_MESSAGE, .text = "last"});
	end(fixture);
	text = read_page(fixture);
	full = strstr(text, "<li class=\"bad\">This list is full");
	assert_non_null(full);
	assert_null(strstr(full + 1, "<li class"));
}

/* The end of a command tells some of it, however much there was. */
static void pieces_of_output_are_not_in_the_page(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_buf lines = {0};
	_cleanup_free_ char *text = NULL, *all = NULL;

	add(fixture, ntd_page_sink);
	emit(fixture,
	     (struct ntd_event){.kind = NTD_EVENT_OUTPUT, .machine = "m", .text = "piece"});
	emit(fixture, (struct ntd_event){.kind = NTD_EVENT_MESSAGE, .text = "a message"});
	end(fixture);
	text = read_page(fixture);
	unpack(text, &lines);
	all = ntd_buf_take_string(&lines);
	assert_non_null(strstr(all, "a message"));
	assert_null(strstr(all, "piece"));
}

static void the_sink_has_a_verdict(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *text = NULL;

	add(fixture, ntd_page_sink);
	ntd_log_test_error(fixture->report, "the first line of a report\n");
	ntd_log_detail(fixture->report, NTD_DETAIL_FAILURE, NULL, "Error: it broke\n", NULL);
	ntd_log_detail(fixture->report, NTD_DETAIL_FAILURE, NULL, "Error: another", NULL);
	ntd_report_run_end(fixture->report, 1);
	end(fixture);
	text = read_page(fixture);
	assert_non_null(strstr(text, "seconds: exit status 1; Error: it broke</noscript>"));
	assert_null(strstr(text, "is not known"));
}

static void a_sink_without_an_end_of_the_run_says_so(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *text = NULL;

	add(fixture, ntd_page_sink);
	emit(fixture, (struct ntd_event){.text = "only a message"});
	end(fixture);
	text = read_page(fixture);
	assert_non_null(strstr(text, "The end of the run is not known"));
}

/* ---- events that come back */

#define LINE(kind, rest)                                                                           \
	"{\"monotonic\":2.5,\"wall\":\"w\",\"kind\":\"" kind                                       \
	"\",\"id\":7,\"parent\":3,\"thread\":1,"                                                   \
	"\"machine\":\"m\",\"text\":\"t\"" rest "}"

static bool parses(const char *line)
{
	struct ntd_parsed_event parsed;
	bool is_event = ntd_event_parse(&parsed, line, strlen(line));

	ntd_parsed_event_free(&parsed);
	return is_event;
}

static void lines_come_back_as_events(void **state)
{
	const char *line = LINE("command-end", ",\"seconds\":0.25,\"status\":null,\"bytes\":9,"
					       "\"source\":2,\"line\":31,"
					       "\"attributes\":{\"output\":\"o\"}");
	struct ntd_parsed_event parsed;

	assert_true(ntd_event_parse(&parsed, line, strlen(line)));
	assert_int_equal(parsed.event.kind, NTD_EVENT_COMMAND_END);
	assert_int_equal(parsed.event.id, 7);
	assert_int_equal(parsed.event.parent, 3);
	assert_int_equal(parsed.event.monotonic, 5 * NTD_SECOND / 2);
	assert_int_equal(parsed.event.status, -1);
	assert_int_equal(parsed.event.bytes, 9);
	assert_int_equal(parsed.event.source, 2);
	assert_int_equal(parsed.event.line, 31);
	assert_string_equal(parsed.event.attributes[1], "o");
	ntd_parsed_event_free(&parsed);
	assert_true(parses(LINE("serial", "")));
	assert_true(parses(LINE("nest-begin", ",\"step\":\"wait\"")));
	assert_true(parses(LINE("detail", ",\"detail\":\"picture\",\"new\":[1]")));
}

static void other_lines_are_no_events(void **state)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"{",
		"null",
		LINE("unheard of", ""),
		LINE("busy", ""),
		LINE("message", ""),
		LINE("message", ",\"level\":\"loud\""),
		LINE("nest-begin", ""),
		LINE("nest-begin", ",\"step\":7"),
		LINE("nest-end", ",\"step\":\"wait\",\"seconds\":1"),
		LINE("run-end", ",\"seconds\":-1,\"failed\":true"),
		LINE("run-end", ",\"seconds\":1e999,\"failed\":true"),
		LINE("detail", ",\"detail\":\"x\""),
		LINE("state", ",\"from\":\"up\""),
		LINE("serial", "\xff"),
		"{\"kind\":\"serial\"}",
	};

	for (size_t i = 0; i < unit_count(wrong); i++)
		if (parses(wrong[i]))
			fail_msg("%s", wrong[i]);
}

static void the_first_line_is_checked(void **state)
{
	const char *newer = "{\"format\":\"nixos-test-driver-events\",\"version\":2}";

	assert_fails(ntd_event_check_format("{}", 2, &err), NTD_E_USAGE, "--events");
	assert_fails(ntd_event_check_format(newer, strlen(newer), &err), NTD_E_USAGE, "version 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(json_has_no_character_that_html_knows),
		test(html_is_text),
		test(base64_has_every_length),
		test(what_is_flushed_is_in_the_file),
		test(a_long_tail_becomes_a_piece),
		test(pictures_and_items_stand_before_the_tail),
		test(a_pipe_gets_pieces_only),
		test(a_full_disk_is_told_at_the_end),
		test(a_full_disk_has_room_for_the_end),
		test(console_lines_have_a_limit),
		test(a_full_list_says_so),
		test(pieces_of_output_are_not_in_the_page),
		test(the_sink_has_a_verdict),
		test(a_sink_without_an_end_of_the_run_says_so),
		test(lines_come_back_as_events),
		test(other_lines_are_no_events),
		test(the_first_line_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
