/* The life of a machine on the loop thread: events, waits, and death. Its start is in launch.c;
 * what depends on the kind of machine is in qemu_kind.c and container_kind.c.
 *
 * Pending commands and waits end with the machine's process: the loop thread reads what the process
 * had written, then fails them all with one error, which says how the process ended and what was
 * last on the console.
 */
#include "machine/internal.h"

#include "base/text.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* ---- waits */

/* Tells a wait which channel is ready. */
static void introduce(struct ntd_machine *machine, struct ntd_life_wait *wait)
{
	const struct ntd_channel *channel = ntd_machine_channel(machine, NTD_CHANNEL_WAY_IN);

	wait->channel = channel ? channel->name : NULL;
	wait->said = channel && channel->said ? ntd_strdup(channel->said) : NULL;
}

void ntd_life_finish_waits(struct ntd_machine *machine, enum ntd_life_wait_kind kind,
			   const struct ntd_error *error)
{
	ntd_list_each (struct ntd_life_wait, wait, &machine->waits, link) {
		if (wait->kind != kind)
			continue;
		ntd_list_unlink(&wait->link);
		if (kind == NTD_WAIT_CONNECT && !error)
			introduce(machine, wait);
		ntd_request_complete(&wait->request, ntd_error_copy(error));
	}
}

static bool anyone_waits(const struct ntd_machine *machine, enum ntd_life_wait_kind kind)
{
	ntd_list_each (struct ntd_life_wait, wait, &machine->waits, link)
		if (wait->kind == kind)
			return true;
	return false;
}

static struct ntd_error *refusal(const struct ntd_machine *machine)
{
	if (machine->state == NTD_MACHINE_DEAD && machine->death)
		return ntd_error_copy(machine->death);
	return ntd_error_new(NTD_E_DEAD, "machine '%s' %s", machine->name,
			     ntd_machine_refusal(machine->state));
}

/* ---- the end */

void ntd_life_close(struct ntd_machine *machine, const struct ntd_error *why)
{
	ntd_channels_close(machine, why);
	machine->kind->close(machine, why);
	ntd_close_fd(&machine->console_end);
	ntd_console_close(machine->console, why);
}

/* The error that ends every pending call. The console has been read to its end before. */
struct ntd_error *ntd_life_obituary(struct ntd_machine *machine, const char *how)
{
	_cleanup_free_ char *tail = ntd_console_tail(machine->console, NTD_TAIL_LINES);
	const char *panic = ntd_console_panic(machine->console);

	return ntd_error_new(NTD_E_DEAD, "machine '%s': %s%s%s%s%s", machine->name, how,
			     panic ? "; the guest's kernel panicked: " : "", panic ? panic : "",
			     *tail ? "; last console lines:\n" : "", tail);
}

static void process_ended(struct ntd_machine *machine)
{
	bool killed;
	_cleanup_free_ char *how = NULL;

	machine->ended = true;
	machine->booted = NTD_AS_IT_IS;
	machine->wait_status = machine->process->status;
	ntd_processes_end(machine, machine->wait_status);
	machine->pid = 0;
	ntd_console_drain(machine->console);
	how = machine->kind->how_it_ended(machine);
	ntd_error_free(machine->death);
	/* The driver kills a process whose start has failed, and then tells why the start failed. A
	 * process that has ended by itself is why the start failed. */
	killed = WIFSIGNALED(machine->wait_status) && WTERMSIG(machine->wait_status) == SIGKILL;
	machine->death = ntd_life_obituary(
		machine, machine->start_failure && killed ? machine->start_failure : how);
	free(ntd_steal(&machine->start_failure));
	ntd_life_event(machine, NTD_MACHINE_EXIT);
	ntd_life_finish_waits(machine, NTD_WAIT_PROCESS, NULL);
}

static void process_gone(struct ntd_machine *machine)
{
	ntd_timer_cancel(&machine->kill);
	ntd_process_let_go(ntd_steal(&machine->process));
	ntd_life_finish_waits(machine, NTD_WAIT_GONE, NULL);
}

static void process_failed(struct ntd_machine *machine)
{
	ntd_error_free(machine->death);
	machine->death = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': cannot run its start command in %s: %s",
		machine->name, machine->state_dir, strerror(machine->process->start_errno));
	ntd_life_event(machine, NTD_MACHINE_EXIT);
	process_gone(machine);
}

static void process_changed(struct ntd_process *process, void *owner)
{
	struct ntd_machine *machine = owner;

	switch (process->state) {
	case NTD_PROCESS_RUNNING:
		machine->pid = process->pid;
		ntd_processes_add(machine, process->pid);
		if (machine->kind->running)
			machine->kind->running(machine);
		break;
	case NTD_PROCESS_ENDED:
		process_ended(machine);
		break;
	case NTD_PROCESS_GONE:
		process_gone(machine);
		break;
	case NTD_PROCESS_FAILED:
		process_failed(machine);
		break;
	case NTD_PROCESS_STARTING:
	default:
		break;
	}
}

void ntd_life_kill_expired(struct ntd_timer *timer)
{
	struct ntd_machine *machine = ntd_container_of(timer, struct ntd_machine, kill);

	if (machine->process)
		ntd_process_kill_tree(machine->process);
}

void ntd_life_terminate(struct ntd_machine *machine, int64_t grace)
{
	if (!machine->process)
		return;
	if (!grace) {
		ntd_process_kill_tree(machine->process);
		return;
	}
	ntd_process_signal(machine->process, SIGTERM);
	ntd_timer_set(machine->context.loop, &machine->kill, ntd_after(grace));
}

void ntd_life_start_failed(struct ntd_machine *machine, struct ntd_error *error)
{
	free(machine->start_failure);
	machine->start_failure = ntd_strdup(error->message);
	ntd_error_free(error);
	if (machine->process) { /* its end fails all waits */
		ntd_process_kill_tree(machine->process);
		return;
	}
	ntd_error_free(machine->death);
	machine->death = ntd_life_obituary(machine, machine->start_failure);
	free(ntd_steal(&machine->start_failure));
	ntd_life_event(machine, NTD_MACHINE_EXIT);
}

/* ---- events */

void ntd_life_announce(struct ntd_machine *machine)
{
	if (anyone_waits(machine, NTD_WAIT_CONNECT))
		ntd_life_event(machine, NTD_MACHINE_ANNOUNCED);
}

static void launch(struct ntd_machine *machine)
{
	struct ntd_error *error = NULL;

	/* The end of the last process is known; its descendants are being killed. */
	if (machine->process)
		process_gone(machine);
	machine->ended = false;
	machine->booted = NTD_AS_IT_IS;
	if (ntd_launch(machine, process_changed, &error) < 0)
		ntd_life_start_failed(machine, error);
}

static void end(struct ntd_machine *machine)
{
	_cleanup_error_ struct ntd_error *ended = ntd_error_new(
		NTD_E_DEAD, "machine '%s' was shut down in the meantime", machine->name);

	ntd_life_close(machine, ended);
	ntd_life_finish_waits(machine, NTD_WAIT_START, ended);
	ntd_life_finish_waits(machine, NTD_WAIT_CONNECT, ended);
	ntd_life_finish_waits(machine, NTD_WAIT_UNUSED, ended);
	ntd_life_finish_waits(machine, NTD_WAIT_PASSED, ended);
}

static void time_boot(struct ntd_machine *machine, enum ntd_machine_state next)
{
	if (next == NTD_MACHINE_CONNECTED && machine->boot_began)
		machine->boot_time = ntd_now() - machine->boot_began;
	if (next != NTD_MACHINE_UP)
		machine->boot_began = next == NTD_MACHINE_STARTING ? ntd_now() : 0;
}

int64_t ntd_machine_boot_time(const struct ntd_machine *machine)
{
	return machine->boot_time;
}

/* Tells the report that the machine is in the state `next`, unless it was before. */
static void enter_state(struct ntd_machine *machine, enum ntd_machine_state next)
{
	enum ntd_machine_state before = machine->state;
	const char *to = ntd_machine_state_name(next);

	if (next == before)
		return;
	machine->state = next;
	if (next == NTD_MACHINE_UP || next == NTD_MACHINE_CONNECTED)
		ntd_life_finish_waits(machine, NTD_WAIT_PASSED, NULL);
	time_boot(machine, next);
	ntd_report_emit(machine->context.report,
			&(struct ntd_event){.kind = NTD_EVENT_STATE,
					    .machine = machine->name,
					    .text = to,
					    .text_len = strlen(to),
					    .from = ntd_machine_state_name(before),
					    .to = to});
}

enum ntd_machine_action ntd_life_event(struct ntd_machine *machine, enum ntd_machine_event event)
{
	struct ntd_machine_step step = ntd_machine_step(machine->state, event);

	if (step.action == NTD_ACTION_REFUSE)
		return step.action;
	enter_state(machine, step.next);
	switch (step.action) {
	case NTD_ACTION_LAUNCH:
		launch(machine);
		break;
	case NTD_ACTION_FINISH_START:
		ntd_life_finish_waits(machine, NTD_WAIT_START, NULL);
		break;
	case NTD_ACTION_CONNECTED:
		ntd_life_finish_waits(machine, NTD_WAIT_CONNECT, NULL);
		ntd_channels_meet(machine);
		break;
	case NTD_ACTION_DEATH:
		ntd_life_close(machine, machine->death);
		ntd_life_finish_waits(machine, NTD_WAIT_START, machine->death);
		ntd_life_finish_waits(machine, NTD_WAIT_CONNECT, machine->death);
		ntd_life_finish_waits(machine, NTD_WAIT_UNUSED, machine->death);
		ntd_life_finish_waits(machine, NTD_WAIT_PASSED, machine->death);
		break;
	case NTD_ACTION_END:
		end(machine);
		break;
	case NTD_ACTION_NOTHING:
	case NTD_ACTION_REFUSE:
	default:
		break;
	}
	return step.action;
}

struct feed {
	struct ntd_machine *machine;
	enum ntd_machine_event event;
};

static void run_event(void *arg)
{
	const struct feed *feed = arg;

	ntd_life_event(feed->machine, feed->event);
}

void ntd_life_feed(struct ntd_machine *machine, enum ntd_machine_event event)
{
	ntd_loop_call(machine->context.loop, run_event,
		      &(struct feed){.machine = machine, .event = event});
}

bool ntd_life_is_disowned(const struct ntd_machine_status *status)
{
	return !status->booted && ntd_machine_state_booted(status->state);
}

bool ntd_life_booted(const struct ntd_machine *machine)
{
	if (machine->booted == NTD_AS_IT_IS)
		return ntd_machine_state_booted(machine->state);
	return machine->booted == NTD_SAID_UP;
}

/* ---- the waiting side */

static void begin_start(struct ntd_life_wait *wait)
{
	struct ntd_machine *machine = wait->machine;

	if (ntd_life_booted(machine) && machine->state != NTD_MACHINE_STOPPING) {
		ntd_request_complete(&wait->request, NULL);
		return;
	}
	if (wait->joins && machine->state != NTD_MACHINE_STARTING &&
	    machine->state != NTD_MACHINE_RESTORING) {
		ntd_request_complete(&wait->request, refusal(machine));
		return;
	}
	ntd_list_append(&machine->waits, &wait->link);
	if (!wait->joins && ntd_life_event(machine, wait->event) == NTD_ACTION_REFUSE) {
		ntd_list_unlink(&wait->link);
		ntd_request_complete(&wait->request, refusal(machine));
	}
}

static void begin_connect(struct ntd_life_wait *wait)
{
	struct ntd_machine *machine = wait->machine;

	if (machine->state == NTD_MACHINE_CONNECTED) {
		introduce(machine, wait);
		ntd_request_complete(&wait->request, NULL);
	} else if (ntd_machine_state_passes(machine->state)) {
		ntd_list_append(&machine->waits, &wait->link);
	} else if (machine->state != NTD_MACHINE_UP) {
		ntd_request_complete(&wait->request, refusal(machine));
	} else if (ntd_channels_refusal(machine)) {
		ntd_request_complete(&wait->request, ntd_error_copy(ntd_channels_refusal(machine)));
	} else {
		ntd_list_append(&machine->waits, &wait->link);
		if (ntd_channels_unmet(machine))
			ntd_life_event(machine, NTD_MACHINE_ANNOUNCED);
	}
}

static void begin_gone(struct ntd_life_wait *wait)
{
	const struct ntd_machine *machine = wait->machine;
	/* Another thread may have started the machine again, whose new process may not be there
	 * yet. */
	bool superseded = wait->process && ntd_processes_has_ended(machine, wait->process) &&
			  (!machine->ended || wait->process < machine->processes.count);

	if (!machine->process || superseded)
		ntd_request_complete(&wait->request, NULL);
	else
		ntd_list_append(&wait->machine->waits, &wait->link);
}

static void begin_process(struct ntd_life_wait *wait)
{
	if (ntd_processes_has_ended(wait->machine, wait->process))
		ntd_request_complete(&wait->request, NULL);
	else
		ntd_list_append(&wait->machine->waits, &wait->link);
}

static void begin_passed(struct ntd_life_wait *wait)
{
	if (ntd_machine_state_passes(wait->machine->state))
		ntd_list_append(&wait->machine->waits, &wait->link);
	else
		ntd_request_complete(&wait->request, NULL);
}

void ntd_life_unused(struct ntd_machine *machine)
{
	if (!machine->users)
		ntd_life_finish_waits(machine, NTD_WAIT_UNUSED, NULL);
}

static void begin(struct ntd_request *request)
{
	struct ntd_life_wait *wait = ntd_container_of(request, struct ntd_life_wait, request);

	switch (wait->kind) {
	case NTD_WAIT_START:
		begin_start(wait);
		break;
	case NTD_WAIT_CONNECT:
		begin_connect(wait);
		break;
	case NTD_WAIT_PROCESS:
		begin_process(wait);
		break;
	case NTD_WAIT_PASSED:
		begin_passed(wait);
		break;
	case NTD_WAIT_UNUSED:
		ntd_list_append(&wait->machine->waits, &wait->link);
		ntd_life_unused(wait->machine);
		break;
	case NTD_WAIT_GONE:
	default:
		begin_gone(wait);
		break;
	}
}

static void abandon(struct ntd_request *request)
{
	ntd_list_unlink(&ntd_container_of(request, struct ntd_life_wait, request)->link);
}

void ntd_life_begin(struct ntd_machine *machine, struct ntd_life_wait *wait)
{
	wait->request.begin = begin;
	wait->request.abandon = abandon;
	wait->machine = machine;
	ntd_request_begin(machine->context.loop, &wait->request);
}

int ntd_life_wait(struct ntd_machine *machine, struct ntd_life_wait *wait, int64_t deadline,
		  struct ntd_waiter *waiter, struct ntd_error **err)
{
	ntd_life_begin(machine, wait);
	return ntd_request_wait(&wait->request, deadline, waiter, err);
}
