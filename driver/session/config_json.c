/* The JSON configuration that the NixOS test framework writes since NixOS 26.05. Upstream's driver
 * wants every key; here a key with an obvious default may be absent, so that a file written by hand
 * stays short. Unknown keys are ignored, as by upstream's driver. The main thread reads it, before
 * the loop starts.
 */
#include "base/json.h"
#include "session/config.h"

static int read_machine(struct ntd_machine_configs *machines, const struct ntd_json *machine,
			struct ntd_error **err)
{
	struct ntd_json script;
	const char *fault;

	if (ntd_json_expect(machine, cJSON_Object, err) < 0 ||
	    ntd_json_require(machine, "start_script", cJSON_String, &script, err) < 0)
		return -1;
	fault = ntd_machine_configs_add(machines, machine->key, script.value->valuestring);
	return fault ? ntd_json_error(machine, err, "%s", fault) : 0;
}

/* Reads the member `key` of the root: an object of machines by name. */
static int read_machines(struct ntd_machine_configs *machines, const struct ntd_json *root,
			 const char *key, struct ntd_error **err)
{
	struct ntd_json object;
	struct ntd_json machine = {.parent = &object};
	int there = ntd_json_optional(root, key, cJSON_Object, &object, err);

	if (there <= 0)
		return there;
	if (cJSON_GetArraySize(object.value) > NTD_MACHINES_MAX)
		return ntd_json_error(&object, err, "too many machines");
	cJSON_ArrayForEach (machine.value, object.value) {
		machine.key = machine.value->string;
		if (machine.value != ntd_json_member(object.value, machine.key))
			continue; /* a later one of this name counts */
		if (read_machine(machines, &machine, err) < 0)
			return -1;
	}
	return 0;
}

static int read_vlans(struct ntd_numbers *vlans, const struct ntd_json *root,
		      struct ntd_error **err)
{
	struct ntd_json array;
	int there = ntd_json_optional(root, "vlans", cJSON_Array, &array, err);

	return there > 0 ? ntd_values_read_vlans(&array, vlans, err) : there;
}

/* Reads a number of seconds or the text of a duration, as pydantic does for a timedelta. */
static int read_timeout(double *seconds, const struct ntd_json *root, struct ntd_error **err)
{
	struct ntd_json value;
	int status =
		ntd_json_optional(root, "global_timeout", cJSON_Number | cJSON_String, &value, err);

	if (status <= 0)
		return status;
	if (cJSON_IsString(value.value))
		status = ntd_values_parse_seconds(value.value->valuestring, seconds, err);
	else
		status = ntd_values_check_seconds(value.value->valuedouble, seconds, err);
	return status < 0 ? ntd_error_wrap(err, "%s", value.key) : 0;
}

static int read_script(char **script, const struct ntd_json *root, struct ntd_error **err)
{
	struct ntd_json value;

	if (*script)
		return 0;
	if (ntd_json_require(root, "test_script", cJSON_String, &value, err) < 0)
		return -1;
	*script = ntd_strdup(value.value->valuestring);
	return 0;
}

static int read_flag(bool *flag, const struct ntd_json *root, const char *key,
		     struct ntd_error **err)
{
	struct ntd_json value;
	int there = ntd_json_optional(root, key, cJSON_True | cJSON_False, &value, err);

	if (there > 0)
		*flag = cJSON_IsTrue(value.value);
	return there < 0 ? -1 : 0;
}

static int read_root(struct ntd_config *config, const struct ntd_json *root, struct ntd_error **err)
{
	struct ntd_json vms;

	if (ntd_json_expect(root, cJSON_Object, err) < 0)
		return -1;
	/* If both could be absent, a misspelt key would give a run without machines. */
	if (!ntd_json_member(root->value, "containers") &&
	    ntd_json_require(root, "vms", cJSON_Object, &vms, err) < 0)
		return -1;
	if (read_machines(&config->vms, root, "vms", err) < 0 ||
	    read_machines(&config->containers, root, "containers", err) < 0 ||
	    read_vlans(&config->vlans, root, err) < 0 ||
	    read_timeout(&config->global_timeout, root, err) < 0 ||
	    read_flag(&config->enable_ssh_backdoor, root, "enable_ssh_backdoor", err) < 0 ||
	    read_script(&config->test_script, root, err) < 0)
		return -1;
	return ntd_machine_configs_check(&config->vms, &config->containers, err);
}

int ntd_config_from_json(struct ntd_config *config, const cJSON *tree, const char *name,
			 struct ntd_error **err)
{
	struct ntd_json root = {.value = tree};

	if (read_root(config, &root, err) < 0)
		return ntd_error_wrap(err, "%s", name);
	return 0;
}
