/* The JUnit report: theory of operation.
 *
 * The report has one case for each title of a subtest, in the order of the subtests' beginnings.
 * The case `main` stands for everything outside of subtests: the report has it when something there
 * failed, or when there are no subtests. All output goes to the suite; output that comes while
 * subtests are open also goes to the one that began last. The suite and each case keep the end of
 * their output only, so memory does not depend on how much the guests print.
 *
 * The time of a case is its own, without the time of the subtests in it.
 *
 * At any moment the file is right about a run that ends at this moment: a case is a failure in it
 * until the case has ended, and `main` until the sink is closed. So a driver that is killed leaves
 * a failed report, not a passed or a broken one. For this the sink replaces the file (a new file,
 * then rename) when a subtest begins or ends, and when a test error is logged. A long report takes
 * long to replace, so beginnings and ends of subtests are put off until replacing takes at most
 * 1/COST_SHARE of the time. A file that is not regular (a pipe, /dev/null) cannot be replaced, and
 * is written once, at the end.
 *
 * A run that fails has a failed case: `main`, unless a subtest has failed.
 */
#include "report/outfile.h"
#include "report/sinks.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/vec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { OUTPUT_LIMIT = 1 << 20, COST_SHARE = 20 };

/* The last OUTPUT_LIMIT bytes of some output, from the start of a line. */
struct output {
	struct ntd_buf text;
	size_t cut; /* how many bytes before `text` were left out */
};

struct test_case {
	struct ntd_list_link link;
	char *title;
	double seconds; /* the time of its subtests that have ended */
	size_t open;    /* how many of its subtests have begun and not ended */
	int64_t since;  /* when the last of its subtests began */
	bool failed;
	char *skipped; /* why the test did not run; NULL: it ran */
	struct output out, err;
};

/* A subtest that has begun and not ended. */
struct open_subtest {
	uint64_t id;
	struct test_case *test_case;
};

struct junit {
	struct ntd_sink sink;
	char *path;
	bool replaceable;
	struct ntd_list cases; /* the cases of subtests */
	struct test_case main;
	struct output out, err;            /* of the suite */
	atomic_bool tests_only;            /* a report without subtests has no `main` */
	ntd_vec(struct open_subtest) open; /* in the order of their beginnings */
	int64_t began;
	int64_t outside_since;   /* when the time of `main` last went on: no subtest was open */
	int64_t write_at;        /* when the file is to be replaced */
	int64_t not_before;      /* when a subtest may have it replaced again */
	struct ntd_error *error; /* of the last attempt to write; NULL: the file was written */
};

/* ---- output of a case */

static void output_trim(struct output *output)
{
	size_t excess = output->text.len - OUTPUT_LIMIT;
	const char *start = ntd_buf_bytes(&output->text) + excess;
	const char *newline = memchr(start, '\n', OUTPUT_LIMIT);

	if (newline)
		excess += (size_t)(newline - start) + 1;
	ntd_buf_consume(&output->text, excess);
	output->cut += excess;
}

static void output_line(struct output *output, const char *machine, const char *separator,
			const char *before, const struct ntd_event *event, const char *after)
{
	struct ntd_buf *text = &output->text;

	if (machine) {
		ntd_buf_puts(text, machine);
		ntd_buf_puts(text, separator);
	}
	ntd_buf_puts(text, before);
	ntd_buf_append(text, event->text, event->text_len);
	ntd_buf_puts(text, after);
	ntd_buf_puts(text, "\n");
	if (text->len > OUTPUT_LIMIT)
		output_trim(output);
}

/* ---- cases */

static struct test_case *current(struct junit *junit)
{
	return junit->open.count ? junit->open.items[junit->open.count - 1].test_case
				 : &junit->main;
}

/* Adds a line of the log to the suite and to the open subtest. */
static void log_line(struct junit *junit, const char *separator, const char *before,
		     const struct ntd_event *event, const char *after)
{
	output_line(&junit->out, event->machine, separator, before, event, after);
	if (junit->open.count)
		output_line(&current(junit)->out, event->machine, separator, before, event, after);
}

static struct test_case *find_or_add(struct junit *junit, const char *title)
{
	struct test_case *added;

	ntd_list_each (struct test_case, each, &junit->cases, link)
		if (!strcmp(each->title, title))
			return each;
	added = ntd_calloc(1, sizeof *added);
	added->title = ntd_strdup(title);
	ntd_list_append(&junit->cases, &added->link);
	return added;
}

static double main_seconds(const struct junit *junit, int64_t now)
{
	return junit->main.seconds +
	       (junit->open.count ? 0 : ntd_seconds(now - junit->outside_since));
}

static double case_seconds(const struct test_case *test_case, int64_t now)
{
	double seconds =
		test_case->seconds + (test_case->open ? ntd_seconds(now - test_case->since) : 0);

	return seconds > 0 ? seconds : 0; /* subtests of several threads are not in each other */
}

static void begin_subtest(struct junit *junit, const struct ntd_event *event)
{
	struct test_case *test_case = find_or_add(junit, event->text);

	junit->main.seconds = main_seconds(junit, event->monotonic);
	ntd_vec_push(&junit->open, (struct open_subtest){event->id, test_case});
	test_case->open++;
	test_case->since = event->monotonic;
}

/* Subtests of several threads may end in any order. */
static void end_subtest(struct junit *junit, const struct ntd_event *event)
{
	size_t i = junit->open.count;
	struct test_case *test_case;

	while (i && junit->open.items[i - 1].id != event->id)
		i--;
	if (!i)
		return;
	test_case = junit->open.items[i - 1].test_case;
	ntd_vec_remove(&junit->open, i - 1);
	if (!junit->open.count)
		junit->outside_since = event->monotonic;
	test_case->open--;
	test_case->seconds += event->seconds;
	if (i > 1)
		junit->open.items[i - 2].test_case->seconds -= event->seconds;
	test_case->failed |= event->failed;
	for (char **pair = event->attributes; pair && *pair; pair += 2)
		if (!strcmp(*pair, "skipped")) {
			free(test_case->skipped);
			test_case->skipped = ntd_strdup(pair[1]);
		}
}

/* ---- the document */

static void write_attribute(xmlTextWriterPtr writer, const char *name, const char *value)
{
	_cleanup_free_ char *text = ntd_outfile_text(value, strlen(value), NTD_CONTROLS_LAYOUT);

	xmlTextWriterWriteAttribute(writer, BAD_CAST name, BAD_CAST text);
}

static void write_time(xmlTextWriterPtr writer, double seconds)
{
	_cleanup_free_ char *text = ntd_asprintf("%.3f", seconds);

	xmlTextWriterWriteAttribute(writer, BAD_CAST "time", BAD_CAST text);
}

static void write_output(xmlTextWriterPtr writer, const struct output *output)
{
	_cleanup_free_ char *text = ntd_outfile_text(ntd_buf_bytes(&output->text), output->text.len,
						     NTD_CONTROLS_LAYOUT);

	if (output->cut)
		xmlTextWriterWriteFormatString(writer, "[%zu bytes before this left out]\n",
					       output->cut);
	xmlTextWriterWriteString(writer, BAD_CAST text);
}

static void write_stream(xmlTextWriterPtr writer, const char *name, const struct output *output)
{
	if (!output->text.len)
		return;
	xmlTextWriterStartElement(writer, BAD_CAST name);
	write_output(writer, output);
	xmlTextWriterEndElement(writer);
}

static bool is_failure(const struct test_case *test_case)
{
	return test_case->failed || test_case->open;
}

static bool has_main(const struct junit *junit)
{
	return is_failure(&junit->main) || (ntd_list_empty(&junit->cases) && !junit->tests_only);
}

static void write_case(xmlTextWriterPtr writer, const struct test_case *test_case, double seconds)
{
	xmlTextWriterStartElement(writer, BAD_CAST "testcase");
	write_attribute(writer, "name", test_case->title);
	write_time(writer, seconds);
	if (is_failure(test_case)) {
		xmlTextWriterStartElement(writer, BAD_CAST "failure");
		write_attribute(writer, "type", "failure");
		write_attribute(writer, "message", "test case failed");
		write_output(writer, &test_case->err);
		if (test_case->open)
			xmlTextWriterWriteString(writer, BAD_CAST "The run ended before this did.");
		xmlTextWriterEndElement(writer);
	} else if (test_case->skipped) {
		xmlTextWriterStartElement(writer, BAD_CAST "skipped");
		write_attribute(writer, "message", test_case->skipped);
		xmlTextWriterEndElement(writer);
	}
	write_stream(writer, "system-out", &test_case->out);
	write_stream(writer, "system-err", &test_case->err);
	xmlTextWriterEndElement(writer);
}

static void write_totals(xmlTextWriterPtr writer, const struct junit *junit, int64_t now)
{
	size_t tests = has_main(junit), failures = is_failure(&junit->main), skipped = 0;

	ntd_list_each (struct test_case, each, &junit->cases, link) {
		tests++;
		failures += is_failure(each);
		skipped += !is_failure(each) && each->skipped;
	}
	xmlTextWriterWriteFormatAttribute(writer, BAD_CAST "tests", "%zu", tests);
	xmlTextWriterWriteFormatAttribute(writer, BAD_CAST "failures", "%zu", failures);
	write_attribute(writer, "errors", "0");
	xmlTextWriterWriteFormatAttribute(writer, BAD_CAST "skipped", "%zu", skipped);
	write_time(writer, ntd_seconds(now - junit->began));
}

static void write_document(const struct junit *junit, struct ntd_outfile *file)
{
	xmlTextWriterPtr writer = ntd_outfile_xml(file);
	int64_t now = ntd_now();

	xmlTextWriterSetIndent(writer, 1);
	xmlTextWriterStartDocument(writer, NULL, "utf-8", NULL);
	xmlTextWriterStartElement(writer, BAD_CAST "testsuites");
	write_totals(writer, junit, now);
	xmlTextWriterStartElement(writer, BAD_CAST "testsuite");
	write_attribute(writer, "name", "NixOS integration test");
	write_totals(writer, junit, now);
	write_stream(writer, "system-out", &junit->out);
	write_stream(writer, "system-err", &junit->err);
	ntd_list_each (struct test_case, each, &junit->cases, link)
		write_case(writer, each, case_seconds(each, now));
	if (has_main(junit))
		write_case(writer, &junit->main, main_seconds(junit, now));
	xmlTextWriterEndDocument(writer);
	xmlFreeTextWriter(writer);
}

/* ---- the file */

static int write_file(const struct junit *junit, const char *path, struct ntd_error **err)
{
	struct ntd_outfile file;

	if (ntd_outfile_open(&file, path, err) < 0)
		return -1;
	write_document(junit, &file);
	return ntd_outfile_close(&file, err);
}

static int replace_file(const struct junit *junit, struct ntd_error **err)
{
	_cleanup_free_ char *new = ntd_asprintf("%s.new", junit->path);

	if (write_file(junit, new, err) < 0) {
		unlink(new);
		return -1;
	}
	if (rename(new, junit->path) < 0)
		return ntd_error_sys(err, errno, "cannot replace %s", junit->path);
	return 0;
}

static void write_report(struct junit *junit)
{
	int64_t began = ntd_now(), ended;

	ntd_error_free(ntd_steal(&junit->error));
	if (junit->replaceable)
		replace_file(junit, &junit->error);
	else
		write_file(junit, junit->path, &junit->error);
	ended = ntd_now();
	junit->not_before = ended + (ended - began) * COST_SHARE;
	junit->write_at = NTD_FOREVER;
}

/* Creates the file, so that a wrong `path` is an error at the start, and finds its absolute path,
 * since a script may change the working directory. */
static int prepare_file(struct junit *junit, const char *path, struct ntd_error **err)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return ntd_error_sys(err, errno, "cannot write %s", path);
	junit->path = realpath(path, NULL);
	if (!junit->path)
		return ntd_error_sys(err, errno, "cannot write %s", path);
	junit->replaceable = S_ISREG(status.st_mode);
	return 0;
}

/* ---- the sink */

/* An error that a subtest has reported is a failure of the subtest, and not also of `main`. */
static void test_error(struct junit *junit, const struct ntd_event *event)
{
	output_line(&junit->err, event->machine, ": ", "", event, "");
	junit->write_at = event->monotonic;
	if (!junit->open.count && event->failed)
		return;
	output_line(&current(junit)->err, event->machine, ": ", "", event, "");
	current(junit)->failed = true;
}

/* A failed case says more than an exit status, so `main` fails only when no case has failed. */
static void run_end(struct junit *junit, const struct ntd_event *event)
{
	bool failed = junit->main.failed;

	ntd_list_each (struct test_case, each, &junit->cases, link)
		failed |= is_failure(each);
	if (!event->failed || failed)
		return;
	output_line(&junit->main.err, NULL, "", "The run ended with ", event, ".");
	junit->main.failed = true;
}

static void step_end(struct junit *junit, const struct ntd_event *event)
{
	_cleanup_free_ char *after = ntd_asprintf(", in %.2f seconds)", event->seconds);

	if (!event->failed)
		log_line(junit, ": ", "(finished: ", event, after);
}

static void junit_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct junit *junit = ntd_container_of(sink, struct junit, sink);

	switch (event->kind) {
	case NTD_EVENT_MESSAGE:
		if (event->level == NTD_LEVEL_ERROR)
			test_error(junit, event);
		else
			log_line(junit, ": ", "", event, "");
		break;
	case NTD_EVENT_NEST_BEGIN:
		log_line(junit, ": ", "", event, "");
		break;
	case NTD_EVENT_NEST_END:
		step_end(junit, event);
		break;
	case NTD_EVENT_SUBTEST_BEGIN:
		begin_subtest(junit, event);
		junit->write_at = ntd_earlier(junit->write_at, junit->not_before);
		break;
	case NTD_EVENT_SUBTEST_END:
		end_subtest(junit, event);
		junit->write_at = ntd_earlier(junit->write_at, junit->not_before);
		break;
	case NTD_EVENT_SERIAL:
		log_line(junit, " # ", "", event, "");
		break;
	case NTD_EVENT_TEST_ERROR:
		test_error(junit, event);
		break;
	case NTD_EVENT_RUN_END:
		run_end(junit, event);
		junit->write_at = event->monotonic;
		break;
	case NTD_EVENT_STATE:
	case NTD_EVENT_COMMAND_END:
	case NTD_EVENT_OUTPUT:
	case NTD_EVENT_KIND_COUNT:
	default:
		break;
	}
}

static void junit_flush(struct ntd_sink *sink)
{
	struct junit *junit = ntd_container_of(sink, struct junit, sink);

	if (junit->replaceable && ntd_now() >= junit->write_at)
		write_report(junit);
}

static void case_clear(struct test_case *test_case)
{
	ntd_buf_free(&test_case->out.text);
	ntd_buf_free(&test_case->err.text);
	free(test_case->title);
	free(test_case->skipped);
}

static void junit_free(struct junit *junit)
{
	struct test_case *each;

	while ((each = ntd_list_take(&junit->cases, struct test_case, link))) {
		case_clear(each);
		free(each);
	}
	case_clear(&junit->main);
	ntd_buf_free(&junit->out.text);
	ntd_buf_free(&junit->err.text);
	ntd_vec_free(&junit->open);
	free(junit->path);
	free(junit);
}

static void junit_close(struct ntd_sink *sink)
{
	struct junit *junit = ntd_container_of(sink, struct junit, sink);

	junit->main.open = 0;
	write_report(junit);
	ntd_outfile_complain(ntd_steal(&junit->error));
	junit_free(junit);
}

struct ntd_sink *ntd_junit_sink(const char *path, struct ntd_error **err)
{
	struct junit *junit = ntd_calloc(1, sizeof *junit);

	junit->sink =
		(struct ntd_sink){.event = junit_event, .flush = junit_flush, .close = junit_close};
	junit->main = (struct test_case){.title = ntd_strdup("main"), .open = 1};
	junit->began = junit->outside_since = ntd_now();
	if (prepare_file(junit, path, err) < 0) {
		junit_free(junit);
		return NULL;
	}
	if (junit->replaceable)
		write_report(junit);
	if (junit->error) {
		ntd_error_move(err, ntd_steal(&junit->error));
		junit_free(junit);
		return NULL;
	}
	return &junit->sink;
}

void ntd_junit_tests_only(struct ntd_sink *sink)
{
	ntd_container_of(sink, struct junit, sink)->tests_only = true;
}
