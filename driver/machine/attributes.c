/* What a machine is, for any thread: its names, its paths, which a script may set anew, how fast
 * its guest is, and its state, for which the loop thread is asked.
 */
#include "machine/internal.h"

#include <string.h>

/* ---- what it is */

const struct ntd_machine_kind *ntd_machine_kind(const struct ntd_machine *machine)
{
	return machine->kind;
}

const struct ntd_machine_words *ntd_machine_words(const struct ntd_machine *machine)
{
	return &machine->kind->words;
}

const char *ntd_machine_name(const struct ntd_machine *machine)
{
	return machine->name;
}

const struct ntd_machine_context *ntd_machine_context(const struct ntd_machine *machine)
{
	return &machine->context;
}

const char *ntd_machine_state_dir(const struct ntd_machine *machine)
{
	return machine->state_dir;
}

void ntd_machine_replace(struct ntd_machine *machine, char *_Atomic *text, const char *with)
{
	char *before = atomic_exchange(text, with ? ntd_strdup(with) : NULL);

	if (!before)
		return;
	pthread_mutex_lock(&machine->mutex);
	ntd_strv_give(&machine->replaced, before);
	pthread_mutex_unlock(&machine->mutex);
}

void ntd_machine_set_state_dir(struct ntd_machine *machine, const char *directory)
{
	ntd_machine_replace(machine, &machine->state_dir, directory);
}

void ntd_machine_set_shared_dir(struct ntd_machine *machine, const char *directory)
{
	ntd_machine_replace(machine, &machine->shared_dir, directory);
}

void ntd_machine_set_out_dir(struct ntd_machine *machine, const char *directory)
{
	ntd_machine_replace(machine, &machine->out_dir, directory);
	machine->context.out_dir = machine->out_dir;
}

bool ntd_machine_keeps_state(const struct ntd_machine *machine)
{
	return machine->keeps_state;
}

void ntd_machine_set_boot_timeout(struct ntd_machine *machine, double seconds)
{
	machine->context.boot_timeout = seconds;
}

const char *ntd_machine_shared_dir(const struct ntd_machine *machine)
{
	return machine->shared_dir;
}

const char *ntd_machine_script(const struct ntd_machine *machine)
{
	return machine->script;
}

const char *ntd_machine_path(const struct ntd_machine *machine, const char *which)
{
	char *_Atomic *place = machine->kind->path(machine, which);

	return place ? *place : NULL;
}

void ntd_machine_set_path(struct ntd_machine *machine, const char *which, const char *path)
{
	char *_Atomic *place = strcmp(which, "script") != 0 ? machine->kind->path(machine, which)
							    : &machine->script;

	if (place)
		ntd_machine_replace(machine, place, path);
}

struct redirection {
	struct ntd_machine *machine;
	struct ntd_report *report;
};

static void redirect(void *arg)
{
	const struct redirection *redirection = arg;

	redirection->machine->context.report = redirection->report;
	ntd_console_set_report(redirection->machine->console, redirection->report);
	if (redirection->machine->kind->report_changed)
		redirection->machine->kind->report_changed(redirection->machine);
}

void ntd_machine_set_report(struct ntd_machine *machine, struct ntd_report *report)
{
	ntd_loop_call(machine->context.loop, redirect,
		      &(struct redirection){.machine = machine, .report = report});
}

void ntd_machine_sweep_sockets(const struct ntd_machine *machine, const struct ntd_keeper *keeper)
{
	for (const char *const *socket = machine->kind->sockets; *socket; socket++)
		ntd_keeper_sweep(keeper, ntd_machine_path(machine, *socket));
}

bool ntd_machine_is_up(struct ntd_machine *machine)
{
	struct ntd_machine_status status = ntd_machine_status(machine);

	return status.booted &&
	       (machine->kind->is_up_when_booted || status.state == NTD_MACHINE_CONNECTED);
}

struct ntd_console *ntd_machine_console(struct ntd_machine *machine)
{
	return machine->console;
}

struct ntd_report *ntd_machine_report(const struct ntd_machine *machine)
{
	return machine->context.report;
}

const char *ntd_machine_sync_command(const struct ntd_machine *machine)
{
	return machine->kind->sync;
}

/* ---- how fast it is */

double ntd_machine_slowness(const struct ntd_machine *machine)
{
	return machine->kind->slowness ? machine->kind->slowness(machine) : 1;
}

double ntd_machine_time_scale(const struct ntd_machine *machine)
{
	if (machine->context.time_scale != NTD_SCALE_AUTO)
		return machine->context.time_scale;
	return ntd_machine_slowness(machine);
}

double ntd_machine_pace(const struct ntd_machine *machine)
{
	return machine->pace;
}

/* The shortest command counts, since its time tells of the guest and not of the command's work. A
 * longer one doubles the pace at most, so that a guest that becomes slower is believed after a
 * few. */
void ntd_machine_note_pace(struct ntd_machine *machine, double seconds)
{
	double before = machine->pace, most = 2 * (before > 0.05 ? before : 0.05);

	machine->pace = before > 0 && most < seconds ? most : seconds;
}

/* ---- its state */

struct status_query {
	struct ntd_machine *machine;
	struct ntd_machine_status status;
};

static void read_status(void *arg)
{
	struct status_query *query = arg;
	const struct ntd_machine *machine = query->machine;

	query->status = (struct ntd_machine_status){.state = machine->state,
						    .booted = ntd_life_booted(machine),
						    .pid = machine->pid,
						    .starts = (unsigned)machine->processes.count,
						    .ended = machine->ended,
						    .wait_status = machine->wait_status};
}

struct ntd_machine_status ntd_machine_status(struct ntd_machine *machine)
{
	struct status_query query = {.machine = machine};

	ntd_loop_call(machine->context.loop, read_status, &query);
	return query.status;
}

enum ntd_machine_state ntd_machine_state(const struct ntd_machine *machine)
{
	return machine->state;
}
