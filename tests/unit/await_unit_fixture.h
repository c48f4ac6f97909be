/* A systemd on its private socket that the test plays, for tests of the agent's waits for units.
 * Limits are a minute where an answer comes sooner unless something is broken.
 */
#pragma once

#include "await_fixture.h"

#include "agent/dbus.h"
#include "agent/systemd.h"

#include <sys/un.h>

struct server {
	int listener, fd;
	struct ntd_buf in;
	unsigned subscriptions;
	/* What is answered. A state of NULL is answered by an error. */
	const char *state, *name;
	const char *type; /* NULL: the unit is no service */
	uint64_t since;
	uint32_t job, jobs, main_pid;
};

static inline void append_u32(struct ntd_buf *out, uint32_t value)
{
	while (out->len % 4)
		ntd_buf_append(out, "", 1);
	ntd_buf_append(out, &value, sizeof value);
}

static inline void append_string(struct ntd_buf *out, const char *text)
{
	append_u32(out, (uint32_t)strlen(text));
	ntd_buf_append(out, text, strlen(text) + 1);
}

static inline void pad(struct ntd_buf *out)
{
	while (out->len % 8)
		ntd_buf_append(out, "", 1);
}

static inline void put(int fd, const struct ntd_buf *bytes)
{
	assert_int_equal(write(fd, ntd_buf_bytes(bytes), bytes->len), bytes->len);
}

/* Sends a message with some header fields, and a body. */
static inline void send_message(struct server *server, enum ntd_dbus_type type,
				const struct ntd_buf *fields, const struct ntd_buf *body)
{
	const char start[] = {'l', (char)type, 1, 1};
	_cleanup_buf_ struct ntd_buf out = {0};

	ntd_buf_append(&out, start, sizeof start);
	append_u32(&out, (uint32_t)body->len);
	append_u32(&out, 1);
	append_u32(&out, (uint32_t)fields->len);
	ntd_buf_append(&out, ntd_buf_bytes(fields), fields->len);
	pad(&out);
	ntd_buf_append(&out, ntd_buf_bytes(body), body->len);
	put(server->fd, &out);
}

static inline void send_reply(struct server *server, uint32_t serial, const struct ntd_buf *body)
{
	static const char reply[] = {5, 1, 'u', 0}, signature[] = {8, 1, 'g', 0, 1, 'v', 0};
	_cleanup_buf_ struct ntd_buf fields = {0};

	ntd_buf_append(&fields, reply, sizeof reply);
	append_u32(&fields, serial);
	pad(&fields);
	if (body->len)
		ntd_buf_append(&fields, signature, sizeof signature);
	send_message(server, body->len ? NTD_DBUS_RETURN : NTD_DBUS_ERROR, &fields, body);
}

/* Answers Get of one property. */
static inline void send_property(struct server *server, uint32_t serial, struct ntd_dbus_text name)
{
	_cleanup_buf_ struct ntd_buf body = {0};

	if (ntd_dbus_is(name, "NJobs")) {
		ntd_buf_append(&body, "\1u", 3);
		append_u32(&body, server->jobs);
	} else if (ntd_dbus_is(name, "Job")) {
		ntd_buf_append(&body, "\4(uo)", 6);
		pad(&body);
		append_u32(&body, server->job);
		append_string(&body, "/");
	} else if (ntd_dbus_is(name, "ActiveEnterTimestampMonotonic")) {
		ntd_buf_append(&body, "\1t", 3);
		pad(&body);
		ntd_buf_append(&body, &server->since, sizeof server->since);
	} else if (ntd_dbus_is(name, "MainPID") && server->type) {
		ntd_buf_append(&body, "\1u", 3);
		append_u32(&body, server->main_pid);
	} else if (ntd_dbus_is(name, "Type") && server->type) {
		ntd_buf_append(&body, "\1s", 3);
		append_string(&body, server->type);
	} else if (ntd_dbus_is(name, "MainPID") || ntd_dbus_is(name, "Type")) {
		; /* answered by an error */
	} else if (server->state) {
		ntd_buf_append(&body, "\1s", 3);
		append_string(&body, ntd_dbus_is(name, "Id") ? server->name : server->state);
	}
	send_reply(server, serial, &body);
}

static inline void send_signal(struct server *server, const char *path)
{
	static const char field[] = {1, 1, 'o', 0};
	_cleanup_buf_ struct ntd_buf fields = {0}, body = {0};

	ntd_buf_append(&fields, field, sizeof field);
	append_string(&fields, path);
	send_message(server, NTD_DBUS_SIGNAL, &fields, &body);
}

static inline void fill(struct server *server)
{
	ssize_t got = read(server->fd, ntd_buf_reserve(&server->in, 4096), 4096);

	assert_true(got > 0);
	ntd_buf_added(&server->in, (size_t)got);
}

/* The next call that is not Subscribe. */
static inline struct ntd_dbus_message next_call(struct server *server, size_t *taken)
{
	struct ntd_dbus_message message;
	enum ntd_dbus_verdict verdict;

	for (;;) {
		while ((verdict = ntd_dbus_take(ntd_buf_bytes(&server->in), server->in.len,
						&message, taken)) == NTD_DBUS_PARTIAL)
			fill(server);
		assert_int_equal(verdict, NTD_DBUS_WHOLE);
		assert_int_equal(message.type, NTD_DBUS_CALL);
		if (!ntd_dbus_is(message.member, "Subscribe"))
			return message;
		server->subscriptions++;
		ntd_buf_consume(&server->in, *taken);
	}
}

/* Answers the questions of one look, and returns their number. One that asks since when the unit is
 * active asks for its main process last, another one for the number of jobs. */
static inline int serve_look(struct server *server)
{
	const char *last = "NJobs";
	bool over = false;
	int count = 0;

	for (; !over; count++) {
		struct ntd_dbus_text interface, name;
		size_t taken;
		struct ntd_dbus_message call = next_call(server, &taken);

		assert_true(ntd_dbus_is(call.member, "Get"));
		assert_true(ntd_dbus_is(call.signature, "ss"));
		assert_true(ntd_dbus_string(&call, &interface) && ntd_dbus_string(&call, &name));
		send_property(server, call.serial, name);
		if (ntd_dbus_is(name, "ActiveEnterTimestampMonotonic"))
			last = "MainPID";
		over = ntd_dbus_is(name, last);
		ntd_buf_consume(&server->in, taken);
	}
	return count;
}

static inline void greet(struct server *server, const char *greeting)
{
	static const char end[] = "BEGIN\r\n";
	const char *found;

	server->fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server->fd >= 0);
	while (!(found = ntd_find(ntd_buf_bytes(&server->in), server->in.len, end)))
		fill(server);
	assert_int_equal(ntd_buf_bytes(&server->in)[0], 0);
	assert_memory_equal(ntd_buf_bytes(&server->in) + 1, "AUTH EXTERNAL ", 14);
	ntd_buf_consume(&server->in, (size_t)(found - ntd_buf_bytes(&server->in)) + sizeof end - 1);
	assert_int_equal(write(server->fd, greeting, strlen(greeting)), strlen(greeting));
}

static inline struct server start_server(struct fixture *fixture)
{
	struct server server = {.fd = -1, .name = "a.service"};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_free_ char *directory = path_of(fixture, "systemd");

	assert_int_equal(mkdir(directory, 0700), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/private", directory);
	server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(server.listener, 10), 0);
	return server;
}

static inline void stop_server(struct server *server)
{
	ntd_close_fd(&server->fd);
	ntd_close_fd(&server->listener);
	ntd_buf_free(&server->in);
}

#define _cleanup_server_ _cleanup_(stop_server)

static inline struct fixture *begin_here(void **state)
{
	struct fixture *fixture = *state;

	ntd_systemd_run = fixture->directory;
	return begin(state);
}

static const struct ntd_condition unit_a = {
	.kind = NTD_CONDITION_UNIT, .subject = "a.service", .first = true, .limit = 60};

static inline void assert_state(struct fixture *fixture, enum ntd_sight sight, const char *expected)
{
	_cleanup_free_ char *seen = answer(fixture, sight);

	assert_string_equal(seen, expected);
}
