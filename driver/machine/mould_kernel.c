/* The kernel that QEMU itself boots (-kernel). On the script thread that clones the machine.
 *
 * QEMU on x86 reads the whole file when it starts, into memory of its own, for the guest's firmware
 * to fetch: 10 MB of a usual kernel in each clone, 75 MB of one that is not compressed. A clone's
 * guest has booted already, and a QEMU that ends when its guest reboots (-no-reboot) never needs
 * the kernel again; so the clones get the beginning of the file, where QEMU looks at its header.
 * When a clone is started anew, its start script gives QEMU the kernel as ever.
 *
 * https://docs.kernel.org/arch/x86/boot.html
 */
#include "machine/mould.h"

#include "machine/internal.h"

#include "base/fd.h"

#include <fcntl.h>
#include <string.h>

/* Places in a kernel of the kind bzImage, and its sizes, in bytes. */
enum {
	SETUP_SECTORS_AT = 0x1f1, /* one byte: how many sectors follow the first */
	MAGIC_AT = 0x202,
	SECTOR = 512,
	SETUP_MOST = 256 * SECTOR,
	REST = 4096, /* of the kernel proper, which must not be empty */
};

/* The bytes that QEMU looks at; 0: the file is another kind of kernel. */
static size_t header_size(const unsigned char *bytes, size_t len)
{
	size_t sectors;

	if (len < MAGIC_AT + 4 || memcmp(bytes + MAGIC_AT, "HdrS", 4) != 0)
		return 0;
	sectors = bytes[SETUP_SECTORS_AT] ? bytes[SETUP_SECTORS_AT] : 4;
	return (sectors + 1) * SECTOR + REST <= len ? (sectors + 1) * SECTOR + REST : 0;
}

static bool copy_beginning(const char *from, const char *to)
{
	_cleanup_free_ unsigned char *bytes = ntd_malloc(SETUP_MOST + REST);
	_cleanup_fd_ int source = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int target = -1;
	ssize_t got = source < 0 ? -1 : ntd_fd_read(source, bytes, SETUP_MOST + REST);
	size_t size = got < 0 ? 0 : header_size(bytes, (size_t)got);

	if (!size)
		return false;
	target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return target >= 0 && ntd_fd_write_all(target, bytes, size) == 0;
}

void ntd_mould_shorten_kernel(struct ntd_mould *mould, const struct ntd_machine *machine,
			      const char *kernel)
{
	_cleanup_free_ char *copy = ntd_asprintf("%s/kernel", mould->scratch);

	if (*kernel == '/' && !machine->allow_reboot && copy_beginning(kernel, copy))
		mould->kernel = ntd_steal(&copy);
}
