/* The disks of a mould. On the script thread that clones the machine. */
#include "machine/mould.h"

#include "machine/qemu_internal.h"

#include "base/text.h"
#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static struct ntd_qemu *qemu_of(const struct ntd_machine *machine)
{
	return machine->parts;
}

/* ---- which disks */

/* Where the file is below the directory, a new string; NULL: it is not there, or has no name any
 * more, as with -snapshot. */
static char *place_below(const char *directory, const char *file)
{
	_cleanup_free_ char *real_directory = realpath(directory, NULL);
	_cleanup_free_ char *real_file = realpath(file, NULL);
	size_t len = real_directory ? strlen(real_directory) : 0;

	if (!real_directory || !real_file || strncmp(real_file, real_directory, len) != 0 ||
	    real_file[len] != '/')
		return NULL;
	return ntd_strdup(real_file + len + 1);
}

static bool is_same_file(const char *path, const char *other)
{
	_cleanup_free_ char *real = path ? realpath(path, NULL) : NULL;
	_cleanup_free_ char *real_other = other ? realpath(other, NULL) : NULL;

	return real && real_other && !strcmp(real, real_other);
}

/* An image finds such a base from the directory that it is in itself. */
static bool has_relative_base(const struct ntd_disk *disk)
{
	const char *base = disk->backing;
	bool has_protocol = base[strcspn(base, ":/")] == ':';

	return *base && *base != '/' && !has_protocol;
}

/* Why a disk cannot be cloned, and what to do about it, a new string. */
static char *obstacle(const struct ntd_disk *disk)
{
	_cleanup_free_ char *device = ntd_shown(disk->device, strlen(disk->device));
	_cleanup_free_ char *format = ntd_shown(disk->format, strlen(disk->format));
	_cleanup_free_ char *file = ntd_shown(disk->file, strlen(disk->file));

	if (strcmp(disk->format, "qcow2") != 0 && strcmp(disk->format, "raw") != 0)
		return ntd_asprintf("its disk %s (%s) is a writable image of the format %s: use "
				    "qcow2 or raw",
				    device, file, format);
	if (has_relative_base(disk)) {
		_cleanup_free_ char *base = ntd_shown(disk->backing, strlen(disk->backing));

		return ntd_asprintf("its disk %s (%s) is an overlay of %s, which a clone's would "
				    "not find: make it with an absolute path (qemu-img create -b)",
				    device, file, base);
	}
	return ntd_asprintf("its disk %s (%s) is not a file in the machine's state directory, so "
			    "that a clone would write to the same one, or not find it: have the "
			    "start script make it there, or open it read-only",
			    device, file);
}

static void add_disk(struct ntd_mould *mould, const struct ntd_machine *machine,
		     const struct ntd_disk *disk, struct ntd_buf *reasons)
{
	bool is_qcow2 = !strcmp(disk->format, "qcow2");
	bool is_efi = is_same_file(qemu_of(machine)->efi_vars, disk->file);
	_cleanup_free_ char *place = place_below(machine->state_dir, disk->file), *reason = NULL;

	if ((is_qcow2 || !strcmp(disk->format, "raw")) && (is_efi || place) &&
	    !has_relative_base(disk)) {
		ntd_vec_push(&mould->disks,
			     (struct ntd_mould_disk){.file = ntd_strdup(disk->file),
						     .place = is_efi ? NULL : ntd_steal(&place),
						     .size = disk->size,
						     .is_qcow2 = is_qcow2});
		return;
	}
	reason = obstacle(disk);
	ntd_buf_printf(reasons, "\n    %s", reason);
}

int ntd_mould_find_disks(struct ntd_mould *mould, struct ntd_machine *machine,
			 struct ntd_buf *reasons, struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_disks_ struct ntd_disks disks = {0};

	if (ntd_qemu_read_disks(machine, &disks, waiter, err) < 0)
		return -1;
	for (size_t i = 0; i < disks.count; i++)
		add_disk(mould, machine, &disks.items[i], reasons);
	return 0;
}

/* ---- copies */

/* Copies a file to a new one; file systems that can do so share their blocks. */
static int copy_file(const char *from, const char *to, struct ntd_error **err)
{
	_cleanup_free_ char *parent = ntd_strndup(to, (size_t)(ntd_file_name(to) - to));
	_cleanup_fd_ int directory = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0)
		return ntd_error_sys(err, errno, "cannot open %s", parent);
	return ntd_tree_copy_to_guest(from, directory, ntd_file_name(to), err);
}

int ntd_mould_copy_disks(struct ntd_mould *mould, struct ntd_machine *machine,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	for (size_t i = 0; i < mould->disks.count; i++) {
		struct ntd_mould_disk *disk = &mould->disks.items[i];
		_cleanup_free_ char *base = ntd_asprintf("%s/disk%zu", mould->directory, i);

		if (copy_file(disk->file, base, err) < 0)
			return ntd_error_wrap(err, "machine '%s'", machine->name);
		disk->source = disk->is_qcow2 ? ntd_asprintf("%s.overlay", base) : ntd_steal(&base);
		if (disk->is_qcow2 &&
		    ntd_qemu_make_image(machine, disk->source, disk->size, base, waiter, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- what a new machine gets */

/* Makes the directories on the way to a file below the directory. */
static int make_way(const char *path, struct ntd_error **err)
{
	_cleanup_free_ char *parent = ntd_strndup(path, (size_t)(ntd_file_name(path) - path));

	return ntd_tree_make(parent, err);
}

int ntd_mould_give_disks(const struct ntd_mould *mould, const struct ntd_machine *machine,
			 struct ntd_error **err)
{
	for (size_t i = 0; i < mould->disks.count; i++) {
		const struct ntd_mould_disk *disk = &mould->disks.items[i];
		_cleanup_free_ char *path =
			disk->place ? ntd_asprintf("%s/%s", machine->state_dir, disk->place)
				    : ntd_strdup(qemu_of(machine)->efi_vars);

		if (make_way(path, err) < 0 || copy_file(disk->source, path, err) < 0)
			return ntd_error_wrap(err, "machine '%s'", machine->name);
	}
	return 0;
}
