/* A report, and a pipe in place of the terminal that a terminal sink writes to. */
#pragma once

#include "unit.h"

#include "report/sinks.h"

#include "base/buf.h"

#include <fcntl.h>
#include <signal.h>

struct fixture {
	struct ntd_report *report;
	int read_fd, write_fd; /* a pipe in place of a terminal */
};

static inline int set_up(void **state)
{
	static struct fixture fixture;
	int fds[2];

	signal(SIGPIPE, SIG_IGN); /* as CPython does */
	fixture.report = ntd_report_new(NULL);
	if (!fixture.report || pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	fixture.read_fd = fds[0];
	fixture.write_fd = fds[1];
	*state = &fixture;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_report_free(ntd_steal(&fixture->report));
	ntd_close_fd(&fixture->read_fd);
	ntd_close_fd(&fixture->write_fd);
	return 0;
}

/* Ends the report and returns what the terminal sink has written. */
static inline char *terminal_output(struct fixture *fixture)
{
	struct ntd_buf output = {0};
	ssize_t count;

	ntd_report_free(ntd_steal(&fixture->report));
	ntd_close_fd(&fixture->write_fd);
	while ((count = read(fixture->read_fd, ntd_buf_reserve(&output, 4096), 4096)) > 0)
		ntd_buf_added(&output, (size_t)count);
	return ntd_buf_take_string(&output);
}

static inline void emit(struct fixture *fixture, struct ntd_event event)
{
	event.text_len = event.text_len ? event.text_len : strlen(event.text);
	ntd_report_emit(fixture->report, &event);
	ntd_report_settle(fixture->report);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
