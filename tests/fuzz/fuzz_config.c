/* Fuzzes the JSON configuration, from its text to the machines. cJSON has to accept a text that
 * passes the grammar check of base/json.c, and a text that makes a configuration has to satisfy the
 * invariants of one. The program touches no file.
 */
#include "base/json.h"
#include "session/config.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* Every failure is of the kind NTD_E_USAGE and names the file. */
static void check_error(const struct ntd_error *err)
{
	require(err && err->code == NTD_E_USAGE);
	require(!strncmp(err->message, "fuzz", 4));
	require(strcmp(err->message, "fuzz: cannot be parsed") != 0);
}

static void check_machines(const struct ntd_machine_configs *machines)
{
	for (size_t i = 0; i < machines->count; i++) {
		const struct ntd_machine_config *machine = &machines->items[i];

		require(*machine->name && !strchr(machine->name, '/') && *machine->start_script);
		require(!i || strcmp(machines->items[i - 1].name, machine->name) < 0);
	}
}

static void check_config(const struct ntd_config *config)
{
	check_machines(&config->vms);
	check_machines(&config->containers);
	for (size_t i = 0; i < config->vlans.count; i++)
		require(config->vlans.items[i] >= 0 && config->vlans.items[i] <= NTD_VLAN_MAX);
	require(config->global_timeout > 0 && config->test_script);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(ntd_config_free) struct ntd_config config = {.global_timeout = 1};
	_cleanup_error_ struct ntd_error *err = NULL;
	_cleanup_cjson_ cJSON *tree = ntd_json_parse((const char *)data, size, "fuzz", &err);

	if (tree && ntd_config_from_json(&config, tree, "fuzz", &err) == 0)
		check_config(&config);
	else
		check_error(err);
	return 0;
}
