/* Commands of scripts with which QEMU saves the guest's state, loads another, or moves the guest to
 * another QEMU. On script threads.
 *
 * A saved state can only be loaded where the same devices are. The data ports (channel/port.h) come
 * and go, so a state is saved and loaded without them: before such a command they are taken away,
 * and the agent with them. The next command of a script that needs one brings it back. QEMU has no
 * event that tells of a loaded state.
 *
 * A script that writes such a command to a socket of QEMU's by itself, or to a QMP connection of
 * its own, has to do so before the first command in the guest, or under --no-agent.
 */
#include "machine/qemu_internal.h"

#include "base/text.h"

#include <string.h>

/* QEMU takes a port away in milliseconds, unless it is very busy. */
#define PATIENCE (5 * NTD_SECOND)

/* Those of the monitor and those of QMP. */
static const struct {
	const char *name;
	bool loads;
} commands[] = {
	{"savevm", false},          {"loadvm", true},   {"snapshot-save", false},
	{"snapshot-load", true},    {"migrate", false}, {"migrate_incoming", true},
	{"migrate-incoming", true},
};

static int before(struct ntd_machine *machine, const char *command, size_t len,
		  struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (machine->kind != &ntd_qemu_kind)
		return 0;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strlen(commands[i].name) == len && !memcmp(commands[i].name, command, len))
			return ntd_qemu_ports_clear(machine->parts, commands[i].loads,
						    ntd_after(PATIENCE), waiter, err);
	return 0;
}

int ntd_machine_before_monitor(struct ntd_machine *machine, const char *line,
			       struct ntd_waiter *waiter, struct ntd_error **err)
{
	const char *word = line + strspn(line, " \t");

	return before(machine, word, strcspn(word, " \t\r\n"), waiter, err);
}

/* The line of a human-monitor-command. The arguments may be raw text. */
static char *line_of(const cJSON *arguments)
{
	_cleanup_cjson_ cJSON *parsed =
		cJSON_IsRaw(arguments) ? cJSON_Parse(arguments->valuestring) : NULL;
	const char *line = cJSON_GetStringValue(
		cJSON_GetObjectItemCaseSensitive(parsed ? parsed : arguments, "command-line"));

	return ntd_strdup(line ? line : "");
}

int ntd_machine_before_qmp(struct ntd_machine *machine, const char *command, const cJSON *arguments,
			   struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *line = NULL;

	if (strcmp(command, "human-monitor-command") != 0)
		return before(machine, command, strlen(command), waiter, err);
	line = line_of(arguments);
	return ntd_machine_before_monitor(machine, line, waiter, err);
}
