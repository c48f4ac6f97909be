/* What the silence of a QEMU machine means, on the loop thread.
 *
 * The driver notices two things without the end of the process, each by the `verdict` timer: a
 * shell that hung up while QEMU lives, and a kernel panic, told by the console or by an event of
 * QMP, after which the shell stays silent.
 */
#include "machine/qemu_internal.h"

#define HANG_UP_PATIENCE (1 * NTD_SECOND)
#define PANIC_PATIENCE (3 * NTD_SECOND)

/* A panic was that of an earlier boot. */
static void forget_panic(struct ntd_qemu *qemu)
{
	qemu->panicked = qemu->guest.panic_told = false;
	ntd_console_forget_panic(qemu->machine->console);
}

static struct ntd_error *judgement(struct ntd_qemu *qemu, const char *what)
{
	_cleanup_free_ char *how = ntd_guest_state_describe(
		&qemu->guest, what, ntd_console_panic(qemu->machine->console));
	struct ntd_error *error = ntd_life_obituary(qemu->machine, how);

	error->code = NTD_E_MACHINE;
	return error;
}

static void fail_for_hang_up(struct ntd_qemu *qemu)
{
	_cleanup_error_ struct ntd_error *error = judgement(qemu, "Shell disconnected");
	struct ntd_channel *agent = ntd_agent_channel_of(qemu->agent);

	agent->ops->close(agent, error);
	ntd_shell_refuse(qemu->shell, error);
	if (!ntd_qemu_ssh_is_used(qemu))
		ntd_life_finish_waits(qemu->machine, NTD_WAIT_CONNECT, error);
}

/* The root shell's connection stays, by which a guest announces itself that boots again. */
static void fail_for_panic(struct ntd_qemu *qemu)
{
	_cleanup_error_ struct ntd_error *error =
		judgement(qemu, "the guest does not answer any more");
	struct ntd_channel *shell = ntd_shell_channel(qemu->shell);

	ntd_shell_refuse(qemu->shell, error);
	for (struct ntd_channel *channel = qemu->machine->channels; channel;
	     channel = channel->next) {
		if (channel == shell)
			continue;
		channel->ops->close(channel, error);
		ntd_channel_withdraw(channel);
	}
	ntd_qemu_ssh_closed(qemu);
	ntd_life_finish_waits(qemu->machine, NTD_WAIT_CONNECT, error);
}

static void verdict_expired(struct ntd_timer *timer)
{
	struct ntd_qemu *qemu = ntd_container_of(timer, struct ntd_qemu, verdict);

	if (qemu->panicked && ntd_channels_heard(qemu->machine) == qemu->panic_heard)
		fail_for_panic(qemu);
	else if (ntd_shell_hung_up(qemu->shell))
		fail_for_hang_up(qemu);
}

void ntd_qemu_verdict_panicked(struct ntd_qemu *qemu)
{
	qemu->panicked = true;
	qemu->panic_heard = ntd_channels_heard(qemu->machine);
	ntd_timer_set(qemu->machine->context.loop, &qemu->verdict, ntd_after(PANIC_PATIENCE));
}

/* After a panic there is nothing more to wait for. */
void ntd_qemu_verdict_was_reset(struct ntd_qemu *qemu)
{
	if (qemu->panicked && qemu->verdict.loop) {
		ntd_timer_cancel(&qemu->verdict);
		verdict_expired(&qemu->verdict);
	}
	forget_panic(qemu);
}

void ntd_qemu_verdict_hung_up(struct ntd_qemu *qemu)
{
	ntd_timer_set(qemu->machine->context.loop, &qemu->verdict, ntd_after(HANG_UP_PATIENCE));
}

void ntd_qemu_verdict_answered(struct ntd_qemu *qemu)
{
	forget_panic(qemu);
	ntd_timer_cancel(&qemu->verdict);
}

void ntd_qemu_verdict_make(struct ntd_qemu *qemu)
{
	qemu->verdict.expired = verdict_expired;
}
