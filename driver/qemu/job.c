/* QMP jobs. The loop thread owns a job from its begin to its end; script threads wait for it.
 *
 * Theory of operation
 *
 * A job has concluded when QEMU says so by an event, which may come before the reply to the command
 * that began the job. The list of jobs then tells of its error, and QEMU keeps it there until it is
 * dismissed. One question to QEMU is pending at a time; while the job runs, it is one that only the
 * end of the connection answers, so a job ends with its QEMU.
 *
 * A job whose waiter has given up is cancelled, and goes through the same steps; it frees itself at
 * the end. Some jobs, such as snapshot-load, cannot be cancelled; they end by themselves.
 */
#include "qemu/job.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum { ID_SIZE = 32 };

struct ntd_qmp_job {
	struct ntd_request request;
	struct ntd_qmp *qmp;
	const char *command;
	cJSON *arguments;
	char id[ID_SIZE];
	struct ntd_qmp_listener concluded_listener;
	struct ntd_qmp_question question;
	bool concluded, begun;
	bool orphaned;           /* no thread waits for it */
	bool ended;              /* the loop thread has nothing to do with it any more */
	struct ntd_error *error; /* of the job */
};

static void job_free(struct ntd_qmp_job *job)
{
	cJSON_Delete(job->arguments);
	ntd_error_free(job->error);
	free(job);
}

static cJSON *named(const struct ntd_qmp_job *job, const char *key)
{
	cJSON *arguments = cJSON_CreateObject();

	cJSON_AddStringToObject(arguments, key, job->id);
	return arguments;
}

/* Takes `error`. */
static void finish(struct ntd_qmp_job *job, struct ntd_error *error)
{
	ntd_list_unlink(&job->concluded_listener.link);
	ntd_list_unlink(&job->question.link);
	job->ended = true;
	if (!job->orphaned) {
		ntd_request_complete(&job->request, error);
		return;
	}
	ntd_error_free(error);
	job_free(job);
}

static void ask(struct ntd_qmp_job *job, const char *command, const cJSON *arguments,
		void (*answered)(void *owner, const cJSON *reply))
{
	ntd_list_unlink(&job->question.link);
	job->question = (struct ntd_qmp_question){.answered = answered, .owner = job};
	ntd_qmp_ask(job->qmp, &job->question, command, arguments);
}

static struct ntd_error *closed(const struct ntd_qmp_job *job)
{
	return ntd_error_new(NTD_E_DEAD, "%s: QEMU ended while it carried out %s",
			     ntd_qmp_who(job->qmp), job->command);
}

/* The description of an error in a reply; NULL: the reply has none. */
static const char *error_text(const cJSON *reply)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");

	if (!error)
		return NULL;
	error = cJSON_GetObjectItemCaseSensitive(error, "desc");
	return cJSON_IsString(error) ? error->valuestring : "it gives no reason";
}

static struct ntd_error *refused(const struct ntd_qmp_job *job, const char *text)
{
	_cleanup_free_ char *shown = ntd_shown(text, strlen(text));

	return ntd_error_new(NTD_E_MACHINE, "%s: QEMU: %s: %s", ntd_qmp_who(job->qmp), job->command,
			     shown);
}

/* ---- the steps, in order of time */

static void dismissed(void *owner, const cJSON *reply)
{
	struct ntd_qmp_job *job = owner;

	finish(job, ntd_steal(&job->error));
}

static void listed(void *owner, const cJSON *reply)
{
	struct ntd_qmp_job *job = owner;
	_cleanup_cjson_ cJSON *arguments = named(job, "id");
	const cJSON *each;

	if (!reply) {
		finish(job, closed(job));
		return;
	}
	cJSON_ArrayForEach (each, cJSON_GetObjectItemCaseSensitive(reply, "return")) {
		const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(each, "id"));
		const char *error =
			cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(each, "error"));

		if (id && !strcmp(id, job->id) && error && !job->error)
			job->error = refused(job, error);
	}
	ask(job, "job-dismiss", arguments, dismissed);
}

static void connection_closed(void *owner, const cJSON *reply)
{
	struct ntd_qmp_job *job = owner;

	finish(job, closed(job));
}

static void look_if_concluded(struct ntd_qmp_job *job)
{
	if (job->begun && job->concluded)
		ask(job, "query-jobs", NULL, listed);
}

static void began(void *owner, const cJSON *reply)
{
	struct ntd_qmp_job *job = owner;
	const char *error = error_text(reply);

	if (!reply || error) {
		finish(job, reply ? refused(job, error) : closed(job));
		return;
	}
	job->begun = true;
	job->question.answered = connection_closed;
	ntd_qmp_await_close(job->qmp, &job->question);
	look_if_concluded(job);
}

static bool is_mine(void *owner, const cJSON *event)
{
	const struct ntd_qmp_job *job = owner;
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(event, "data");
	const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "id"));

	return id && !strcmp(id, job->id);
}

static void status_changed(void *owner, const cJSON *event)
{
	struct ntd_qmp_job *job = owner;
	const char *status = ntd_qmp_event_word(event, "status");

	if (!is_mine(owner, event) || !status || strcmp(status, "concluded") != 0)
		return;
	job->concluded = true;
	look_if_concluded(job);
}

/* ---- its life */

static void begin(struct ntd_request *request)
{
	struct ntd_qmp_job *job = ntd_container_of(request, struct ntd_qmp_job, request);

	if (!ntd_qmp_is_ready(job->qmp)) {
		finish(job, ntd_qmp_not_open(job->qmp));
		return;
	}
	/* No other job has this id as long as QEMU knows of this one: the address is taken. */
	snprintf(job->id, sizeof job->id, "ntd-job-%p", (void *)job);
	cJSON_AddStringToObject(job->arguments, "job-id", job->id);
	ntd_qmp_on(job->qmp, &job->concluded_listener);
	ask(job, job->command, job->arguments, began);
}

/* The job goes on without the request; leave() decides what becomes of it. */
static void abandon(struct ntd_request *request)
{
}

/* The thread waits no longer. */
static void leave(void *arg)
{
	struct ntd_qmp_job *job = arg;
	_cleanup_cjson_ cJSON *arguments = named(job, "id");

	if (job->ended) {
		job_free(job);
		return;
	}
	job->orphaned = true;
	ntd_qmp_send(job->qmp, "job-cancel", arguments);
}

struct ntd_qmp_job *ntd_qmp_job_begin(struct ntd_qmp *qmp, const char *command, cJSON *arguments)
{
	struct ntd_qmp_job *job = ntd_calloc(1, sizeof *job);

	*job = (struct ntd_qmp_job){.request = {.begin = begin, .abandon = abandon},
				    .qmp = qmp,
				    .command = command,
				    .arguments = arguments,
				    .concluded_listener = {.name = "JOB_STATUS_CHANGE",
							   .heard = status_changed,
							   .is_private = is_mine,
							   .owner = job}};
	ntd_request_begin(ntd_qmp_loop(qmp), &job->request);
	return job;
}

int ntd_qmp_job_wait(struct ntd_qmp_job *job, int64_t deadline, struct ntd_waiter *waiter,
		     struct ntd_error **err)
{
	int result = ntd_request_wait(&job->request, deadline, waiter, err);

	ntd_loop_call(ntd_qmp_loop(job->qmp), leave, job);
	return result;
}

int ntd_qmp_job_run(struct ntd_qmp *qmp, const char *command, cJSON *arguments, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_qmp_job_wait(ntd_qmp_job_begin(qmp, command, arguments), deadline, waiter, err);
}
