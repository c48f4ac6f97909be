/* Waits until a unit of systemd is worth looking at: it is active or has failed, or it is inactive
 * and no job is queued that could start it. A unit is asked for its state at first, when systemd
 * signals that it has changed, and from time to time in case a signal is lost.
 *
 * Whoever asks is never told too soon that a unit is active. An active unit with a queued job may
 * be about to be stopped, as by `systemctl restart --no-block`, so the job is given a moment. And
 * systemd calls a service active as soon as it has forked, unless the service's type has the
 * program say when it is ready: a program that fails at once is seen active before. Such a service
 * counts when it has run for a moment and its main process waits for something, or after a second
 * in any case: a guest that is short of processor time may take much longer than that moment to
 * execute the program at all.
 */
#include "agent/await_internal.h"
#include "agent/processes.h"
#include "agent/systemd.h"

#include <string.h>

/* In ms. */
enum {
	LOOK_EVERY = 250,
	JOB_PATIENCE = 250,
	BEGINNING = 200,       /* a program that fails at once has failed in this time, mostly */
	BEGINNING_MOST = 1000, /* as long as a look of systemctl in each second would take */
	PROCESS_EVERY = 50,
	CONNECT_EVERY = 50
};

/* The names of units are shorter. */
enum { NAME_MOST = 255 };

enum question { STATE, SINCE, NAME, JOB, JOBS, TYPE, MAIN_PID, QUESTIONS };

struct await_unit {
	struct ntd_await await;
	struct ntd_systemd *systemd;
	char *path;      /* of the unit's object */
	char *signalled; /* the same, by its own name, with which it signals */
	struct ntd_systemd_listener listener;
	struct query {
		struct ntd_systemd_query query;
		struct await_unit *unit;
		enum question question;
	} queries[QUESTIONS];
	unsigned pending;   /* queries without an answer */
	bool lost;          /* the connection was lost before all were answered */
	bool nonsense;      /* an answer is none */
	bool changed;       /* the unit has changed since the queries were sent */
	bool answered;      /* all of them have been answered once */
	int64_t busy_since; /* when the unit was first seen active with a job; 0: it was not */
	/* The answers. */
	char *state;
	char *type;     /* of a service; else NULL */
	uint64_t since; /* us of CLOCK_MONOTONIC when it became active */
	uint32_t job, jobs, main_pid;
};

static void look(struct ntd_await *await);

/* ---- the verdict */

static void answer(struct await_unit *unit, enum ntd_sight sight)
{
	_cleanup_buf_ struct ntd_buf seen = {0};

	if (unit->state)
		ntd_buf_printf(&seen, "ActiveState=%s\n", unit->state);
	ntd_await_answer(&unit->await, sight, &seen);
}

/* For how many ms the job of an active unit is still waited for. */
static int64_t job_time(struct await_unit *unit)
{
	int64_t now = ntd_agent_now();

	if (!unit->job)
		return 0;
	if (!unit->busy_since)
		unit->busy_since = now;
	return unit->busy_since + JOB_PATIENCE - now;
}

/* Whether systemd calls the service active when it has just been forked. */
static bool is_active_when_forked(const struct await_unit *unit)
{
	static const char *const types[] = {"simple", "exec", "idle"};

	for (size_t i = 0; unit->type && i < sizeof types / sizeof *types; i++)
		if (!strcmp(unit->type, types[i]))
			return true;
	return false;
}

/* In how many ms the process of an active unit is looked at again; 0: it counts. A service whose
 * process has just ended, and has none any more, may still have been active when it was asked. */
static int64_t process_time(const struct await_unit *unit)
{
	int64_t ran = ntd_agent_now() - (int64_t)(unit->since / 1000);

	if (!is_active_when_forked(unit) || ran >= BEGINNING_MOST)
		return 0;
	if (ran < BEGINNING)
		return ran > 0 ? BEGINNING - ran : BEGINNING;
	return ntd_agent_process_waits((pid_t)unit->main_pid) ? 0 : PROCESS_EVERY;
}

/* Judges an active unit: 0 when it counts, or when to look again, in ms. */
static int64_t active_time(struct await_unit *unit)
{
	int64_t job = job_time(unit), process = process_time(unit);
	int64_t left = job > process ? job : process;

	return left > 0 ? left : 0;
}

static void judge(struct await_unit *unit)
{
	bool active = !strcmp(unit->state, "active");
	int64_t left = active ? active_time(unit) : LOOK_EVERY;

	unit->answered = true;
	if (!active)
		unit->busy_since = 0;
	if (!left || !strcmp(unit->state, "failed") ||
	    (!strcmp(unit->state, "inactive") && !unit->jobs))
		answer(unit, NTD_MEETS);
	else if (unit->changed)
		look(&unit->await);
	else
		ntd_await_again(&unit->await, left);
}

/* ---- questions */

#define UNIT "org.freedesktop.systemd1.Unit"
#define SERVICE "org.freedesktop.systemd1.Service"

/* At which looks a question is asked. Each question takes systemd milliseconds in an emulated
 * guest, so that what does not change, or does not matter for the unit, is asked at the first look
 * only. */
enum looks { EVERY_LOOK, FIRST_LOOK, FIRST_LOOK_OR_JUST_FORKED };

/* The property that answers a question, the type of its value, whether units other than services
 * lack it, and when it is asked for. */
static const struct property {
	const char *interface_and_name[2];
	const char *type;
	bool of_services;
	enum looks looks;
} properties[] = {
	[STATE] = {{UNIT, "ActiveState"}, "s", false, EVERY_LOOK},
	[SINCE] = {{UNIT, "ActiveEnterTimestampMonotonic"}, "t", false, FIRST_LOOK_OR_JUST_FORKED},
	[NAME] = {{UNIT, "Id"}, "s", false, FIRST_LOOK},
	[JOB] = {{UNIT, "Job"}, "(uo)", false, EVERY_LOOK},
	[JOBS] = {{"org.freedesktop.systemd1.Manager", "NJobs"}, "u", false, EVERY_LOOK},
	[TYPE] = {{SERVICE, "Type"}, "s", true, FIRST_LOOK},
	[MAIN_PID] = {{SERVICE, "MainPID"}, "u", true, FIRST_LOOK_OR_JUST_FORKED},
};

/* Reads a string that is part of a line, or a name. */
static bool take_string(struct ntd_dbus_message *message, char **string)
{
	struct ntd_dbus_text text;

	if (!ntd_dbus_string(message, &text) || text.len > NAME_MOST ||
	    memchr(text.bytes, '\0', text.len) || memchr(text.bytes, '\n', text.len))
		return false;
	free(*string);
	*string = ntd_strndup(text.bytes, text.len);
	return true;
}

/* A unit has other names than its own, but signals come by that one. */
static bool take_name(struct await_unit *unit, struct ntd_dbus_message *message)
{
	_cleanup_free_ char *name = NULL;

	if (!take_string(message, &name))
		return false;
	free(unit->signalled);
	unit->signalled = ntd_dbus_unit_path(name);
	unit->listener.path = unit->signalled;
	return true;
}

static bool take_value(struct await_unit *unit, enum question question,
		       struct ntd_dbus_message *message)
{
	struct ntd_dbus_text type;

	if (message->type == NTD_DBUS_ERROR && properties[question].of_services)
		return true;
	if (message->type != NTD_DBUS_RETURN || !ntd_dbus_is(message->signature, "v") ||
	    !ntd_dbus_variant(message, &type) || !ntd_dbus_is(type, properties[question].type))
		return false;
	switch (question) {
	case STATE:
		return take_string(message, &unit->state);
	case SINCE:
		return ntd_dbus_u64(message, &unit->since);
	case NAME:
		return take_name(unit, message);
	case JOB:
		return ntd_dbus_u32(message, &unit->job);
	case JOBS:
		return ntd_dbus_u32(message, &unit->jobs);
	case TYPE:
		return take_string(message, &unit->type);
	case MAIN_PID:
		return ntd_dbus_u32(message, &unit->main_pid);
	case QUESTIONS:
	default:
		return false;
	}
}

static void all_answered(struct await_unit *unit)
{
	if (unit->nonsense)
		ntd_await_answer(&unit->await, NTD_UNSEEN, NULL);
	else if (unit->lost)
		ntd_await_again(&unit->await, CONNECT_EVERY);
	else
		judge(unit);
}

static void take(struct await_unit *unit, enum question question, struct ntd_dbus_message *message)
{
	unit->lost |= !message;
	unit->nonsense |= message && !take_value(unit, question, message);
	if (!--unit->pending)
		all_answered(unit);
}

static void answered(struct ntd_systemd_query *query, struct ntd_dbus_message *message)
{
	struct query *asked = ntd_container_of(query, struct query, query);

	take(asked->unit, asked->question, message);
}

static int ask(struct await_unit *unit, enum question question)
{
	const struct ntd_dbus_call call = {.path = question == JOBS ? "/org/freedesktop/systemd1"
								    : unit->path,
					   .interface = "org.freedesktop.DBus.Properties",
					   .member = "Get",
					   .arguments = properties[question].interface_and_name,
					   .count = 2};

	unit->queries[question] =
		(struct query){{.answered = answered}, .unit = unit, .question = question};
	return ntd_systemd_ask(unit->systemd, &unit->queries[question].query, &call);
}

static bool matters(const struct await_unit *unit, enum question question)
{
	enum looks looks = properties[question].looks;

	return !unit->answered || looks == EVERY_LOOK ||
	       (looks == FIRST_LOOK_OR_JUST_FORKED && is_active_when_forked(unit));
}

/* Asks all questions that matter. False: systemd cannot be asked now. */
static bool ask_all(struct await_unit *unit)
{
	unit->lost = unit->changed = false;
	for (enum question question = 0; question < QUESTIONS; question++) {
		if (!matters(unit, question))
			continue;
		if (ask(unit, question) < 0)
			return false;
		unit->pending++;
	}
	return true;
}

/* ---- the wait */

static void look(struct ntd_await *await)
{
	struct await_unit *unit = (struct await_unit *)await;

	if (unit->pending)
		unit->changed = true;
	else if (!ask_all(unit))
		ntd_await_again(await, CONNECT_EVERY);
}

static void changed(struct ntd_systemd_listener *listener)
{
	look(&ntd_container_of(listener, struct await_unit, listener)->await);
}

static void begin(struct ntd_await *await)
{
	struct await_unit *unit = (struct await_unit *)await;
	const char *name = await->condition.subject;

	if (name && *name && strlen(name) <= NAME_MOST)
		unit->systemd = ntd_systemd_of(await->stream.agent, await->condition.user);
	if (!unit->systemd) {
		ntd_await_answer(await, NTD_UNSEEN, NULL);
		return;
	}
	unit->path = ntd_dbus_unit_path(name);
	unit->listener = (struct ntd_systemd_listener){.path = unit->path, .changed = changed};
	ntd_systemd_listen(unit->systemd, &unit->listener);
	if (!ask_all(unit))
		ntd_await_answer(await, NTD_UNSEEN, NULL);
}

static void over(struct ntd_await *await)
{
	struct await_unit *unit = (struct await_unit *)await;

	answer(unit, unit->answered && !unit->lost ? NTD_FAILS : NTD_UNSEEN);
}

static void free_unit(struct ntd_await *await)
{
	struct await_unit *unit = (struct await_unit *)await;

	for (enum question question = 0; question < QUESTIONS; question++)
		ntd_systemd_forget(&unit->queries[question].query);
	ntd_systemd_ignore(&unit->listener);
	free(unit->path);
	free(unit->signalled);
	free(unit->state);
	free(unit->type);
}

const struct ntd_await_kind ntd_await_unit = {
	.size = sizeof(struct await_unit),
	.begin = begin,
	.again = look,
	.over = over,
	.free = free_unit,
};
