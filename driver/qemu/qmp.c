/* A QMP connection. The loop thread owns the socket and everything that is read from it; scripts'
 * threads come by requests.
 *
 * QEMU writes one JSON object a line. A reply carries the id of its command and goes to the request
 * or the core's question that waits for it. When that has been given up, its reply is dropped; a
 * reply to what a script wrote to the socket by itself goes to the script. The core's listeners
 * hear of an event first; then it is queued until a script takes it, unless it is private.
 */
#include "qemu/qmp.h"

#include "loop/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
	READ_SIZE = 16 << 10,
	MESSAGE_LIMIT = 64 << 20,
	EVENT_LIMIT = 10000, /* beyond it the oldest events are dropped */
	DRAIN_ROUNDS = 256,  /* more than a socket holds */
};

struct ntd_qmp {
	struct ntd_loop *loop;
	char *who;                /* the beginning of errors */
	struct ntd_source socket; /* fd -1: closed */
	struct ntd_buf out, in;
	struct ntd_script_socket script;
	struct ntd_list exchanges;   /* commands without a reply yet */
	struct ntd_list questions;   /* struct ntd_qmp_question: the core's, without a reply yet */
	struct ntd_list event_waits; /* in the order in which events go to them */
	struct ntd_list listeners;   /* struct ntd_qmp_listener */
	cJSON *events;               /* array: those that no script has taken yet */
	unsigned last_id;
	char version[40];     /* of QEMU, as it has greeted; "": it did not say */
	ntd_qmp_ready *ready; /* NULL: it has been called */
	void *owner;          /* of `ready` */
};

/* One command of a script and its reply, or one wait for an event. It is on the stack of the
 * script's thread. */
struct exchange {
	struct ntd_request request;
	struct ntd_qmp *qmp;
	struct ntd_list_link link;
	const char *command; /* NULL: this is a wait for an event */
	const cJSON *arguments;
	cJSON *reply; /* or the event; NULL: it has not come */
	unsigned id;
};

/* ---- sending */

static void send_command(struct ntd_qmp *qmp, const char *command, const cJSON *arguments,
			 unsigned id)
{
	_cleanup_cjson_ cJSON *message = cJSON_CreateObject();
	_cleanup_free_ char *text = NULL;

	cJSON_AddStringToObject(message, "execute", command);
	if (arguments && (arguments->child || cJSON_IsRaw(arguments)))
		cJSON_AddItemToObject(message, "arguments", cJSON_Duplicate(arguments, true));
	cJSON_AddNumberToObject(message, "id", id);
	text = cJSON_PrintUnformatted(message);
	ntd_buf_printf(&qmp->out, "%s\n", text);
	ntd_output_flush(&qmp->socket, &qmp->out);
}

/* ---- receiving */

static void deliver_event(struct ntd_qmp *qmp, cJSON *event)
{
	struct exchange *wait;

	if (ntd_qmp_tell(&qmp->listeners, event)) {
		cJSON_Delete(event);
		return;
	}
	wait = ntd_list_take(&qmp->event_waits, struct exchange, link);
	if (wait) {
		wait->reply = event;
		ntd_request_complete(&wait->request, NULL);
		return;
	}
	cJSON_AddItemToArray(qmp->events, event);
	if (cJSON_GetArraySize(qmp->events) > EVENT_LIMIT)
		cJSON_DeleteItemFromArray(qmp->events, 0);
}

static void deliver_answer(struct ntd_qmp *qmp, const cJSON *id, const cJSON *reply)
{
	ntd_list_each (struct ntd_qmp_question, question, &qmp->questions, link) {
		if (!cJSON_IsNumber(id) || id->valuedouble != question->id)
			continue;
		ntd_list_unlink(&question->link);
		question->answered(question->owner, reply);
		return;
	}
}

/* Whether the reply is to a command of the driver: such commands have the ids from 0 to the last
 * one, and what a script writes to the socket by itself has another id or none. */
static bool is_ours(const struct ntd_qmp *qmp, const cJSON *id)
{
	return cJSON_IsNumber(id) && id->valuedouble >= 0 && id->valuedouble <= qmp->last_id;
}

/* The script gets the reply as QEMU wrote it: cJSON would round large numbers. */
static void deliver_to_script(struct ntd_qmp *qmp, const cJSON *reply)
{
	const char *text = ntd_qmp_text(reply);

	ntd_script_socket_add(&qmp->script, text, strlen(text));
	ntd_script_socket_add(&qmp->script, "\n", 1);
}

/* The command that waits for the reply with this id, or NULL. */
static struct exchange *find_exchange(struct ntd_qmp *qmp, const cJSON *id)
{
	ntd_list_each (struct exchange, exchange, &qmp->exchanges, link)
		if (cJSON_IsNumber(id) && id->valuedouble == exchange->id)
			return exchange;
	return NULL;
}

static void deliver_reply(struct ntd_qmp *qmp, cJSON *reply)
{
	const cJSON *id = cJSON_GetObjectItemCaseSensitive(reply, "id");
	struct exchange *exchange = find_exchange(qmp, id);

	if (!exchange) {
		if (is_ours(qmp, id))
			deliver_answer(qmp, id, reply);
		else
			deliver_to_script(qmp, reply);
		cJSON_Delete(reply);
		return;
	}
	ntd_list_unlink(&exchange->link);
	cJSON_DeleteItemFromObjectCaseSensitive(reply, "id");
	exchange->reply = reply;
	ntd_request_complete(&exchange->request, NULL);
}

static int version_part(const cJSON *version, const char *name)
{
	const cJSON *part = cJSON_GetObjectItemCaseSensitive(version, name);

	return cJSON_IsNumber(part) ? part->valueint : 0;
}

static void note_version(struct ntd_qmp *qmp, const cJSON *greeting)
{
	const cJSON *version = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(greeting, "version"), "qemu");

	*qmp->version = '\0';
	if (cJSON_IsObject(version))
		snprintf(qmp->version, sizeof qmp->version, "%d.%d.%d",
			 version_part(version, "major"), version_part(version, "minor"),
			 version_part(version, "micro"));
}

const char *ntd_qmp_version(const struct ntd_qmp *qmp)
{
	return qmp->version;
}

static void handle(struct ntd_qmp *qmp, cJSON *message)
{
	if (cJSON_HasObjectItem(message, "QMP")) {
		note_version(qmp, cJSON_GetObjectItem(message, "QMP"));
		send_command(qmp, "qmp_capabilities", NULL, 0);
		cJSON_Delete(message);
	} else if (cJSON_HasObjectItem(message, "event")) {
		deliver_event(qmp, message);
	} else if (qmp->ready && cJSON_HasObjectItem(message, "return")) {
		ntd_qmp_ready *ready = ntd_steal(&qmp->ready);

		cJSON_Delete(message);
		ready(qmp->owner, NULL);
	} else {
		deliver_reply(qmp, message);
	}
}

/* Reads once and handles the messages that are complete. Returns what recv() has returned. */
static ssize_t take_in(struct ntd_qmp *qmp)
{
	char *room = ntd_buf_reserve(&qmp->in, READ_SIZE);
	ssize_t got = recv(qmp->socket.fd, room, READ_SIZE, MSG_DONTWAIT);
	cJSON *message;

	if (got <= 0)
		return got;
	ntd_buf_added(&qmp->in, (size_t)got);
	/* A listener may close the connection. */
	while (qmp->socket.fd >= 0 && ntd_qmp_take_message(&qmp->in, &message))
		if (message)
			handle(qmp, message);
	return got;
}

static void socket_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_qmp *qmp = ntd_container_of(source, struct ntd_qmp, socket);
	ssize_t got;

	if (events & EPOLLOUT)
		ntd_output_flush(&qmp->socket, &qmp->out);
	got = take_in(qmp);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) ||
	    qmp->in.len > MESSAGE_LIMIT) {
		_cleanup_error_ struct ntd_error *error =
			ntd_error_new(NTD_E_DEAD, "%s: QEMU closed the QMP connection", qmp->who);

		ntd_qmp_close(qmp, error);
	}
}

void ntd_qmp_drain(struct ntd_qmp *qmp)
{
	for (int i = 0; i < DRAIN_ROUNDS && qmp->socket.fd >= 0 && take_in(qmp) > 0; i++)
		;
}

void ntd_qmp_on(struct ntd_qmp *qmp, struct ntd_qmp_listener *listener)
{
	ntd_list_append(&qmp->listeners, &listener->link);
}

int ntd_qmp_open(struct ntd_qmp *qmp, int fd, ntd_qmp_ready *ready, void *owner,
		 struct ntd_error **err)
{
	ntd_buf_clear(&qmp->in);
	ntd_buf_clear(&qmp->out);
	cJSON_Delete(qmp->events);
	qmp->events = cJSON_CreateArray();
	ntd_script_socket_open(&qmp->script);
	qmp->ready = ready;
	qmp->owner = owner;
	qmp->socket.fd = fd;
	return ntd_source_add(qmp->loop, &qmp->socket, EPOLLIN, err);
}

static void fail_all(struct ntd_list *exchanges, const struct ntd_error *why)
{
	struct exchange *exchange;

	while ((exchange = ntd_list_take(exchanges, struct exchange, link)))
		ntd_request_complete(&exchange->request, ntd_error_copy(why));
}

static void drop_questions(struct ntd_qmp *qmp)
{
	struct ntd_qmp_question *question;

	while ((question = ntd_list_take(&qmp->questions, struct ntd_qmp_question, link)))
		question->answered(question->owner, NULL);
}

void ntd_qmp_close(struct ntd_qmp *qmp, const struct ntd_error *why)
{
	ntd_qmp_ready *ready = ntd_steal(&qmp->ready);

	ntd_source_remove(&qmp->socket);
	ntd_close_fd(&qmp->socket.fd);
	ntd_script_socket_close(&qmp->script);
	fail_all(&qmp->exchanges, why);
	fail_all(&qmp->event_waits, why);
	drop_questions(qmp);
	if (ready)
		ready(qmp->owner, why); /* last, since the owner may call ntd_qmp_free() */
}

static void script_wrote(struct ntd_script_socket *socket, const char *bytes, size_t len)
{
	struct ntd_qmp *qmp = ntd_container_of(socket, struct ntd_qmp, script);

	if (qmp->socket.fd < 0)
		return;
	ntd_buf_append(&qmp->out, bytes, len);
	ntd_output_flush(&qmp->socket, &qmp->out);
}

struct ntd_script_socket *ntd_qmp_socket(struct ntd_qmp *qmp)
{
	return &qmp->script;
}

void ntd_qmp_ask(struct ntd_qmp *qmp, struct ntd_qmp_question *question, const char *command,
		 const cJSON *arguments)
{
	question->id = ++qmp->last_id;
	ntd_list_append(&qmp->questions, &question->link);
	send_command(qmp, command, arguments, question->id);
}

void ntd_qmp_send(struct ntd_qmp *qmp, const char *command, const cJSON *arguments)
{
	send_command(qmp, command, arguments, ++qmp->last_id);
}

void ntd_qmp_await_close(struct ntd_qmp *qmp, struct ntd_qmp_question *question)
{
	question->id = ++qmp->last_id;
	ntd_list_append(&qmp->questions, &question->link);
}

/* ---- script threads */

struct ntd_error *ntd_qmp_not_open(const struct ntd_qmp *qmp)
{
	return ntd_error_new(NTD_E_DEAD, "%s has no QMP connection: it is not running", qmp->who);
}

static void exchange_begin(struct ntd_request *request)
{
	struct exchange *exchange = ntd_container_of(request, struct exchange, request);
	struct ntd_qmp *qmp = exchange->qmp;

	ntd_script_socket_pull(&qmp->script);
	if (!exchange->command && cJSON_GetArraySize(qmp->events)) {
		exchange->reply = cJSON_DetachItemFromArray(qmp->events, 0);
		ntd_request_complete(request, NULL);
	} else if (qmp->socket.fd < 0) {
		ntd_request_complete(request, ntd_qmp_not_open(qmp));
	} else if (exchange->command) {
		exchange->id = ++qmp->last_id;
		ntd_list_append(&qmp->exchanges, &exchange->link);
		send_command(qmp, exchange->command, exchange->arguments, exchange->id);
	} else {
		ntd_list_append(&qmp->event_waits, &exchange->link);
	}
}

static void exchange_abandon(struct ntd_request *request)
{
	ntd_list_unlink(&ntd_container_of(request, struct exchange, request)->link);
}

static cJSON *run(struct ntd_qmp *qmp, const char *command, const cJSON *arguments,
		  int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct exchange exchange = {.request = {.begin = exchange_begin,
						.abandon = exchange_abandon,
						.looks = !command},
				    .qmp = qmp,
				    .command = command,
				    .arguments = arguments};

	if (ntd_request_run(qmp->loop, &exchange.request, deadline, waiter, err) == 0)
		return exchange.reply;
	cJSON_Delete(exchange.reply); /* which may have come just when the wait was given up */
	ntd_error_wrap(err, "%s: %s%s", qmp->who,
		       command ? "QMP command " : "waiting for a QMP event",
		       command ? command : "");
	return NULL;
}

cJSON *ntd_qmp_execute(struct ntd_qmp *qmp, const char *command, const cJSON *arguments,
		       int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return run(qmp, command, arguments, deadline, waiter, err);
}

cJSON *ntd_qmp_next_event(struct ntd_qmp *qmp, int64_t deadline, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	return run(qmp, NULL, NULL, deadline, waiter, err);
}

struct events_query {
	const struct ntd_qmp *qmp;
	size_t count;
};

static void count_events(void *arg)
{
	struct events_query *query = arg;

	query->count = (size_t)cJSON_GetArraySize(query->qmp->events);
}

size_t ntd_qmp_count_events(struct ntd_qmp *qmp)
{
	struct events_query query = {.qmp = qmp};

	ntd_loop_call(qmp->loop, count_events, &query);
	return query.count;
}

/* ---- life */

struct ntd_qmp *ntd_qmp_new(struct ntd_loop *loop, const char *who)
{
	struct ntd_qmp *qmp = ntd_calloc(1, sizeof *qmp);

	*qmp = (struct ntd_qmp){.loop = loop,
				.who = ntd_strdup(who),
				.socket = {.fd = -1, .ready = socket_ready},
				.events = cJSON_CreateArray()};
	ntd_script_socket_init(&qmp->script, loop, script_wrote);
	return qmp;
}

bool ntd_qmp_is_ready(const struct ntd_qmp *qmp)
{
	return qmp->socket.fd >= 0 && !qmp->ready;
}

struct ntd_loop *ntd_qmp_loop(const struct ntd_qmp *qmp)
{
	return qmp->loop;
}

const char *ntd_qmp_who(const struct ntd_qmp *qmp)
{
	return qmp->who;
}

static void read_fd(void *arg)
{
	struct ntd_qmp **qmp = arg;

	if (!ntd_qmp_is_ready(*qmp))
		*qmp = NULL;
}

bool ntd_qmp_is_open(struct ntd_qmp *qmp)
{
	struct ntd_loop *loop = qmp->loop;

	ntd_loop_call(loop, read_fd, &qmp);
	return qmp;
}

void ntd_qmp_free(struct ntd_qmp *qmp)
{
	if (!qmp)
		return;
	cJSON_Delete(qmp->events);
	ntd_buf_free(&qmp->in);
	ntd_buf_free(&qmp->out);
	ntd_script_socket_free(&qmp->script);
	free(qmp->who);
	free(qmp);
}
