/* How long a machine may take to start, and then to boot: the time-out if one was given, else a
 * limit on its silence, since a guest that goes on printing goes on booting. The time in which QEMU
 * does not run the guest counts too, since QEMU by itself stops a guest at an error of a disk or at
 * a panic: the error then says that the guest is stopped. On script threads.
 */
#include "machine/internal.h"

#include "base/text.h"

#include <string.h>

#define LINE_MOST 300 /* bytes of a console's line in a message */

struct hearing {
	const struct ntd_machine *machine;
	int64_t heard;
};

static void read_hearing(void *arg)
{
	struct hearing *hearing = arg;
	const struct ntd_machine *machine = hearing->machine;
	int64_t channel = ntd_channels_heard(machine);

	hearing->heard = ntd_console_heard(machine->console);
	if (channel > hearing->heard)
		hearing->heard = channel;
}

static double silence(const struct ntd_machine *machine)
{
	return machine->context.boot_silence * ntd_machine_slowness(machine);
}

/* `time` plus seconds, which may be without an end. */
static int64_t later(int64_t time, double seconds)
{
	int64_t span = ntd_span(seconds);

	return span >= NTD_FOREVER - time ? NTD_FOREVER : time + span;
}

int64_t ntd_boot_deadline(struct ntd_machine *machine, int64_t began)
{
	struct hearing hearing = {.machine = machine};
	double total = machine->context.boot_timeout;

	if (total > 0)
		return later(began, total);
	ntd_loop_call(machine->context.loop, read_hearing, &hearing);
	return later(hearing.heard > began ? hearing.heard : began, silence(machine));
}

char *ntd_boot_limit_text(const struct ntd_machine *machine)
{
	double total = machine->context.boot_timeout;

	return total > 0 ? ntd_asprintf("%g seconds", total)
			 : ntd_asprintf("%g seconds of silence", silence(machine));
}

/* The text behind its last occurrence, or NULL. */
static const char *behind_last(const struct ntd_buf *text, const char *part)
{
	const char *at = ntd_buf_bytes(text), *end = at + text->len, *found = NULL;
	size_t len = strlen(part);

	while ((at = memmem(at, (size_t)(end - at), part, len)))
		found = at += len;
	return found;
}

int ntd_boot_given_up(struct ntd_machine *machine, struct ntd_error **err)
{
	/* Printed by systemd of NixOS when the device of the shell was not there in time, after
	 * five minutes: an emulated guest may be slower. It does not try again. */
	static const char given_up[] = "backdoor.service: Job backdoor.service/start failed with";
	static const char boot[] = "Linux version ";
	_cleanup_buf_ struct ntd_buf log = {0};
	_cleanup_free_ char *lines = NULL;
	const char *failed, *booted;

	ntd_console_copy_log(machine->console, &log);
	failed = behind_last(&log, given_up);
	booted = behind_last(&log, boot);
	if (!failed || (booted && booted > failed))
		return 0;
	lines = ntd_machine_last_lines(machine);
	return ntd_machine_error(
		err, machine, NTD_E_MACHINE,
		"the guest's systemd has given up backdoor.service, so there will be no root "
		"shell; if its host is just slow, systemd.default_device_timeout_sec=1800 in "
		"boot.kernelParams makes it wait longer%s",
		lines);
}

void ntd_boot_tell(struct ntd_machine *machine, int64_t began)
{
	_cleanup_free_ char *line = ntd_console_last_line_now(machine->console, LINE_MOST);
	_cleanup_free_ char *awaited =
		machine->kind->awaited ? machine->kind->awaited(machine) : NULL;
	_cleanup_free_ char *slow = awaited ? ntd_asprintf("%s has not answered yet", awaited)
					    : ntd_strdup(machine->kind->words.slow_boot);
	_cleanup_free_ char *so_far = ntd_asprintf(
		"%s, after %.0f seconds%s", slow, ntd_seconds(ntd_now() - began),
		ntd_machine_slowness(machine) > 1 ? " (QEMU emulates its processor, which is slow)"
						  : "");

	if (*line)
		ntd_log(machine->context.report, NTD_LEVEL_ALWAYS, machine->name,
			"%s; the console last said: %s", so_far, line);
	else
		ntd_log(machine->context.report, NTD_LEVEL_ALWAYS, machine->name,
			"%s; nothing is on the console", so_far);
}
