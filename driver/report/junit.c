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
 *
 * This file is the sink, and decides when the file is written. Both are the work of the report's
 * thread, but for the start and for ntd_junit_tests_only(). The cases are in junit_cases.c, the
 * document in junit_document.c.
 */
#include "report/junit_internal.h"
#include "report/sinks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { COST_SHARE = 20 };

struct junit {
	struct ntd_sink sink;
	struct ntd_junit_cases cases;
	char *path;
	bool replaceable;
	int64_t write_at;        /* when the file is to be replaced */
	int64_t not_before;      /* when a subtest may have it replaced again */
	struct ntd_error *error; /* of the last attempt to write; NULL: the file was written */
};

/* ---- the file */

static int write_file(const struct junit *junit, const char *path, struct ntd_error **err)
{
	struct ntd_outfile file;

	if (ntd_outfile_open(&file, path, err) < 0)
		return -1;
	ntd_junit_write(&junit->cases, &file);
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
	_cleanup_fd_ int fd = ntd_outfile_create(path, 0, err);
	struct stat status;

	if (fd < 0)
		return -1;
	if (fstat(fd, &status) < 0)
		return ntd_error_sys(err, errno, "cannot write %s", path);
	junit->path = realpath(path, NULL);
	if (!junit->path)
		return ntd_error_sys(err, errno, "cannot write %s", path);
	junit->replaceable = S_ISREG(status.st_mode);
	return 0;
}

/* ---- the sink */

static void test_error(struct junit *junit, const struct ntd_event *event)
{
	ntd_junit_test_error(&junit->cases, event);
	junit->write_at = event->monotonic;
}

static void junit_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct junit *junit = ntd_container_of(sink, struct junit, sink);

	switch (event->kind) {
	case NTD_EVENT_MESSAGE:
		if (event->level == NTD_LEVEL_ERROR)
			test_error(junit, event);
		else
			ntd_junit_log_line(&junit->cases, ": ", "", event, "");
		break;
	case NTD_EVENT_NEST_BEGIN:
		ntd_junit_log_line(&junit->cases, ": ", "", event, "");
		break;
	case NTD_EVENT_NEST_END:
		ntd_junit_step_end(&junit->cases, event);
		break;
	case NTD_EVENT_SUBTEST_BEGIN:
		ntd_junit_begin_subtest(&junit->cases, event);
		junit->write_at = ntd_earlier(junit->write_at, junit->not_before);
		break;
	case NTD_EVENT_SUBTEST_END:
		ntd_junit_end_subtest(&junit->cases, event);
		junit->write_at = ntd_earlier(junit->write_at, junit->not_before);
		break;
	case NTD_EVENT_SERIAL:
		ntd_junit_log_line(&junit->cases, " # ", "", event, "");
		break;
	case NTD_EVENT_TEST_ERROR:
		test_error(junit, event);
		break;
	case NTD_EVENT_RUN_END:
		ntd_junit_run_end(&junit->cases, event);
		junit->write_at = event->monotonic;
		break;
	case NTD_EVENT_STATE:
	case NTD_EVENT_COMMAND_END:
	case NTD_EVENT_OUTPUT:
	case NTD_EVENT_BUSY:
	case NTD_EVENT_IDLE:
	case NTD_EVENT_DETAIL:
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

static void junit_free(struct junit *junit)
{
	ntd_junit_cases_clear(&junit->cases);
	free(junit->path);
	free(junit);
}

static void junit_close(struct ntd_sink *sink)
{
	struct junit *junit = ntd_container_of(sink, struct junit, sink);

	junit->cases.main.open = 0;
	write_report(junit);
	ntd_outfile_complain(ntd_steal(&junit->error));
	junit_free(junit);
}

struct ntd_sink *ntd_junit_sink(const char *path, struct ntd_error **err)
{
	struct junit *junit = ntd_calloc(1, sizeof *junit);

	junit->sink =
		(struct ntd_sink){.event = junit_event, .flush = junit_flush, .close = junit_close};
	junit->cases.main = (struct ntd_junit_case){.title = ntd_strdup("main"), .open = 1};
	junit->cases.began = junit->cases.outside_since = ntd_now();
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
	ntd_container_of(sink, struct junit, sink)->cases.tests_only = true;
}
