/* Migrations to and from files. What is marked so runs on the loop thread, the rest on the thread
 * that waits.
 *
 * Theory of operation
 *
 * QEMU 8.2 can write a state to a file by itself; before, it needs a program that does, so that it
 * is `cat`, with QEMU's own search path. QEMU tells of the end by an event, which comes only where
 * it is asked for, and which may come before the reply to the command. What has gone wrong, a query
 * tells then. A QEMU that cannot load a state ends.
 */
#include "qemu/migration.h"

#include "base/text.h"

#include <string.h>

#define PATIENCE (60 * NTD_SECOND) /* for what QEMU answers at once unless its host is stuck */
#define BANDWIDTH 1e12             /* bytes/s: no limit. QEMU's default is 128 MiB/s */

/* One move; it is on the stack of the thread that waits. */
struct move {
	struct ntd_request request;
	struct ntd_qmp *qmp;
	const char *command;
	cJSON *arguments;
	struct ntd_qmp_listener listener;
	struct ntd_qmp_question question;
	bool begun;
	enum { GOES_ON, COMPLETED, FAILED } status;
};

/* ---- loop */

static void forget(struct move *move)
{
	ntd_list_unlink(&move->listener.link);
	ntd_list_unlink(&move->question.link);
}

/* Takes `error`. */
static void finish(struct move *move, struct ntd_error *error)
{
	forget(move);
	ntd_request_complete(&move->request, error);
}

static struct ntd_error *closed(const struct move *move)
{
	return ntd_error_new(NTD_E_DEAD, "%s: QEMU ended while it carried out %s",
			     ntd_qmp_who(move->qmp), move->command);
}

static struct ntd_error *refused(const struct move *move, const cJSON *text)
{
	const char *reason = cJSON_GetStringValue(text);
	_cleanup_free_ char *shown = reason ? ntd_shown(reason, strlen(reason)) : NULL;

	return ntd_error_new(NTD_E_MACHINE, "%s: QEMU: %s: %s", ntd_qmp_who(move->qmp),
			     move->command, shown ? shown : "it gives no reason");
}

static void ask(struct move *move, const char *command, const cJSON *arguments,
		void (*answered)(void *owner, const cJSON *reply))
{
	ntd_list_unlink(&move->question.link);
	move->question = (struct ntd_qmp_question){.answered = answered, .owner = move};
	ntd_qmp_ask(move->qmp, &move->question, command, arguments);
}

static void explained(void *owner, const cJSON *reply)
{
	struct move *move = owner;
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(reply, "return");

	finish(move, reply ? refused(move, cJSON_GetObjectItemCaseSensitive(result, "error-desc"))
			   : closed(move));
}

static void look_if_over(struct move *move)
{
	if (!move->begun || move->status == GOES_ON)
		return;
	if (move->status == COMPLETED)
		finish(move, NULL);
	else
		ask(move, "query-migrate", NULL, explained);
}

static void connection_closed(void *owner, const cJSON *reply)
{
	struct move *move = owner;

	finish(move, closed(move));
}

static void began(void *owner, const cJSON *reply)
{
	struct move *move = owner;
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");

	if (!reply || error) {
		finish(move, error ? refused(move, cJSON_GetObjectItemCaseSensitive(error, "desc"))
				   : closed(move));
		return;
	}
	move->begun = true;
	move->question = (struct ntd_qmp_question){.answered = connection_closed, .owner = move};
	ntd_qmp_await_close(move->qmp, &move->question);
	look_if_over(move);
}

static bool is_mine(void *owner, const cJSON *event)
{
	return true;
}

static void status_changed(void *owner, const cJSON *event)
{
	struct move *move = owner;
	const char *status = ntd_qmp_event_word(event, "status");

	if (!status || move->status != GOES_ON)
		return;
	if (!strcmp(status, "completed"))
		move->status = COMPLETED;
	else if (!strcmp(status, "failed") || !strcmp(status, "cancelled"))
		move->status = FAILED;
	look_if_over(move);
}

static void begin(struct ntd_request *request)
{
	struct move *move = ntd_container_of(request, struct move, request);

	if (!ntd_qmp_is_ready(move->qmp)) {
		finish(move,
		       ntd_error_new(NTD_E_DEAD, "%s has no QMP connection: it is not running",
				     ntd_qmp_who(move->qmp)));
		return;
	}
	ntd_qmp_on(move->qmp, &move->listener);
	ask(move, move->command, move->arguments, began);
}

/* The thread waits no longer. A QEMU that loads cannot be stopped so; whoever has started it ends
 * it. */
static void abandon(struct ntd_request *request)
{
	struct move *move = ntd_container_of(request, struct move, request);

	forget(move);
	if (ntd_qmp_is_ready(move->qmp))
		ntd_qmp_send(move->qmp, "migrate_cancel", NULL);
}

/* ---- the thread that waits */

static int order(struct ntd_qmp *qmp, const char *command, const cJSON *arguments,
		 struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *reply =
		ntd_qmp_execute(qmp, command, arguments, ntd_after(PATIENCE), waiter, err);
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
	struct move move = {.qmp = qmp, .command = command};

	if (!error)
		return reply ? 0 : -1;
	return ntd_error_move(err, refused(&move, cJSON_GetObjectItemCaseSensitive(error, "desc")));
}

static void add_capability(cJSON *list, const char *name, bool state)
{
	cJSON *capability = cJSON_CreateObject();

	cJSON_AddStringToObject(capability, "capability", name);
	cJSON_AddBoolToObject(capability, "state", state);
	cJSON_AddItemToArray(list, capability);
}

static int set_capabilities(struct ntd_qmp *qmp, bool events, bool without_memory,
			    struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *arguments = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(arguments, "capabilities");

	add_capability(list, "events", events);
	add_capability(list, "x-ignore-shared", without_memory);
	return order(qmp, "migrate-set-capabilities", arguments, waiter, err);
}

static int set_bandwidth(struct ntd_qmp *qmp, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *arguments = cJSON_CreateObject();

	cJSON_AddNumberToObject(arguments, "max-bandwidth", BANDWIDTH);
	return order(qmp, "migrate-set-parameters", arguments, waiter, err);
}

static char *address_of(const struct ntd_migration *migration)
{
	_cleanup_free_ char *quoted = ntd_shell_quoted(migration->file);

	return ntd_asprintf("exec:exec cat %s %s", migration->incoming ? "<" : ">", quoted);
}

static int move_state(struct ntd_qmp *qmp, const struct ntd_migration *migration, int64_t deadline,
		      struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *address = address_of(migration);
	_cleanup_cjson_ cJSON *arguments = cJSON_CreateObject();
	struct move move = {.request = {.begin = begin, .abandon = abandon},
			    .qmp = qmp,
			    .command = migration->incoming ? "migrate-incoming" : "migrate",
			    .arguments = arguments,
			    .listener = {.name = "MIGRATION",
					 .heard = status_changed,
					 .is_private = is_mine,
					 .owner = &move}};

	cJSON_AddStringToObject(arguments, "uri", address);
	if (ntd_request_run(ntd_qmp_loop(qmp), &move.request, deadline, waiter, err) == 0)
		return 0;
	return ntd_error_wrap(err, "%s the guest's state",
			      migration->incoming ? "loading" : "writing");
}

int ntd_qmp_migrate(struct ntd_qmp *qmp, const struct ntd_migration *migration, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result;

	if (set_capabilities(qmp, true, migration->without_memory, waiter, err) < 0 ||
	    (!migration->incoming && set_bandwidth(qmp, waiter, err) < 0))
		return -1;
	result = move_state(qmp, migration, deadline, waiter, err);
	if (result == 0)
		set_capabilities(qmp, false, false, waiter, NULL);
	return result;
}
