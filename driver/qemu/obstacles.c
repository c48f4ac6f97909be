/* QEMU's reasons not to save a machine, for people. Pure; any thread. */
#include "qemu/disks.h"

#include "base/text.h"

#include <string.h>

/* What QEMU's reasons contain, and what to do about it. A reason that is not here stands alone. */
static const struct {
	const char *contains, *advice;
} advices[] = {
	{"VirtFS", "unmount the share in the guest before (the driver's own, shared and xchg, it "
		   "unmounts itself; the Nix store: virtualisation.useNixStoreImage = true and "
		   "virtualisation.mountHostNixStore = false)"},
	{"vhost-user",
	 "leave the device out: virtiofs shares and the SSH backdoor's vsock belong to "
	 "other processes, whose state QEMU does not know"},
	{"vhost-vsock", "leave the device out"},
	{"vvfat", "use a disk image in place of a directory of the host"},
	{"host_cpu", "name a CPU model in place of -cpu host"},
	{"invtsc", "leave invtsc out of -cpu"},
	{"TPM", "leave the TPM out"},
};

char *ntd_obstacle_advice(const char *reason)
{
	_cleanup_free_ char *shown = ntd_shown(reason, strlen(reason));

	for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
		if (strcasestr(reason, advices[i].contains))
			return ntd_asprintf("QEMU: %s; %s", shown, advices[i].advice);
	return ntd_asprintf("QEMU: %s", shown);
}
