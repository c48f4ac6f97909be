/* What runs the guest's instructions: KVM, HVF, or TCG, which emulates the processor and is many
 * times slower.
 *
 * QEMU 10.2 and later can be asked for the accelerator. Earlier ones can be asked whether KVM is
 * enabled, and have the translator's statistics with TCG only. The loop thread asks the questions
 * one after the other, so that no other thread waits for the answers.
 */
#include "machine/qemu_internal.h"

#include <ctype.h>
#include <string.h>

/* A new string; NULL: the answer does not tell. */
static char *by_name(const cJSON *answer)
{
	const cJSON *enabled = cJSON_GetObjectItemCaseSensitive(answer, "enabled");
	char *name = cJSON_IsString(enabled) && *enabled->valuestring
			     ? ntd_strdup(enabled->valuestring)
			     : NULL;

	for (char *c = name; c && *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return name;
}

static char *by_kvm(const cJSON *answer)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "enabled")) ? ntd_strdup("KVM")
										 : NULL;
}

static char *by_translator(const cJSON *answer)
{
	return answer ? ntd_strdup("TCG") : NULL;
}

static const struct {
	const char *command;
	char *(*read)(const cJSON *answer); /* NULL: the command failed */
} questions[] = {
	{"query-accelerators", by_name},
	{"query-kvm", by_kvm},
	{"x-query-jit", by_translator},
};
enum { QUESTIONS = sizeof questions / sizeof *questions };

/* Logs the accelerator among the console's lines, where QEMU's own messages are. The line is not
 * part of the console, so scripts do not see it. */
static void tell(struct ntd_qemu *qemu, const char *name)
{
	const struct ntd_machine *machine = qemu->machine;
	bool emulated = !strcmp(name, "TCG");
	char *facts[] = {"accelerator", (char *)name, NULL};
	_cleanup_free_ char *text =
		ntd_asprintf("QEMU runs the guest with %s%s", name,
			     emulated ? ": it emulates the processor, which is slow" : "");

	qemu->emulated = emulated;
	ntd_log_detail(machine->context.report, NTD_DETAIL_RUN, machine->name, "", facts);
	ntd_report_emit(machine->context.report, &(struct ntd_event){.kind = NTD_EVENT_SERIAL,
								     .level = NTD_LEVEL_ALWAYS,
								     .machine = machine->name,
								     .text = text,
								     .text_len = strlen(text)});
}

static void answered(void *owner, const cJSON *reply);

static void ask(struct ntd_qemu *qemu)
{
	qemu->accelerator.question = (struct ntd_qmp_question){.answered = answered, .owner = qemu};
	ntd_qmp_ask(qemu->qmp, &qemu->accelerator.question,
		    questions[qemu->accelerator.number].command, NULL);
}

static void answered(void *owner, const cJSON *reply)
{
	struct ntd_qemu *qemu = owner;
	_cleanup_free_ char *name = questions[qemu->accelerator.number].read(
		cJSON_GetObjectItemCaseSensitive(reply, "return"));

	if (name)
		tell(qemu, name);
	else if (reply && ++qemu->accelerator.number < QUESTIONS)
		ask(qemu);
}

void ntd_accelerator_ask(struct ntd_qemu *qemu)
{
	qemu->accelerator.number = 0;
	qemu->emulated = false;
	ask(qemu);
}
