/* Making and freeing a machine, its channels, and messages and errors about it. On script threads,
 * except the two functions that a channel calls on the loop thread. The calls that begin a
 * machine's life are in control.c, the calls that end it in stop.c; what happens on the loop thread
 * is in life.c and launch.c; the attributes are in attributes.c.
 */
#include "machine/internal.h"

#include "base/text.h"
#include "base/tree.h"

#include <errno.h>
#include <sys/stat.h>

/* ---- making one */

static int make_private(const char *directory, struct ntd_error **err)
{
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return ntd_error_sys(err, errno, "cannot make %s", directory);
	return 0;
}

int ntd_machine_make_directories(struct ntd_machine *machine, bool keep_state,
				 struct ntd_error **err)
{
	if (!keep_state && access(machine->state_dir, F_OK) == 0)
		ntd_machine_cleanup_state_dir(machine);
	if (make_private(machine->state_dir, err) < 0 || make_private(machine->shared_dir, err) < 0)
		return ntd_error_wrap(err, "machine '%s'", machine->name);
	return 0;
}

struct ntd_machine *ntd_machine_new_bare(const struct ntd_machine_context *context,
					 const struct ntd_machine_kind *kind, const char *name,
					 const char *script)
{
	struct ntd_machine *machine = ntd_calloc(1, sizeof *machine);

	machine->kind = kind;
	machine->context = *context;
	pthread_mutex_init(&machine->mutex, NULL);
	machine->context.tmp_dir = machine->tmp_dir = ntd_strdup(context->tmp_dir);
	machine->context.socket_dir = machine->socket_dir = ntd_strdup(context->socket_dir);
	machine->out_dir = ntd_strdup(context->out_dir);
	machine->context.out_dir = machine->out_dir;
	machine->name = ntd_strdup(name);
	machine->script = ntd_strdup(script);
	machine->state_dir = ntd_asprintf("%s/vm-state-%s", context->tmp_dir, name);
	machine->shared_dir = ntd_asprintf("%s/shared-xchg", context->tmp_dir);
	machine->raw_fd = machine->console_end = -1;
	machine->kill.expired = ntd_life_kill_expired;
	machine->console = ntd_console_new(context->loop, context->report, name);
	machine->parts = kind->make(machine);
	return machine;
}

struct ntd_machine *ntd_machine_new(const struct ntd_machine_context *context,
				    const struct ntd_machine_kind *kind, const char *name,
				    const char *script, bool keep_state, struct ntd_error **err)
{
	struct ntd_machine *machine = ntd_machine_new_bare(context, kind, name, script);

	machine->keeps_state = keep_state;
	if (ntd_machine_make_directories(machine, keep_state, err) < 0) {
		ntd_machine_free(machine);
		return NULL;
	}
	return machine;
}

void ntd_machine_set_hooks(struct ntd_machine *machine, const struct ntd_machine_hooks *hooks)
{
	pthread_mutex_lock(&machine->mutex);
	machine->hooks = *hooks;
	pthread_mutex_unlock(&machine->mutex);
}

void ntd_machine_set_variable(struct ntd_machine *machine, const char *name, const char *value)
{
	ntd_vec_push(&machine->variables,
		     (struct ntd_machine_variable){ntd_strdup(name), ntd_strdup(value)});
}

void ntd_machine_copy_variables(struct ntd_machine *machine, const struct ntd_machine *from)
{
	for (size_t i = 0; i < from->variables.count; i++)
		ntd_machine_set_variable(machine, from->variables.items[i].name,
					 from->variables.items[i].value);
}

struct ntd_machine_hooks ntd_machine_hooks(struct ntd_machine *machine)
{
	struct ntd_machine_hooks hooks;

	pthread_mutex_lock(&machine->mutex);
	hooks = machine->hooks;
	pthread_mutex_unlock(&machine->mutex);
	return hooks;
}

struct ntd_machine_hooks ntd_machine_hooks_for(struct ntd_machine *machine,
					       const struct ntd_waiter *waiter)
{
	return waiter && waiter->owner ? ntd_machine_hooks(machine) : (struct ntd_machine_hooks){0};
}

int ntd_machine_before_command(struct ntd_machine *machine, struct ntd_waiter *waiter,
			       struct ntd_error **err)
{
	struct ntd_machine_hooks hooks = ntd_machine_hooks_for(machine, waiter);

	return hooks.before_command ? hooks.before_command(hooks.owner, waiter, err) : 0;
}

/* ---- messages about it */

void ntd_machine_mute(struct ntd_machine *machine, bool muted)
{
	machine->muted = muted;
}

void ntd_machine_say(struct ntd_machine *machine, const char *fmt, ...)
{
	_cleanup_free_ char *text = ntd_formatted(fmt);

	if (!machine->muted)
		ntd_log(machine->context.report, NTD_LEVEL_ALWAYS, machine->name, "%s", text);
}

struct ntd_nest ntd_machine_step_begin(struct ntd_machine *machine, enum ntd_step step,
				       const char *text)
{
	if (machine->muted)
		return (struct ntd_nest){0};
	return ntd_nest_begin(machine->context.report, step, machine->name, "%s", text);
}

/* ---- its end */

static void forget_process(void *arg)
{
	struct ntd_machine *machine = arg;

	_cleanup_error_ struct ntd_error *freed =
		ntd_error_new(NTD_E_DEAD, "machine '%s' is no more", machine->name);

	ntd_life_close(machine, freed);
	ntd_timer_cancel(&machine->kill);
	if (machine->process)
		ntd_process_let_go(ntd_steal(&machine->process));
}

void ntd_machine_free(struct ntd_machine *machine)
{
	if (!machine)
		return;
	ntd_loop_call(machine->context.loop, forget_process, machine);
	ntd_channels_forget(machine);
	machine->kind->free(machine->parts);
	ntd_console_free(machine->console);
	ntd_close_fd(&machine->raw_fd);
	ntd_error_free(machine->death);
	free(machine->start_failure);
	ntd_processes_free(machine);
	for (size_t i = 0; i < machine->variables.count; i++) {
		free(machine->variables.items[i].name);
		free(machine->variables.items[i].value);
	}
	ntd_vec_free(&machine->variables);
	free(machine->order.line);
	ntd_strv_free(machine->order.env);
	free(machine->name);
	free(machine->script);
	free(machine->tmp_dir);
	free(machine->socket_dir);
	free(machine->out_dir);
	free(machine->state_dir);
	free(machine->shared_dir);
	ntd_strv_free(machine->replaced);
	pthread_mutex_destroy(&machine->mutex);
	free(machine);
}

void ntd_machine_cleanup_state_dir(struct ntd_machine *machine)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	if (ntd_tree_remove(machine->state_dir, &error) < 0)
		ntd_log(machine->context.report, NTD_LEVEL_WARNING, machine->name, "%s",
			error->message);
	if (machine->muted)
		return;
	ntd_log(machine->context.report, NTD_LEVEL_ALWAYS, NULL,
		"deleting machine state directory %s", machine->state_dir);
	ntd_log(machine->context.report, NTD_LEVEL_ALWAYS, NULL,
		"if you want to keep the machine state, pass --keep-machine-state");
}

/* ---- its channels */

static void channel_ready(void *owner, struct ntd_channel *channel, const char *said, size_t len)
{
	struct ntd_machine *machine = owner;

	free(channel->said);
	channel->said = said ? ntd_bytes_repr(said, len) : NULL;
	channel->ready = channel->unmet = true;
	ntd_channel_refused(channel, NULL);
	if (machine->kind->channel_ready)
		machine->kind->channel_ready(machine);
	ntd_life_announce(machine);
}

/* A thread that waits for a channel is told all the same that this one became ready (`unmet`
 * stays). Its command then fails with an error that says what is wrong, and no wait goes on for
 * ever. */
static void channel_lost(void *owner, struct ntd_channel *channel)
{
	struct ntd_machine *machine = owner;

	channel->ready = false;
	if (machine->kind->channel_lost)
		machine->kind->channel_lost(machine, channel);
}

static void channel_refused(void *owner, struct ntd_channel *channel, const struct ntd_error *why)
{
	struct ntd_machine *machine = owner;

	ntd_channel_withdraw(channel);
	ntd_channel_refused(channel, why);
	if (ntd_channels_refusal(machine))
		ntd_life_finish_waits(machine, NTD_WAIT_CONNECT, ntd_channels_refusal(machine));
}

void ntd_machine_add_channel(struct ntd_machine *machine, struct ntd_channel *channel)
{
	struct ntd_channel *_Atomic *place = &machine->channels;

	channel->owner = (struct ntd_channel_owner){.ready = channel_ready,
						    .lost = channel_lost,
						    .refused = channel_refused,
						    .owner = machine};
	pthread_mutex_lock(&machine->mutex);
	while (*place)
		place = &(*place)->next;
	*place = channel;
	pthread_mutex_unlock(&machine->mutex);
	ntd_machine_replace(machine, &channel->user, ntd_machine_user(machine));
}

void ntd_machine_set_user(struct ntd_machine *machine, const char *user)
{
	for (struct ntd_channel *channel = machine->channels; channel; channel = channel->next)
		ntd_machine_replace(machine, &channel->user, user);
}

const char *ntd_machine_user(const struct ntd_machine *machine)
{
	const struct ntd_channel *first = machine->channels;

	return first ? first->user : NULL;
}

/* ---- errors about it */

char *ntd_machine_last_lines(const struct ntd_machine *machine)
{
	_cleanup_free_ char *tail = ntd_console_tail_now(machine->console, NTD_TAIL_LINES);

	return *tail ? ntd_asprintf("; last console lines:\n%s", tail) : ntd_strdup("");
}

struct remark {
	const struct ntd_machine *machine;
	int64_t since;
	char *text;
};

static void make_remark(void *arg)
{
	struct remark *remark = arg;

	remark->text = remark->machine->kind->remark(remark->machine, remark->since);
}

char *ntd_machine_remark(const struct ntd_machine *machine, int64_t since)
{
	struct remark remark = {.machine = machine, .since = since};
	_cleanup_free_ char *text = NULL;

	if (machine->kind->remark)
		ntd_loop_call(machine->context.loop, make_remark, &remark);
	text = remark.text;
	return text ? ntd_asprintf("; %s", text) : ntd_strdup("");
}

int ntd_machine_error(struct ntd_error **err, const struct ntd_machine *machine, enum ntd_errc code,
		      const char *fmt, ...)
{
	_cleanup_free_ char *text = ntd_formatted(fmt);

	return ntd_error_set(err, code, "machine '%s': %s", machine->name, text);
}
