/* Names and start scripts of machines, from options or from the JSON file, are checked here. */
#include "session/machine_configs.h"

#include "base/text.h"
#include "session/directories.h"

#include <string.h>

/* Names are parts of file names such as vm-state-NAME, which may have 255 bytes. */
#define NAME_BYTES_MAX 200

void ntd_machine_configs_free(struct ntd_machine_configs *machines)
{
	for (size_t i = 0; i < machines->count; i++) {
		free(machines->items[i].name);
		free(machines->items[i].python_name);
		free(machines->items[i].start_script);
	}
	free(machines->items);
	*machines = (struct ntd_machine_configs){0};
}

char *ntd_machine_configs_name(const char *command, const char *suffix)
{
	const char *run = strstr(ntd_file_name(command), "run-");
	const char *name = run ? run + strlen("run-") : "";
	size_t len = strlen(name), tail = strlen(suffix);

	if (len <= tail || !ntd_has_suffix(name, suffix))
		return ntd_strdup("machine");
	return ntd_strndup(name, len - tail);
}

static const char *name_fault(const char *name)
{
	if (!*name)
		return "the name of a machine is empty";
	if (strlen(name) > NAME_BYTES_MAX)
		return "the name of a machine is longer than 200 bytes";
	for (const char *c = name; *c; c++)
		if (*c == '/' || (unsigned char)*c < ' ' || *c == 0x7f)
			return "the name of a machine holds a slash or a control character";
	return NULL;
}

const char *ntd_machine_configs_add(struct ntd_machine_configs *machines, const char *name,
				    const char *script)
{
	const char *fault = name_fault(name);
	size_t at = machines->count;

	if (fault)
		return fault;
	if (!*script)
		return "the start script is empty";
	if (at >= NTD_MACHINES_MAX)
		return "too many machines";
	ntd_vec_push(machines, (struct ntd_machine_config){0});
	for (; at && strcmp(machines->items[at - 1].name, name) > 0; at--)
		machines->items[at] = machines->items[at - 1];
	machines->items[at] = (struct ntd_machine_config){
		.name = ntd_strdup(name),
		.python_name = ntd_python_name(name),
		.start_script = ntd_strdup(script),
	};
	return NULL;
}

bool ntd_machine_configs_has(const struct ntd_machine_configs *machines, const char *name)
{
	for (size_t i = 0; i < machines->count; i++)
		if (!strcmp(machines->items[i].name, name))
			return true;
	return false;
}

void ntd_machine_configs_resolve(struct ntd_machine_configs *machines)
{
	for (size_t i = 0; i < machines->count; i++) {
		char **script = &machines->items[i].start_script;
		_cleanup_free_ char *path = ntd_directories_absolute(*script);

		/* The shell looks a command without a slash up in PATH. */
		if (!strchr(*script, '/') || access(path, F_OK) < 0)
			continue;
		free(*script);
		*script = ntd_shell_quoted(path);
	}
}

static int check_pair(const struct ntd_machine_config *a, const struct ntd_machine_config *b,
		      struct ntd_error **err)
{
	if (!strcmp(a->name, b->name))
		return ntd_error_set(err, NTD_E_USAGE,
				     "two machines are called \"%s\", started by %s and %s",
				     a->name, a->start_script, b->start_script);
	if (!strcmp(a->python_name, b->python_name))
		return ntd_error_set(err, NTD_E_USAGE,
				     "the machines \"%s\" and \"%s\" would both be %s in the test "
				     "script",
				     a->name, b->name, a->python_name);
	return 0;
}

int ntd_machine_configs_check(const struct ntd_machine_configs *vms,
			      const struct ntd_machine_configs *containers, struct ntd_error **err)
{
	size_t count = vms->count + containers->count;
	_cleanup_free_ const struct ntd_machine_config **all = ntd_calloc(count, sizeof *all);

	for (size_t i = 0; i < count; i++) {
		all[i] = i < vms->count ? &vms->items[i] : &containers->items[i - vms->count];
		for (size_t j = 0; j < i; j++)
			if (check_pair(all[j], all[i], err) < 0)
				return -1;
	}
	return 0;
}
