/* A fixture for tests of VLANs: a loop, a log that can be searched, and a VLAN in a directory of
 * its own.
 */
#pragma once

#include "unit.h"

#include "base/buf.h"
#include "net/vlan.h"

#include "test_net_client.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

struct fixture {
	char base[64], directory[NTD_VLAN_DIRECTORY_MAX + 1];
	struct ntd_loop *loop;
	struct ntd_report *report;
	struct ntd_sink sink;
	pthread_mutex_t mutex; /* guards the log */
	struct ntd_buf log;    /* a line for each message */
	struct ntd_vlan *vlan;
};

static inline void keep_text(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct fixture *fixture = ntd_container_of(sink, struct fixture, sink);

	pthread_mutex_lock(&fixture->mutex);
	ntd_buf_printf(&fixture->log, "%s\n", event->text);
	pthread_mutex_unlock(&fixture->mutex);
}

static inline void close_sink(struct ntd_sink *sink)
{
}

static inline int set_up(void **state)
{
	static struct fixture fixture;
	const char *base = getenv("TMPDIR");

	fixture = (struct fixture){.sink = {.event = keep_text, .close = close_sink}};
	pthread_mutex_init(&fixture.mutex, NULL);
	snprintf(fixture.base, sizeof fixture.base, "%s/ntd-unit-XXXXXX",
		 base && strlen(base) < 40 ? base : "/tmp");
	if (!mkdtemp(fixture.base))
		return -1;
	snprintf(fixture.directory, sizeof fixture.directory, "%s/vde1.ctl", fixture.base);
	fixture.loop = ntd_loop_new(NULL);
	fixture.report = ntd_report_new(NULL);
	if (!fixture.loop || !fixture.report)
		return -1;
	ntd_report_add(fixture.report, &fixture.sink);
	*state = &fixture;
	return 0;
}

/* Fails if a VLAN has left a file behind. */
static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ntd_vlan_free(fixture->vlan);
	ntd_loop_free(fixture->loop);
	ntd_report_free(fixture->report);
	ntd_buf_free(&fixture->log);
	return rmdir(fixture->base);
}

static inline void start(struct fixture *fixture)
{
	struct ntd_error *error = NULL;

	fixture->vlan = ntd_vlan_new(fixture->loop, fixture->report, 1, fixture->directory, &error);
	assert_no_error(error);
	assert_non_null(fixture->vlan);
}

static inline void stop(struct fixture *fixture)
{
	ntd_vlan_free(ntd_steal(&fixture->vlan));
}

static inline void expect_refusal(struct fixture *fixture, const char *directory,
				  const char *message)
{
	struct ntd_error *error = NULL;

	assert_null(ntd_vlan_new(fixture->loop, fixture->report, 1, directory, &error));
	assert_error(error, NTD_E_VALUE, message);
}

/* Returns the log so far, which the caller frees. */
static inline char *logged(struct fixture *fixture)
{
	char *text;

	assert_true(ntd_report_flush(fixture->report, ntd_after(10 * NTD_SECOND)));
	pthread_mutex_lock(&fixture->mutex);
	text = ntd_strndup(ntd_buf_bytes(&fixture->log), fixture->log.len);
	pthread_mutex_unlock(&fixture->mutex);
	return text;
}

static inline unsigned times_logged(struct fixture *fixture, const char *text)
{
	_cleanup_free_ char *log = logged(fixture);
	unsigned count = 0;

	for (const char *at = log; (at = strstr(at, text)); at += strlen(text))
		count++;
	return count;
}

static inline void expect_logged(struct fixture *fixture, const char *text)
{
	if (times_logged(fixture, text) != 1)
		fail_msg("not once: \"%s\" in:\n%s", text, logged(fixture));
}

static inline bool exists(const struct fixture *fixture, const char *name)
{
	char path[120];
	struct stat status;

	snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	return lstat(path, &status) == 0;
}

/* Waits until the switch has noticed the end of a client's connection. */
static inline void wait_for_end_of(struct fixture *fixture, const char *name)
{
	int64_t deadline = ntd_after(10 * NTD_SECOND);

	while (exists(fixture, name) && ntd_now() < deadline)
		ntd_vlan_counts(fixture->vlan);
	assert_false(exists(fixture, name));
}

static inline void expect_hangup(int fd)
{
	char byte;
	ssize_t count = recv(fd, &byte, 1, 0);

	assert_true(count == 0 || (count < 0 && errno == ECONNRESET));
}

static inline void open_clients(struct fixture *fixture, struct vde_client *clients, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(client_open(&clients[i], fixture->directory, (unsigned char)i), 0);
}

static inline void expect_passage(const struct vde_client *from, const struct vde_client *to)
{
	static unsigned char frame[64], got[100];

	frame[0]++;
	assert_int_equal(send(from->data, frame, sizeof frame, MSG_NOSIGNAL), sizeof frame);
	assert_int_equal(recv(to->data, got, sizeof got, 0), sizeof frame);
	assert_memory_equal(frame, got, sizeof frame);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
