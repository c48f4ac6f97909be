/* The files of a machine's snapshots, for another run. On the script thread that has claimed the
 * machine.
 *
 * A disk is found again by its path in the state directory, since start scripts name their disks
 * so, and use one that is there. An overlay is copied without its base, which is most often a file
 * of the Nix store.
 */
#include "machine/snapshot.h"

#include "base/text.h"
#include "machine/qemu_internal.h"
#include "qemu/disks.h"

#include <string.h>

void ntd_images_free(struct ntd_images *images)
{
	for (size_t i = 0; i < images->count; i++) {
		free(images->items[i].device);
		free(images->items[i].file);
		free(images->items[i].backing);
	}
	ntd_vec_free(images);
}

/* Whether the path leads into the directory, both with links resolved. */
static bool is_inside(const char *path, const char *directory)
{
	_cleanup_free_ char *real = realpath(path, NULL), *base = realpath(directory, NULL);

	return real && base && ntd_has_prefix(real, base) && real[strlen(base)] == '/';
}

static int add_disk(const struct ntd_machine *machine, const struct ntd_disk *disk,
		    struct ntd_images *images, struct ntd_error **err)
{
	if (!is_inside(disk->file, machine->state_dir))
		return ntd_machine_error(
			err, machine, NTD_E_MACHINE,
			"its disk %s, %s, is not in its state directory %s, where another run "
			"would look for it",
			disk->device, *disk->file ? disk->file : "whose file QEMU does not name",
			machine->state_dir);
	if (*disk->backing && *disk->backing != '/')
		return ntd_machine_error(
			err, machine, NTD_E_MACHINE,
			"its disk %s is an overlay of %s, and would not find that elsewhere: make "
			"it with an absolute path (qemu-img create -b)",
			disk->device, disk->backing);
	ntd_vec_push(images, (struct ntd_image){
				     .device = ntd_strdup(disk->device),
				     .file = realpath(disk->file, NULL),
				     .backing = *disk->backing ? ntd_strdup(disk->backing) : NULL});
	return 0;
}

int ntd_snapshot_images(struct ntd_machine *machine, struct ntd_images *images,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct ntd_qemu *qemu = machine->parts;
	_cleanup_disks_ struct ntd_disks disks = {0};
	_cleanup_cjson_ cJSON *reply = NULL;

	/* `stop` flushes all images, also of a guest that is stopped already. */
	if (ntd_snapshot_stop(machine, waiter, err) < 0)
		return -1;
	reply = ntd_qemu_execute(machine, "query-block", NULL, waiter, err);
	if (!reply)
		return -1;
	if (!qemu->snapshots.store || !ntd_disks_read(reply, &disks))
		return ntd_machine_error(err, machine, NTD_E_PROTOCOL,
					 "QEMU tells of its disks in a way that is not known");
	ntd_vec_push(images, (struct ntd_image){.file = ntd_strdup(qemu->snapshots.store)});
	for (size_t i = 0; i < disks.count; i++)
		if (add_disk(machine, &disks.items[i], images, err) < 0)
			return -1;
	return 0;
}

/* The number at the end of a tag; 0 when there is none. */
static unsigned number_of(const char *tag)
{
	const char *dash = tag ? strrchr(tag, '-') : NULL;

	return dash ? (unsigned)strtoul(dash + 1, NULL, 10) : 0;
}

void ntd_snapshot_adopt(struct ntd_machine *machine, struct ntd_snapshot *snapshot,
			const char *store)
{
	struct ntd_qemu *qemu = machine->parts;

	free(qemu->snapshots.store);
	qemu->snapshots.store = store ? ntd_strdup(store) : NULL;
	/* New snapshots get tags that the images do not have yet. */
	qemu->snapshots.last = number_of(snapshot->tag);
	ntd_list_append(&qemu->snapshots.kept, &snapshot->link);
}
