/* Where snapshots are, and the QMP commands that put them there and get them back. On the script
 * thread that saves or restores the machine.
 *
 * Memory and devices go into a qcow2 image of the driver's own, which QEMU is given at the first
 * snapshot and which no guest sees: it is there also for machines without a disk, and does not make
 * the disks larger. Each disk keeps its own contents as an internal snapshot. All parts of a
 * snapshot have one tag, a number: a name that a script uses again gets a new one, and the old
 * snapshot is deleted when the new one is complete. QEMU 6.0 has the commands.
 */
#include "machine/qemu_internal.h"

#include "machine/snapshot.h"
#include "qemu/disks.h"

#include <string.h>
#include <sys/statvfs.h>

#define STORE "ntd-snapshots"
#define NEW "ntd-new"              /* the file of an image that is being made */
#define PATIENCE (60 * NTD_SECOND) /* for what QEMU answers at once unless its host is stuck */
#define JOB_PATIENCE (900 * NTD_SECOND)

static struct ntd_qemu *qemu_of(const struct ntd_machine *machine)
{
	return machine->parts;
}

/* ---- commands */

/* Executes a command and takes `arguments`. Returns the reply, or NULL with the error, also for a
 * reply that is an error. */
static cJSON *execute(struct ntd_machine *machine, const char *command, cJSON *arguments,
		      struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *owned = arguments;
	cJSON *reply = ntd_qmp_execute(qemu_of(machine)->qmp, command, owned, ntd_after(PATIENCE),
				       waiter, err);
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error"), *text;

	if (!error)
		return reply;
	text = cJSON_GetObjectItemCaseSensitive(error, "desc");
	ntd_machine_error(err, machine, NTD_E_MACHINE, "QEMU: %s: %s", command,
			  cJSON_IsString(text) ? text->valuestring : "it gives no reason");
	cJSON_Delete(reply);
	return NULL;
}

cJSON *ntd_qemu_execute(struct ntd_machine *machine, const char *command, cJSON *arguments,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	return execute(machine, command, arguments, waiter, err);
}

static int order(struct ntd_machine *machine, const char *command, cJSON *arguments,
		 struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *reply = execute(machine, command, arguments, waiter, err);

	return reply ? 0 : -1;
}

int ntd_snapshot_stop(struct ntd_machine *machine, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	/* The first command returns after QEMU has read what the switch had sent before. */
	if (order(machine, "query-status", NULL, waiter, err) < 0)
		return -1;
	return order(machine, "stop", NULL, waiter, err);
}

int ntd_snapshot_continue(struct ntd_machine *machine, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	return order(machine, "cont", NULL, waiter, err);
}

void ntd_snapshot_announce(struct ntd_machine *machine, struct ntd_waiter *waiter)
{
	static const struct {
		const char *name;
		int value;
	} times[] = {{"initial", 50}, {"max", 550}, {"rounds", 5}, {"step", 100}}; /* ms */
	cJSON *arguments = cJSON_CreateObject();

	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		cJSON_AddNumberToObject(arguments, times[i].name, times[i].value);
	order(machine, "announce-self", arguments, waiter, NULL);
}

/* ---- the image */

static cJSON *image_of(const char *driver, const char *path)
{
	cJSON *image = cJSON_CreateObject();

	cJSON_AddStringToObject(image, "driver", driver);
	cJSON_AddStringToObject(image, "filename", path);
	return image;
}

/* Takes `options`. */
static int create(struct ntd_machine *machine, cJSON *options, struct ntd_waiter *waiter,
		  struct ntd_error **err)
{
	cJSON *arguments = cJSON_CreateObject();

	cJSON_AddItemToObject(arguments, "options", options);
	return ntd_qmp_job_run(qemu_of(machine)->qmp, "blockdev-create", arguments,
			       ntd_after(PATIENCE), waiter, err);
}

static int add_new(struct ntd_machine *machine, const char *path, struct ntd_waiter *waiter,
		   struct ntd_error **err)
{
	cJSON *file = image_of("file", path);

	cJSON_AddStringToObject(file, "node-name", NEW);
	return order(machine, "blockdev-add", file, waiter, err);
}

/* Also when the script is interrupted. */
static void drop_new(struct ntd_machine *machine)
{
	cJSON *arguments = cJSON_CreateObject();

	cJSON_AddStringToObject(arguments, "node-name", NEW);
	order(machine, "blockdev-del", arguments, NULL, NULL);
}

int ntd_qemu_make_image(struct ntd_machine *machine, const char *path, double size,
			const char *base, struct ntd_waiter *waiter, struct ntd_error **err)
{
	cJSON *file = image_of("file", path), *image;
	int result;

	cJSON_AddNumberToObject(file, "size", 0);
	if (create(machine, file, waiter, err) < 0 || add_new(machine, path, waiter, err) < 0)
		return -1;
	image = cJSON_CreateObject();
	cJSON_AddStringToObject(image, "driver", "qcow2");
	cJSON_AddStringToObject(image, "file", NEW);
	cJSON_AddNumberToObject(image, "size", size);
	if (base) {
		cJSON_AddStringToObject(image, "backing-file", base);
		cJSON_AddStringToObject(image, "backing-fmt", "qcow2");
	}
	result = create(machine, image, waiter, err);
	drop_new(machine);
	return result;
}

/* Gives QEMU the image, which the first QEMU of the run makes. */
static int provide_store(struct ntd_machine *machine, struct ntd_waiter *waiter,
			 struct ntd_error **err)
{
	struct ntd_qemu *qemu = qemu_of(machine);
	cJSON *image;

	if (qemu->snapshots.provided)
		return 0;
	if (!qemu->snapshots.store) {
		_cleanup_free_ char *path = ntd_asprintf("%s/snapshots.qcow2", machine->state_dir);

		unlink(path);
		if (ntd_qemu_make_image(machine, path, 0, NULL, waiter, err) < 0)
			return -1;
		qemu->snapshots.store = ntd_steal(&path);
	}
	image = cJSON_CreateObject();
	cJSON_AddStringToObject(image, "driver", "qcow2");
	cJSON_AddStringToObject(image, "node-name", STORE);
	cJSON_AddItemToObject(image, "file", image_of("file", qemu->snapshots.store));
	if (order(machine, "blockdev-add", image, waiter, err) < 0)
		return -1;
	qemu->snapshots.provided = true;
	return 0;
}

/* ---- disks */

int ntd_qemu_read_disks(struct ntd_machine *machine, struct ntd_disks *disks,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *reply = execute(machine, "query-block", NULL, waiter, err);

	if (!reply)
		return -1;
	return ntd_disks_read(reply, disks)
		       ? 0
		       : ntd_machine_error(err, machine, NTD_E_PROTOCOL,
					   "QEMU tells of its disks in a way that is not known");
}

static void add_reason(struct ntd_buf *reasons, const char *reason)
{
	ntd_buf_printf(reasons, "\n    %s", reason);
}

int ntd_qemu_add_obstacles(struct ntd_machine *machine, struct ntd_buf *reasons,
			   struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *reply = execute(machine, "query-migrate", NULL, waiter, err);
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(reply, "return"), *each;

	if (!reply)
		return -1;
	cJSON_ArrayForEach (each, cJSON_GetObjectItemCaseSensitive(result, "blocked-reasons")) {
		_cleanup_free_ char *advice =
			cJSON_IsString(each) ? ntd_obstacle_advice(each->valuestring) : NULL;

		if (advice)
			add_reason(reasons, advice);
	}
	return 0;
}

int ntd_snapshot_check(struct ntd_machine *machine, struct ntd_waiter *waiter,
		       struct ntd_error **err)
{
	_cleanup_disks_ struct ntd_disks disks = {0};
	_cleanup_buf_ struct ntd_buf reasons = {0};

	if (ntd_qemu_add_obstacles(machine, &reasons, waiter, err) < 0 ||
	    ntd_qemu_read_disks(machine, &disks, waiter, err) < 0)
		return -1;
	for (size_t i = 0; i < disks.count; i++) {
		_cleanup_free_ char *obstacle = ntd_disk_obstacle(&disks.items[i]);

		if (obstacle)
			add_reason(&reasons, obstacle);
	}
	if (!reasons.len)
		return 0;
	return ntd_machine_error(err, machine, NTD_E_MACHINE, "its state cannot be saved:%.*s",
				 (int)reasons.len, ntd_buf_bytes(&reasons));
}

/* ---- the jobs */

static cJSON *job_arguments(const char *tag, const struct ntd_disks *disks, bool memory)
{
	cJSON *arguments = cJSON_CreateObject(), *nodes = cJSON_CreateArray();

	cJSON_AddStringToObject(arguments, "tag", tag);
	if (memory)
		cJSON_AddStringToObject(arguments, "vmstate", STORE);
	cJSON_AddItemToArray(nodes, cJSON_CreateString(STORE));
	for (size_t i = 0; i < disks->count; i++)
		cJSON_AddItemToArray(nodes, cJSON_CreateString(disks->items[i].node));
	cJSON_AddItemToObject(arguments, "devices", nodes);
	return arguments;
}

static struct ntd_qmp_job *begin_job(struct ntd_machine *machine, const char *command,
				     const char *tag, struct ntd_waiter *waiter,
				     struct ntd_error **err)
{
	_cleanup_disks_ struct ntd_disks disks = {0};

	if (provide_store(machine, waiter, err) < 0 ||
	    ntd_qemu_read_disks(machine, &disks, waiter, err) < 0)
		return NULL;
	return ntd_qmp_job_begin(qemu_of(machine)->qmp, command,
				 job_arguments(tag, &disks, strcmp(command, "snapshot-delete")));
}

struct ntd_qmp_job *ntd_snapshot_save(struct ntd_machine *machine,
				      const struct ntd_snapshot *snapshot,
				      struct ntd_waiter *waiter, struct ntd_error **err)
{
	return begin_job(machine, "snapshot-save", snapshot->tag, waiter, err);
}

struct ntd_qmp_job *ntd_snapshot_load(struct ntd_machine *machine,
				      const struct ntd_snapshot *snapshot,
				      struct ntd_waiter *waiter, struct ntd_error **err)
{
	return begin_job(machine, "snapshot-load", snapshot->tag, waiter, err);
}

void ntd_snapshot_add_space(const struct ntd_machine *machine, struct ntd_error *error)
{
	enum { MIB = 1 << 20, LITTLE = 16 };
	struct statvfs space;
	_cleanup_free_ char *text = NULL;
	unsigned long long left;

	if (error->code != NTD_E_MACHINE || statvfs(machine->state_dir, &space) < 0)
		return;
	left = (unsigned long long)space.f_bavail * space.f_frsize / MIB;
	if (left >= LITTLE)
		return;
	text = ntd_asprintf("; the disk of %s has only %llu MiB left", machine->state_dir, left);
	ntd_error_add(error, text);
}

void ntd_snapshot_delete(struct ntd_machine *machine, const char *tag, struct ntd_waiter *waiter)
{
	struct ntd_qmp_job *job = begin_job(machine, "snapshot-delete", tag, waiter, NULL);

	if (job)
		ntd_qmp_job_wait(job, ntd_after(JOB_PATIENCE), waiter, NULL);
}
