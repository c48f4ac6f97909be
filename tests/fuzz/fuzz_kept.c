/* Fuzzes the list of a kept state, from its text to the machines. A text that makes one has to
 * satisfy its invariants: what leads to files stays in the directories. The program touches no
 * file.
 */
#include "base/json.h"
#include "session/kept.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_name(const char *name)
{
	require(*name && *name != '.' && !strchr(name, '/'));
}

/* No part of the path is "..", and it is relative. */
static void check_path(const char *path)
{
	require(*path && *path != '/');
	for (const char *at = path; (at = strstr(at, "..")); at += 2)
		require(at != path && at[-1] != '/');
}

static void check_size(double size)
{
	require(size >= 0 && size <= 9007199254740992.0);
}

static void check_machine(const struct ntd_kept_machine *machine)
{
	check_name(machine->directory);
	require(machine->name && *machine->start_script);
	if (!machine->running) {
		require(!machine->disks.count && !machine->tag);
		return;
	}
	require(*machine->tag && machine->shares);
	check_size(machine->memory_size);
	for (size_t i = 0; i < NTD_FACTS; i++)
		require(machine->facts.values[i]);
	for (size_t i = 0; i < machine->disks.count; i++) {
		const struct ntd_kept_disk *disk = &machine->disks.items[i];

		require(disk->device);
		check_path(disk->path);
		check_name(disk->file);
		check_size(disk->size);
		require(!disk->backing || *disk->backing == '/');
		check_size(disk->backing_size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_error_ struct ntd_error *err = NULL;
	_cleanup_cjson_ cJSON *tree = ntd_json_parse((const char *)data, size, "fuzz", &err);
	struct ntd_kept *kept = tree ? ntd_kept_from_json(tree, "fuzz", &err) : NULL;

	if (!kept) {
		require(err && err->code == NTD_E_USAGE && !strncmp(err->message, "fuzz", 4));
		return 0;
	}
	require(*kept->name && kept->machines.count);
	for (size_t i = 0; i < kept->machines.count; i++)
		check_machine(&kept->machines.items[i]);
	for (size_t i = 0; i < kept->vlans.count; i++)
		require(kept->vlans.items[i] >= 0 && kept->vlans.items[i] <= NTD_VLAN_MAX);
	ntd_kept_free(kept);
	return 0;
}
