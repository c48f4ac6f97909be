/* The reply to query-block, and which disks QEMU makes snapshots of. Pure; any thread. */
#include "qemu/disks.h"

#include "base/text.h"

#include <string.h>

enum { DISKS_MAX = 256, TEXT_MAX = 4096 };

void ntd_disks_free(struct ntd_disks *disks)
{
	for (size_t i = 0; i < disks->count; i++) {
		free(disks->items[i].node);
		free(disks->items[i].device);
		free(disks->items[i].format);
		free(disks->items[i].file);
		free(disks->items[i].backing);
	}
	ntd_vec_free(disks);
}

/* A new string: the text that `object` has as `key`; "" when it has none. */
static char *text_of(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return ntd_strndup(text ? text : "", text ? strnlen(text, TEXT_MAX) : 0);
}

static double size_of(const cJSON *medium)
{
	const cJSON *image = cJSON_GetObjectItemCaseSensitive(medium, "image");
	const cJSON *size = cJSON_GetObjectItemCaseSensitive(image, "virtual-size");

	return cJSON_IsNumber(size) && size->valuedouble > 0 ? size->valuedouble : 0;
}

/* -drive gives the disk a name; with -blockdev it is known by the guest's device alone. */
static char *name_of(const cJSON *device)
{
	_cleanup_free_ char *name = text_of(device, "device");

	return *name ? ntd_steal(&name) : text_of(device, "qdev");
}

bool ntd_disks_read(const cJSON *reply, struct ntd_disks *disks)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(reply, "return");
	const cJSON *each;

	if (!cJSON_IsArray(list))
		return false;
	cJSON_ArrayForEach (each, list) {
		const cJSON *medium = cJSON_GetObjectItemCaseSensitive(each, "inserted");
		const cJSON *read_only = cJSON_GetObjectItemCaseSensitive(medium, "ro");

		if (!cJSON_IsObject(medium) || cJSON_IsTrue(read_only))
			continue;
		if (disks->count == DISKS_MAX)
			return false;
		ntd_vec_push(disks, (struct ntd_disk){.node = text_of(medium, "node-name"),
						      .device = name_of(each),
						      .format = text_of(medium, "drv"),
						      .file = text_of(medium, "file"),
						      .size = size_of(medium),
						      .backing = text_of(medium, "backing_file")});
	}
	return true;
}

char *ntd_disk_obstacle(const struct ntd_disk *disk)
{
	_cleanup_free_ char *device = ntd_shown(disk->device, strlen(disk->device));
	_cleanup_free_ char *format = ntd_shown(disk->format, strlen(disk->format));
	_cleanup_free_ char *file = ntd_shown(disk->file, strlen(disk->file));

	if (!strcmp(disk->format, "qcow2"))
		return NULL;
	if (!strcmp(disk->format, "vvfat"))
		return ntd_asprintf("its disk %s shows a directory of the host (vvfat), which QEMU "
				    "cannot save: use an image",
				    device);
	return ntd_asprintf(
		"its disk %s (%s) is a writable image of the format %s, which holds no "
		"snapshots: convert it to qcow2 (qemu-img convert -O qcow2), or open it "
		"read-only or with -snapshot",
		device, file, format);
}
