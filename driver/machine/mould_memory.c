/* The file of a mould's memory. On the script thread that clones the machine.
 *
 * QEMU writes to all of a guest's memory when it loads it, to pages of zeros, too, so that the file
 * takes as much of the host's memory as the guest has. What is zero again becomes a hole.
 */
#include "machine/mould.h"

#include <fcntl.h>

#include <sys/mman.h>
#include <sys/stat.h>

/* The kernel's pages are as large or a multiple, so that a hole is of whole ones, which it frees,
 * or of parts, which it clears. */
enum { PAGE = 4096 };

static bool is_zero(const char *page)
{
	return page[0] == 0 && !memcmp(page, page + 1, PAGE - 1);
}

/* The first page from `offset` on that is zero, or not zero. */
static size_t find(const char *memory, size_t size, size_t offset, bool zero)
{
	while (offset < size && is_zero(memory + offset) != zero)
		offset += PAGE;
	return offset;
}

static void dig(int fd, const char *memory, size_t size)
{
	size_t begin = find(memory, size, 0, true);

	while (begin < size) {
		size_t end = find(memory, size, begin, false);

		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)begin,
			      (off_t)(end - begin)) < 0)
			return; /* a file system that has no holes */
		begin = find(memory, size, end, true);
	}
}

void ntd_mould_dig_holes(const struct ntd_mould *mould)
{
	_cleanup_fd_ int fd = open(mould->memory, O_RDWR | O_CLOEXEC);
	struct stat info;
	size_t size;
	void *memory;

	if (fd < 0 || fstat(fd, &info) < 0 || info.st_size < PAGE)
		return;
	size = (size_t)info.st_size & ~(size_t)(PAGE - 1);
	memory = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return;
	dig(fd, memory, size);
	munmap(memory, size);
}
