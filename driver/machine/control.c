/* The calls of script threads that begin a machine's life: start and connect. */
#include "machine/internal.h"

/* How often the log says that a boot still goes on. */
#define BOOT_NOTICE (30 * NTD_SECOND)

/* ---- start */

struct call {
	struct ntd_machine *machine;
	bool flag;
};

static bool can_launch(const struct ntd_machine *machine)
{
	return machine->state == NTD_MACHINE_DOWN || machine->state == NTD_MACHINE_DEAD;
}

struct preparation {
	struct ntd_machine *machine;
	struct ntd_start_order order;
	bool joins; /* the machine is starting or up, by the order of another start */
};

static void look(void *arg)
{
	struct preparation *preparation = arg;

	preparation->joins = preparation->machine->order.line && !can_launch(preparation->machine);
}

/* If the machine is already starting, its command line is kept. */
static void prepare(void *arg)
{
	struct preparation *preparation = arg;
	struct ntd_machine *machine = preparation->machine;
	struct ntd_start_order before = machine->order;

	look(preparation);
	if (preparation->joins)
		return;
	machine->order = preparation->order;
	preparation->order = before;
}

static void set_booted(void *arg)
{
	struct call *call = arg;

	call->machine->booted = NTD_AS_IT_IS;
	if (call->flag != ntd_machine_state_booted(call->machine->state))
		call->machine->booted = call->flag ? NTD_SAID_UP : NTD_SAID_DOWN;
}

void ntd_machine_set_booted(struct ntd_machine *machine, bool booted)
{
	ntd_loop_call(machine->context.loop, set_booted,
		      &(struct call){.machine = machine, .flag = booted});
}

/* Ends the process of a machine that a script has said is down, so that it is not in the way of the
 * next start. */
static int end_disowned(struct ntd_machine *machine, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	struct ntd_life_wait wait = {.kind = NTD_WAIT_GONE};
	struct ntd_machine_status status = ntd_machine_status(machine);

	if (!ntd_life_is_disowned(&status))
		return 0;
	ntd_machine_release(machine, NTD_SECOND, NTD_FOREVER);
	return ntd_life_wait(machine, &wait, NTD_FOREVER, waiter, err);
}

static void add_options(struct ntd_start_order *order, const char *options)
{
	char *line = ntd_asprintf("%s%s", order->line, options);

	free(order->line);
	order->line = line;
}

/* Those of the machine take precedence over those of the run and of the script. */
static void add_variables(const struct ntd_machine *machine, struct ntd_start_order *order)
{
	for (size_t i = 0; i < machine->variables.count; i++)
		order->env = ntd_environment_set(order->env, machine->variables.items[i].name,
						 machine->variables.items[i].value);
}

/* `options` are more words for QEMU, "" or each after a space. */
static int prepare_start(struct ntd_machine *machine, bool allow_reboot, const char *options,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct preparation preparation = {.machine = machine};
	struct ntd_machine_hooks hooks = ntd_machine_hooks_for(machine, waiter);
	int result = 0;

	if (end_disowned(machine, waiter, err) < 0)
		return -1;
	ntd_loop_call(machine->context.loop, look, &preparation);
	if (preparation.joins)
		return 0;
	if (hooks.start_command)
		result = hooks.start_command(hooks.owner, allow_reboot, &preparation.order, waiter,
					     err);
	if (result == 0) {
		machine->kind->complete_order(machine, allow_reboot, &preparation.order);
		add_options(&preparation.order, options);
		add_variables(machine, &preparation.order);
		machine->allow_reboot = allow_reboot;
		ntd_loop_call(machine->context.loop, prepare, &preparation);
		result = ntd_machine_make_directories(machine, true, err);
	}
	free(preparation.order.line);
	ntd_strv_free(preparation.order.env);
	return result;
}

static int start_timed_out(struct ntd_machine *machine, struct ntd_error **err)
{
	_cleanup_free_ char *lines = ntd_machine_last_lines(machine);
	_cleanup_free_ char *limit = ntd_boot_limit_text(machine);

	ntd_machine_release(machine, 0, NTD_FOREVER);
	return ntd_machine_error(err, machine, NTD_E_TIMEOUT, "%s within %s%s",
				 machine->kind->words.late_start, limit, lines);
}

static int finish_start(struct ntd_machine *machine, struct ntd_life_wait *wait,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	int64_t began = ntd_now(), deadline = ntd_boot_deadline(machine, began);

	for (;;) {
		struct ntd_error *error = NULL;

		if (ntd_request_wait(&wait->request, deadline, waiter, &error) == 0)
			return 0;
		if (error->code != NTD_E_TIMEOUT)
			return ntd_error_move(err, error);
		ntd_error_free(error);
		deadline = ntd_boot_deadline(machine, began);
		if (ntd_now() >= deadline)
			return start_timed_out(machine, err);
		*wait = (struct ntd_life_wait){.kind = NTD_WAIT_START, .joins = true};
		ntd_life_begin(machine, wait);
	}
}

static int start(struct ntd_machine *machine, enum ntd_machine_event event, bool allow_reboot,
		 struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_life_wait wait = {.kind = NTD_WAIT_START, .event = event};

	if (prepare_start(machine, allow_reboot, "", waiter, err) < 0)
		return -1;
	ntd_life_begin(machine, &wait);
	return finish_start(machine, &wait, waiter, err);
}

int ntd_life_begin_stopped(struct ntd_machine *machine, const char *options,
			   struct ntd_life_wait *wait, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	*wait = (struct ntd_life_wait){.kind = NTD_WAIT_START, .event = NTD_MACHINE_RESTORE};
	if (prepare_start(machine, machine->allow_reboot, options, waiter, err) < 0)
		return -1;
	ntd_life_begin(machine, wait);
	return 0;
}

int ntd_life_finish_stopped(struct ntd_machine *machine, struct ntd_life_wait *wait,
			    struct ntd_waiter *waiter, struct ntd_error **err)
{
	return finish_start(machine, wait, waiter, err);
}

int ntd_life_start_stopped(struct ntd_machine *machine, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	struct ntd_life_wait wait;

	if (ntd_life_begin_stopped(machine, " -S", &wait, waiter, err) < 0)
		return -1;
	return finish_start(machine, &wait, waiter, err);
}

int ntd_machine_start(struct ntd_machine *machine, bool allow_reboot, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	return start(machine, NTD_MACHINE_START, allow_reboot, waiter, err);
}

/* Adds a machine's error to the message; returns whether the error was an interruption. */
static bool add_failure(struct ntd_buf *failures, const struct ntd_machine *machine,
			const struct ntd_error *error)
{
	ntd_buf_printf(failures, "\n%s: %s", machine->name, error->message);
	return error->code == NTD_E_CANCELLED;
}

int ntd_machine_start_all(struct ntd_machine *const *machines, size_t count,
			  struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ struct ntd_life_wait *waits = ntd_calloc(count, sizeof *waits);
	_cleanup_buf_ struct ntd_buf failures = {0};
	bool cancelled = false;

	for (size_t i = 0; i < count && !cancelled; i++) {
		_cleanup_error_ struct ntd_error *error = NULL;

		waits[i] =
			(struct ntd_life_wait){.kind = NTD_WAIT_START, .event = NTD_MACHINE_START};
		if (prepare_start(machines[i], false, "", waiter, &error) == 0)
			waits[i].machine = machines[i];
		else
			cancelled = add_failure(&failures, machines[i], error);
	}
	for (size_t i = 0; i < count && !cancelled; i++)
		if (waits[i].machine)
			ntd_life_begin(machines[i], &waits[i]);
	/* Every start that has begun is waited for, whatever happens to the others. */
	for (size_t i = 0; i < count; i++) {
		_cleanup_error_ struct ntd_error *error = NULL;

		if (waits[i].request.loop &&
		    finish_start(machines[i], &waits[i], waiter, &error) < 0)
			cancelled |= add_failure(&failures, machines[i], error);
	}
	if (cancelled)
		return ntd_error_set(err, NTD_E_CANCELLED, "interrupted");
	if (failures.len)
		return ntd_error_set(err, NTD_E_MACHINE,
				     "Failed to start the following machines:%.*s",
				     (int)failures.len, ntd_buf_bytes(&failures));
	return 0;
}

/* ---- connect */

/* Sets the error of a boot that began at `began`, a time of ntd_now(), and took too long. */
static int not_in_time(struct ntd_machine *machine, int64_t began, struct ntd_error **err)
{
	_cleanup_free_ char *remark = ntd_machine_remark(machine, began);
	_cleanup_free_ char *lines = ntd_machine_last_lines(machine);
	_cleanup_free_ char *limit = ntd_boot_limit_text(machine);
	_cleanup_free_ char *awaited =
		machine->kind->awaited ? machine->kind->awaited(machine) : NULL;
	_cleanup_free_ char *late = awaited ? ntd_asprintf("%s did not answer in time", awaited)
					    : ntd_strdup(machine->kind->words.late_boot);

	return ntd_machine_error(err, machine, NTD_E_TIMEOUT, "%s (%s)%s%s", late, limit,
				 *remark ? remark : "; the guest may not have booted",
				 *lines ? lines : ", it printed nothing");
}

static int wait_for_shell(struct ntd_machine *machine, struct ntd_life_wait *wait,
			  struct ntd_waiter *waiter, struct ntd_error **err)
{
	int64_t began = ntd_now(), notice = began + BOOT_NOTICE;

	for (;;) {
		_cleanup_error_ struct ntd_error *error = NULL;
		int64_t deadline = ntd_boot_deadline(machine, began);

		if (ntd_life_wait(machine, wait, ntd_earlier(deadline, notice), waiter, &error) ==
		    0)
			return 0;
		if (error->code != NTD_E_TIMEOUT)
			return ntd_error_move(err, ntd_steal(&error));
		if (ntd_boot_given_up(machine, err) < 0)
			return -1;
		if (ntd_now() >= ntd_boot_deadline(machine, began))
			return not_in_time(machine, began, err);
		if (ntd_now() >= notice) {
			ntd_boot_tell(machine, began);
			notice = ntd_after(BOOT_NOTICE);
		}
	}
}

static int connect_now(struct ntd_machine *machine, struct ntd_waiter *waiter,
		       struct ntd_error **err)
{
	struct ntd_life_wait wait = {.kind = NTD_WAIT_CONNECT};
	int64_t began;
	int result;

	if (start(machine, NTD_MACHINE_NEED, false, waiter, err) < 0)
		return -1;
	began = ntd_now();
	result = wait_for_shell(machine, &wait, waiter, err);
	if (result == 0)
		machine->kind->connected(machine, &wait, ntd_seconds(ntd_now() - began));
	free(wait.said);
	return result;
}

int ntd_machine_connect(struct ntd_machine *machine, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	struct ntd_life_wait passed = {.kind = NTD_WAIT_PASSED};
	struct ntd_nest nest;
	int result;

	/* To wait for another thread's snapshot is no boot. */
	if (ntd_machine_state_passes(machine->state) &&
	    ntd_life_wait(machine, &passed, NTD_FOREVER, waiter, err) < 0)
		return -1;
	if (machine->state == NTD_MACHINE_CONNECTED)
		return 0;
	if (!ntd_machine_has_channel(machine, NTD_CHANNEL_ANY))
		return ntd_machine_error(
			err, machine, NTD_E_MACHINE,
			"this needs a root shell in the guest, and root_shell is False; use_ssh() "
			"and login() are other ways in; what works without one: the console, the "
			"screen, keys, the monitor, QMP and forwarded ports");
	nest = ntd_machine_step_begin(machine, NTD_STEP_BOOT, machine->kind->words.boot_step);
	ntd_log_busy(machine->context.report, machine->name, "", 0, machine->context.boot_timeout);
	result = connect_now(machine, waiter, err);
	ntd_log_idle(machine->context.report);
	ntd_nest_end(&nest, result < 0);
	return result;
}

static void disconnect(void *arg)
{
	struct call *call = arg;

	if (call->flag)
		ntd_channels_reboot(call->machine);
	ntd_life_event(call->machine, NTD_MACHINE_DISCONNECT);
}

void ntd_machine_disconnect(struct ntd_machine *machine, bool new_boot)
{
	ntd_loop_call(machine->context.loop, disconnect,
		      &(struct call){.machine = machine, .flag = new_boot});
}

void ntd_machine_assume_shell(struct ntd_machine *machine)
{
	ntd_life_feed(machine, NTD_MACHINE_ANNOUNCED);
}

static void meet(void *arg)
{
	struct call *call = arg;

	if (ntd_channels_unmet(call->machine))
		ntd_life_event(call->machine, NTD_MACHINE_ANNOUNCED);
	call->flag = call->machine->state == NTD_MACHINE_CONNECTED;
}

bool ntd_machine_meet(struct ntd_machine *machine)
{
	struct call call = {.machine = machine};

	ntd_loop_call(machine->context.loop, meet, &call);
	return call.flag;
}
