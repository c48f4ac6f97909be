/* What QEMU has open for writing: the disks whose contents belong to a snapshot of the machine.
 * Pure.
 *
 * https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html: query-block
 */
#pragma once

#include "base/json.h"
#include "base/vec.h"

struct ntd_disk {
	char *node;   /* the name of QEMU's block node */
	char *device; /* what people know it by, such as "drive1" */
	char *format; /* "qcow2" */
	char *file;   /* of the host; "" if QEMU does not tell */
	double size;  /* bytes that the guest sees; 0: QEMU does not tell */
	/* The image that it is an overlay of, as its header names it; "": none. */
	char *backing;
};

struct ntd_disks ntd_vec_members(struct ntd_disk);

void ntd_disks_free(struct ntd_disks *disks);
#define _cleanup_disks_ _cleanup_(ntd_disks_free)

/* Appends the writable disks of a reply to query-block. False: the reply is something else. */
bool ntd_disks_read(const cJSON *reply, struct ntd_disks *disks);
/* Why the disk cannot be in a snapshot, and what to do about it, a new string; NULL: it can. */
char *ntd_disk_obstacle(const struct ntd_disk *disk);
/* One of QEMU's reasons not to save a machine (query-migrate: blocked-reasons), and what to do
 * about it, a new string. */
char *ntd_obstacle_advice(const char *reason);
