/* The list of a kept state, as JSON. Pure, but for ntd_kept_write(); any thread.
 *
 * {"format": 2, "snapshot": "failure", "vlans": [1], "machines": {"server": {
 *   "directory": "server", "start_script": "/nix/store/...", "running": true,
 *   "requires": {"qemu": "7.2.22", ...}, "requires_hash": "0123456789abcdef",
 *   "tag": "ntd-1", "connected": true, "has_shell": true, "shares": "", "memory_size": 94371840,
 *   "agent": {"port": 2, "streams": 17, "version": 2},
 *   "console_unread": 0, "disks": [{"device": "drive1", "path": "server.qcow2",
 *     "file": "disk0.qcow2", "size": 196608, "backing": "/nix/store/...", "backing_size": 1}]}}}
 *
 * A file may have been edited, or come from anywhere: names of files lead nowhere else, and all
 * sizes are bounded. Later versions of the driver may add keys; a change of what is there gets
 * another format, and so does a key that has to be heeded. Format 1 had no "agent".
 */
#include "session/kept.h"

#include "base/fd.h"
#include "base/json.h"
#include "session/machine_configs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { FORMAT = 2, DISKS_MAX = 256, TEXT_MAX = 64 << 10 };
/* Numbers of an agent: as many ports as a bus can have, and streams that leave more to come. */
enum { PORTS_MAX = 1 << 12, STREAMS_MAX = 1 << 30 };

/* ---- freeing */

void ntd_kept_machine_free(struct ntd_kept_machine *machine)
{
	for (size_t i = 0; i < machine->disks.count; i++) {
		free(machine->disks.items[i].device);
		free(machine->disks.items[i].path);
		free(machine->disks.items[i].file);
		free(machine->disks.items[i].backing);
	}
	ntd_vec_free(&machine->disks);
	ntd_facts_free(&machine->facts);
	free(machine->name);
	free(machine->directory);
	free(machine->start_script);
	free(machine->tag);
	free(machine->shares);
}

void ntd_kept_clear(struct ntd_kept *kept)
{
	for (size_t i = 0; i < kept->machines.count; i++)
		ntd_kept_machine_free(&kept->machines.items[i]);
	ntd_vec_free(&kept->machines);
	ntd_numbers_free(&kept->vlans);
	free(kept->directory);
	free(kept->name);
}

void ntd_kept_free(struct ntd_kept *kept)
{
	if (kept)
		ntd_kept_clear(kept);
	free(kept);
}

const struct ntd_kept_machine *ntd_kept_find(const struct ntd_kept *kept, const char *name)
{
	for (size_t i = 0; i < kept->machines.count; i++)
		if (!strcmp(kept->machines.items[i].name, name))
			return &kept->machines.items[i];
	return NULL;
}

/* ---- reading values */

static int read_text(const struct ntd_json *object, const char *key, char **text,
		     struct ntd_error **err)
{
	struct ntd_json value;

	if (ntd_json_require(object, key, cJSON_String, &value, err) < 0)
		return -1;
	if (strlen(value.value->valuestring) > TEXT_MAX)
		return ntd_json_error(&value, err, "too long");
	*text = ntd_strdup(value.value->valuestring);
	return 0;
}

/* A text that is not empty. */
static int read_word(const struct ntd_json *object, const char *key, char **text,
		     struct ntd_error **err)
{
	struct ntd_json value;

	if (ntd_json_require(object, key, cJSON_String, &value, err) < 0)
		return -1;
	if (!*value.value->valuestring)
		return ntd_json_error(&value, err, "is empty");
	return read_text(object, key, text, err);
}

static int read_flag(const struct ntd_json *object, const char *key, bool *flag,
		     struct ntd_error **err)
{
	struct ntd_json value;

	if (ntd_json_require(object, key, cJSON_True | cJSON_False, &value, err) < 0)
		return -1;
	*flag = cJSON_IsTrue(value.value);
	return 0;
}

/* A number of bytes or lines. */
static int read_count(const struct ntd_json *object, const char *key, double *count,
		      struct ntd_error **err)
{
	struct ntd_json value;
	double number;

	if (ntd_json_require(object, key, cJSON_Number, &value, err) < 0)
		return -1;
	number = value.value->valuedouble;
	if (!(number >= 0 && number <= 9007199254740992.0) || number != (double)(int64_t)number)
		return ntd_json_error(&value, err, "%g is not a size", number);
	*count = number;
	return 0;
}

/* Whether the text is the name of a file in a directory, or, with `path`, the path of one below
 * it. */
static bool stays_inside(const char *text, bool path)
{
	for (const char *part = text;; part++) {
		size_t len = strcspn(part, "/");

		if (!len || len > 255 || (!path && *part == '.') || !strncmp(part, "..", 2) ||
		    (len == 1 && *part == '.'))
			return false;
		part += len;
		if (!*part)
			return true;
		if (!path)
			return false;
	}
}

static int read_name(const struct ntd_json *object, const char *key, bool path, char **text,
		     struct ntd_error **err)
{
	struct ntd_json value;

	if (ntd_json_require(object, key, cJSON_String, &value, err) < 0)
		return -1;
	if (!stays_inside(value.value->valuestring, path))
		return ntd_json_error(&value, err, "leads out of its directory");
	return read_text(object, key, text, err);
}

/* ---- reading machines */

static int read_disk(struct ntd_kept_machine *machine, const struct ntd_json *item,
		     struct ntd_error **err)
{
	struct ntd_kept_disk *disk = ntd_vec_push(&machine->disks, (struct ntd_kept_disk){0});
	struct ntd_json backing;
	int there;

	if (ntd_json_expect(item, cJSON_Object, err) < 0 ||
	    read_text(item, "device", &disk->device, err) < 0 ||
	    read_name(item, "path", true, &disk->path, err) < 0 ||
	    read_name(item, "file", false, &disk->file, err) < 0 ||
	    read_count(item, "size", &disk->size, err) < 0)
		return -1;
	there = ntd_json_optional(item, "backing", cJSON_String, &backing, err);
	if (there <= 0)
		return there;
	if (*backing.value->valuestring != '/')
		return ntd_json_error(&backing, err, "is no absolute path");
	if (read_text(item, "backing", &disk->backing, err) < 0)
		return -1;
	return read_count(item, "backing_size", &disk->backing_size, err);
}

static int read_disks(struct ntd_kept_machine *machine, const struct ntd_json *object,
		      struct ntd_error **err)
{
	struct ntd_json array;
	struct ntd_json item = {.parent = &array};

	if (ntd_json_require(object, "disks", cJSON_Array, &array, err) < 0)
		return -1;
	if (cJSON_GetArraySize(array.value) > DISKS_MAX)
		return ntd_json_error(&array, err, "too many disks");
	cJSON_ArrayForEach (item.value, array.value) {
		if (read_disk(machine, &item, err) < 0)
			return -1;
		item.index++;
	}
	return 0;
}

static int read_facts(struct ntd_kept_machine *machine, const struct ntd_json *object,
		      struct ntd_error **err)
{
	_cleanup_free_ char *hash = NULL, *recorded = NULL;
	struct ntd_json facts;

	if (ntd_json_require(object, "requires", cJSON_Object, &facts, err) < 0 ||
	    read_text(object, "requires_hash", &recorded, err) < 0)
		return -1;
	for (size_t i = 0; i < NTD_FACTS; i++)
		if (read_text(&facts, ntd_fact_names[i], &machine->facts.values[i], err) < 0)
			return -1;
	hash = ntd_facts_hash(&machine->facts);
	if (!strcmp(hash, recorded))
		return 0;
	return ntd_json_error(&facts, err,
			      "is not what \"requires_hash\" was made of: the file "
			      "has been edited, or is damaged");
}

/* A number that is not more than `most`. */
static int read_number(const struct ntd_json *object, const char *key, uint32_t most,
		       uint32_t *number, struct ntd_error **err)
{
	double count = 0;

	if (read_count(object, key, &count, err) < 0)
		return -1;
	if (count > most)
		return ntd_json_error(object, err, "\"%s\" is more than %u", key, most);
	*number = (uint32_t)count;
	return 0;
}

/* A machine without one has none. */
static int read_agent(struct ntd_kept_machine *machine, const struct ntd_json *object,
		      struct ntd_error **err)
{
	struct ntd_agent_saved *agent = &machine->agent;
	struct ntd_json value;
	int there = ntd_json_optional(object, "agent", cJSON_Object, &value, err);

	if (there <= 0)
		return there;
	if (read_number(&value, "port", PORTS_MAX, &agent->port, err) < 0 ||
	    read_number(&value, "streams", STREAMS_MAX, &agent->streams, err) < 0)
		return -1;
	return read_number(&value, "version", UINT32_MAX, &agent->version, err);
}

static int read_machine(struct ntd_kept_machine *machine, const struct ntd_json *object,
			struct ntd_error **err)
{
	double unread = 0;

	machine->name = ntd_strdup(object->key);
	if (ntd_json_expect(object, cJSON_Object, err) < 0 ||
	    read_name(object, "directory", false, &machine->directory, err) < 0 ||
	    read_word(object, "start_script", &machine->start_script, err) < 0 ||
	    read_flag(object, "running", &machine->running, err) < 0)
		return -1;
	if (!machine->running)
		return 0;
	if (read_facts(machine, object, err) < 0 ||
	    read_word(object, "tag", &machine->tag, err) < 0 ||
	    read_flag(object, "connected", &machine->connected, err) < 0 ||
	    read_flag(object, "has_shell", &machine->has_shell, err) < 0 ||
	    read_text(object, "shares", &machine->shares, err) < 0 ||
	    read_agent(machine, object, err) < 0 ||
	    read_count(object, "memory_size", &machine->memory_size, err) < 0 ||
	    read_count(object, "console_unread", &unread, err) < 0)
		return -1;
	machine->unread = (size_t)unread;
	return read_disks(machine, object, err);
}

static int read_machines(struct ntd_kept *kept, const struct ntd_json *root, struct ntd_error **err)
{
	struct ntd_json object;
	struct ntd_json machine = {.parent = &object};

	if (ntd_json_require(root, "machines", cJSON_Object, &object, err) < 0)
		return -1;
	if (cJSON_GetArraySize(object.value) > NTD_MACHINES_MAX)
		return ntd_json_error(&object, err, "too many machines");
	if (!cJSON_GetArraySize(object.value))
		return ntd_json_error(&object, err, "there are none");
	cJSON_ArrayForEach (machine.value, object.value) {
		machine.key = machine.value->string;
		if (machine.value != ntd_json_member(object.value, machine.key))
			return ntd_json_error(&machine, err, "is there twice");
		if (read_machine(ntd_vec_push(&kept->machines, (struct ntd_kept_machine){0}),
				 &machine, err) < 0)
			return -1;
	}
	return 0;
}

static int read_vlans(struct ntd_kept *kept, const struct ntd_json *root, struct ntd_error **err)
{
	struct ntd_json array;

	if (ntd_json_require(root, "vlans", cJSON_Array, &array, err) < 0)
		return -1;
	return ntd_values_read_vlans(&array, &kept->vlans, err);
}

static int read_root(struct ntd_kept *kept, const struct ntd_json *root, struct ntd_error **err)
{
	double format = 0;

	if (ntd_json_expect(root, cJSON_Object, err) < 0 ||
	    read_count(root, "format", &format, err) < 0)
		return -1;
	if (format < 1 || format > FORMAT)
		return ntd_json_error(root, err,
				      "the format %g is not known to this driver, which has the "
				      "formats up to %d: use the driver that has kept the state",
				      format, FORMAT);
	if (read_word(root, "snapshot", &kept->name, err) < 0 || read_vlans(kept, root, err) < 0)
		return -1;
	return read_machines(kept, root, err);
}

struct ntd_kept *ntd_kept_from_json(const cJSON *tree, const char *name, struct ntd_error **err)
{
	struct ntd_kept *kept = ntd_calloc(1, sizeof *kept);
	struct ntd_json root = {.value = tree};

	if (read_root(kept, &root, err) == 0)
		return kept;
	ntd_error_wrap(err, "%s", name);
	ntd_kept_free(kept);
	return NULL;
}

/* ---- writing */

static void add_disk(cJSON *disks, const struct ntd_kept_disk *disk)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddStringToObject(object, "device", disk->device);
	cJSON_AddStringToObject(object, "path", disk->path);
	cJSON_AddStringToObject(object, "file", disk->file);
	cJSON_AddNumberToObject(object, "size", disk->size);
	if (disk->backing) {
		cJSON_AddStringToObject(object, "backing", disk->backing);
		cJSON_AddNumberToObject(object, "backing_size", disk->backing_size);
	}
	cJSON_AddItemToArray(disks, object);
}

static void add_agent(cJSON *object, const struct ntd_agent_saved *agent)
{
	cJSON *added = cJSON_AddObjectToObject(object, "agent");

	cJSON_AddNumberToObject(added, "port", agent->port);
	cJSON_AddNumberToObject(added, "streams", agent->streams);
	cJSON_AddNumberToObject(added, "version", agent->version);
}

static void add_state(cJSON *object, const struct ntd_kept_machine *machine)
{
	_cleanup_free_ char *hash = ntd_facts_hash(&machine->facts);
	cJSON *facts = cJSON_AddObjectToObject(object, "requires"), *disks;

	for (size_t i = 0; i < NTD_FACTS; i++)
		cJSON_AddStringToObject(facts, ntd_fact_names[i],
					machine->facts.values[i] ? machine->facts.values[i] : "");
	cJSON_AddStringToObject(object, "requires_hash", hash);
	cJSON_AddStringToObject(object, "tag", machine->tag);
	cJSON_AddBoolToObject(object, "connected", machine->connected);
	cJSON_AddBoolToObject(object, "has_shell", machine->has_shell);
	cJSON_AddStringToObject(object, "shares", machine->shares);
	if (machine->agent.port)
		add_agent(object, &machine->agent);
	cJSON_AddNumberToObject(object, "memory_size", machine->memory_size);
	cJSON_AddNumberToObject(object, "console_unread", (double)machine->unread);
	disks = cJSON_AddArrayToObject(object, "disks");
	for (size_t i = 0; i < machine->disks.count; i++)
		add_disk(disks, &machine->disks.items[i]);
}

static cJSON *to_json(const struct ntd_kept *kept)
{
	cJSON *root = cJSON_CreateObject(), *vlans, *machines;

	cJSON_AddNumberToObject(root, "format", FORMAT);
	cJSON_AddStringToObject(root, "snapshot", kept->name);
	vlans = cJSON_AddArrayToObject(root, "vlans");
	for (size_t i = 0; i < kept->vlans.count; i++)
		cJSON_AddItemToArray(vlans, cJSON_CreateNumber(kept->vlans.items[i]));
	machines = cJSON_AddObjectToObject(root, "machines");
	for (size_t i = 0; i < kept->machines.count; i++) {
		const struct ntd_kept_machine *machine = &kept->machines.items[i];
		cJSON *object = cJSON_AddObjectToObject(machines, machine->name);

		cJSON_AddStringToObject(object, "directory", machine->directory);
		cJSON_AddStringToObject(object, "start_script", machine->start_script);
		cJSON_AddBoolToObject(object, "running", machine->running);
		if (machine->running)
			add_state(object, machine);
	}
	return root;
}

int ntd_kept_write(const struct ntd_kept *kept, struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/" NTD_KEPT_LIST, kept->directory);
	_cleanup_free_ char *unfinished = ntd_asprintf("%s.new", path), *text = NULL;
	_cleanup_cjson_ cJSON *tree = to_json(kept);
	_cleanup_fd_ int fd = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	text = cJSON_Print(tree);
	if (fd < 0 || ntd_fd_write_all(fd, text, strlen(text)) < 0 ||
	    ntd_fd_write_all(fd, "\n", 1) < 0 || rename(unfinished, path) < 0)
		return ntd_error_sys(err, errno, "cannot write %s", path);
	return 0;
}
