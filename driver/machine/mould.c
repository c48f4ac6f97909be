/* Filling a mould from its machine, and the mould's files. On the script thread that clones the
 * machine. */
#include "machine/mould.h"

#include "machine/qemu_internal.h"

#include "base/text.h"
#include "base/tree.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

/* For QEMU to write or read the guest's memory, while the disk may be slow; and to end. */
#define MOVE_PATIENCE (900 * NTD_SECOND)
#define END_PATIENCE (10 * NTD_SECOND)

/* Files there are memory, which is where the guest's memory belongs. */
#define SHARED_MEMORY "/dev/shm"
/* What must be free there, as a multiple of the guest's memory: it is there twice for a moment. */
#define ROOM 2.5

/* ---- its files */

struct ntd_mould ntd_mould_new(const struct ntd_keeper *keeper, const char *tmp_dir)
{
	return (struct ntd_mould){.keeper = keeper, .tmp_dir = tmp_dir};
}

static void remove_tree(char **path)
{
	_cleanup_free_ char *owned = ntd_steal(path);

	if (owned)
		ntd_tree_remove(owned, NULL);
}

static bool has_bases(const struct ntd_mould *mould)
{
	for (size_t i = 0; i < mould->disks.count; i++)
		if (mould->disks.items[i].is_qcow2)
			return true;
	return false;
}

void ntd_mould_free(struct ntd_mould *mould, bool disks)
{
	remove_tree(&mould->scratch);
	if (disks || !has_bases(mould))
		remove_tree(&mould->directory);
	free(mould->directory);
	free(mould->stream);
	free(mould->devices);
	free(mould->memory);
	free(mould->memory_id);
	free(mould->kernel);
	for (size_t i = 0; i < mould->disks.count; i++) {
		free(mould->disks.items[i].file);
		free(mould->disks.items[i].place);
		free(mould->disks.items[i].source);
	}
	ntd_vec_free(&mould->disks);
	ntd_snapshot_free(mould->snapshot);
	*mould = (struct ntd_mould){0};
}

static bool has_room(const char *directory, double bytes)
{
	struct statvfs status;

	return bytes > 0 && statvfs(directory, &status) == 0 &&
	       (double)status.f_bavail * (double)status.f_frsize >= bytes;
}

/* Makes a directory of a new name that the keeper removes at the end of the run. */
static char *make_directory(const struct ntd_mould *mould, const char *parent,
			    struct ntd_error **err)
{
	char *path = ntd_asprintf("%s/ntd-clones-%d-XXXXXX", parent, getpid());

	if (!mkdtemp(path)) {
		ntd_error_sys(err, errno, "cannot make a directory in %s", parent);
		free(path);
		return NULL;
	}
	ntd_keeper_sweep_tree(mould->keeper, path);
	return path;
}

static int make_directories(struct ntd_mould *mould, struct ntd_error **err)
{
	bool in_memory = access(SHARED_MEMORY, W_OK) == 0 &&
			 has_room(SHARED_MEMORY, mould->memory_size * ROOM);

	mould->scratch = make_directory(mould, in_memory ? SHARED_MEMORY : mould->tmp_dir, err);
	if (!mould->scratch)
		return -1;
	mould->stream = ntd_asprintf("%s/stream", mould->scratch);
	mould->devices = ntd_asprintf("%s/devices", mould->scratch);
	mould->memory = ntd_asprintf("%s/memory", mould->scratch);
	mould->directory = make_directory(mould, mould->tmp_dir, err);
	return mould->directory ? 0 : -1;
}

/* ---- the guest's memory */

/* What QEMU returns, owned by the caller; NULL: it does not know the command, or has no answer. */
static cJSON *ask(struct ntd_machine *machine, const char *command, const char *path,
		  const char *property, struct ntd_waiter *waiter)
{
	cJSON *arguments = cJSON_CreateObject();
	_cleanup_cjson_ cJSON *reply = NULL;

	if (path) {
		cJSON_AddStringToObject(arguments, "path", path);
		cJSON_AddStringToObject(arguments, "property", property);
	}
	reply = ntd_qemu_execute(machine, command, arguments, waiter, NULL);
	return cJSON_DetachItemFromObjectCaseSensitive(reply, "return");
}

/* A new string: the machine type, such as "pc-q35-7.2"; NULL: QEMU does not tell. */
static char *machine_type(struct ntd_machine *machine, struct ntd_waiter *waiter)
{
	static const char suffix[] = "-machine";
	_cleanup_cjson_ cJSON *reply = ask(machine, "qom-get", "/machine", "type", waiter);
	const char *type = cJSON_GetStringValue(reply);

	if (!type || !ntd_has_suffix(type, suffix))
		return NULL;
	return ntd_strndup(type, strlen(type) + 1 - sizeof suffix);
}

/* A new string: what QEMU calls the memory of such a machine by itself. */
static char *usual_memory_id(struct ntd_machine *machine, const char *type,
			     struct ntd_waiter *waiter)
{
	_cleanup_cjson_ cJSON *list = ask(machine, "query-machines", NULL, NULL, waiter);
	const cJSON *each;

	cJSON_ArrayForEach (each, list) {
		const char *name =
			cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(each, "name"));
		const char *id = cJSON_GetStringValue(
			cJSON_GetObjectItemCaseSensitive(each, "default-ram-id"));

		if (name && id && !strcmp(name, type))
			return ntd_strdup(id);
	}
	return NULL;
}

/* The name becomes a part of an option of QEMU and of a shell's command line. */
static bool is_plain_id(const char *id)
{
	return *id && id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._-")] == '\0';
}

/* The memory is QEMU's own choice: the start script has not put it somewhere. */
static void find_memory(struct ntd_mould *mould, struct ntd_machine *machine,
			struct ntd_waiter *waiter)
{
	_cleanup_free_ char *type = machine_type(machine, waiter), *usual = NULL, *path = NULL;
	_cleanup_cjson_ cJSON *backend = NULL, *summary = NULL;
	const cJSON *size;
	const char *used;

	summary = ask(machine, "query-memory-size-summary", NULL, NULL, waiter);
	size = cJSON_GetObjectItemCaseSensitive(summary, "base-memory");
	if (cJSON_IsNumber(size) && size->valuedouble > 0 && size->valuedouble < 1e15)
		mould->memory_size = size->valuedouble;
	usual = type ? usual_memory_id(machine, type, waiter) : NULL;
	if (!usual || !is_plain_id(usual) || mould->memory_size <= 0)
		return;
	path = ntd_asprintf("/objects/%s", usual);
	backend = ask(machine, "qom-get", "/machine", "memory-backend", waiter);
	used = cJSON_GetStringValue(backend);
	if (used && !strcmp(used, path))
		mould->memory_id = ntd_steal(&usual);
}

/* ---- states */

/* How a QEMU has ended whose connection has; NULL: it has not. */
static struct ntd_error *death_of(struct ntd_machine *machine, struct ntd_waiter *waiter)
{
	ntd_machine_wait_for_process(machine, ntd_machine_status(machine).starts,
				     ntd_after(END_PATIENCE), waiter, NULL);
	return ntd_machine_death(machine);
}

int ntd_mould_move(struct ntd_machine *machine, const struct ntd_migration *migration,
		   struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_qemu *qemu = machine->parts;
	struct ntd_error *error = NULL, *death;

	if (ntd_qmp_migrate(qemu->qmp, migration, ntd_after(MOVE_PATIENCE), waiter, &error) == 0)
		return 0;
	/* What QEMU said before it ended tells more. */
	death = error->code == NTD_E_DEAD ? death_of(machine, waiter) : NULL;
	if (death)
		ntd_error_free(error);
	return ntd_error_move(err, death ? death : error);
}

/* ---- filling it */

int ntd_mould_prepare(struct ntd_mould *mould, struct ntd_machine *machine,
		      struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_buf_ struct ntd_buf reasons = {0};
	_cleanup_cjson_ cJSON *kernel = NULL;

	if (ntd_qemu_add_obstacles(machine, &reasons, waiter, err) < 0 ||
	    ntd_mould_find_disks(mould, machine, &reasons, waiter, err) < 0)
		return -1;
	if (reasons.len)
		return ntd_machine_error(err, machine, NTD_E_MACHINE, "it cannot be cloned:%.*s",
					 (int)reasons.len, ntd_buf_bytes(&reasons));
	find_memory(mould, machine, waiter);
	if (make_directories(mould, err) < 0)
		return -1;
	kernel = ask(machine, "qom-get", "/machine", "kernel", waiter);
	if (cJSON_IsString(kernel))
		ntd_mould_shorten_kernel(mould, machine, kernel->valuestring);
	return 0;
}

int ntd_mould_fill(struct ntd_mould *mould, struct ntd_machine *machine, struct ntd_waiter *waiter,
		   struct ntd_error **err)
{
	mould->snapshot = ntd_snapshot_new(machine, "clone");
	if (ntd_mould_move(machine, &(struct ntd_migration){.file = mould->stream}, waiter, err) <
	    0)
		return -1;
	return ntd_mould_copy_disks(mould, machine, waiter, err);
}
