/* The work of the service COPY (agent/copy_file.h). In a process of its own for each copy. Its
 * readers share the two descriptors, and take turns in the file: each copies every fourth piece of
 * it, so all of them are in about the same place, and none waits for another.
 */
#include "agent/copy_file.h"
#include "agent/descriptors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
	READERS = 4,
	PIECE = 256 << 10,
	PIECE_MOST = 4 << 20,
	BLOCK = 512, /* of st_blocks */
	SPECIAL_BITS = S_ISUID | S_ISGID | S_ISVTX,
};

/* A copy that goes on. */
struct work {
	int from, to;
	off_t size;
	size_t piece;
};

/* ---- the two files */

static bool is_simple(const struct stat *source)
{
	return S_ISREG(source->st_mode) && !(source->st_mode & SPECIAL_BITS) &&
	       (source->st_size + BLOCK - 1) / BLOCK <= source->st_blocks;
}

/* Opens a target that is there. It may be the source, or something else since it was looked at. */
static int open_old(const char *path, const struct stat *source)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat info;

	if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) ||
	    (info.st_dev == source->st_dev && info.st_ino == source->st_ino) ||
	    ftruncate(fd, 0) < 0)
		return -1;
	return ntd_steal_fd(&fd);
}

static int open_target(const char *path, const struct stat *source)
{
	struct stat info;

	if (stat(path, &info) == 0)
		return S_ISREG(info.st_mode) ? open_old(path, source) : -1;
	return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, source->st_mode & 0777);
}

/* How much is read at once: by 9p, st_blksize is what one request brings, and a piece that is not a
 * multiple of it would take another one for the rest. */
static size_t piece_of(const struct stat *source)
{
	size_t block = source->st_blksize > 0 ? (size_t)source->st_blksize : 1;

	if (block > PIECE_MOST)
		return PIECE;
	return block >= PIECE / 2 ? block : PIECE / block * block;
}

/* ---- the readers */

static bool copy_piece(const struct work *work, char *room, off_t offset)
{
	size_t left = (size_t)(work->size - offset), len = left < work->piece ? left : work->piece;
	size_t got = 0;
	ssize_t more = 1;

	for (; got < len && more > 0; got += more > 0 ? (size_t)more : 0)
		more = pread(work->from, room + got, len - got, offset + (off_t)got);
	return got == len && ntd_agent_write_at(work->to, room, len, (uint64_t)offset) == 0;
}

/* Copies every piece whose number is `first`, or comes READERS after another one. */
static bool copy_pieces(const struct work *work, unsigned first)
{
	off_t step = (off_t)work->piece * READERS;
	char *room = mmap(NULL, work->piece, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	bool good = room != MAP_FAILED;

	for (off_t at = (off_t)work->piece * first; good && at < work->size; at += step)
		good = copy_piece(work, room, at);
	if (room != MAP_FAILED)
		munmap(room, work->piece);
	return good;
}

/* The process ends with its parent, whose copy nobody would wait for. */
static _Noreturn void read_along(const struct work *work, unsigned first, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(getppid() == parent && copy_pieces(work, first) ? 0 : 1);
}

static bool copy_all(const struct work *work)
{
	pid_t self = getpid(), readers[READERS];
	bool good = true;

	for (unsigned i = 1; i < READERS; i++) {
		readers[i] = fork();
		if (readers[i] == 0)
			read_along(work, i, self);
		good = good && readers[i] > 0;
	}
	good = good && copy_pieces(work, 0);
	for (unsigned i = 1; i < READERS; i++) {
		int status = -1;

		if (readers[i] > 0 && !good)
			kill(readers[i], SIGKILL);
		good = readers[i] > 0 && waitpid(readers[i], &status, 0) == readers[i] &&
		       status == 0 && good;
	}
	return good;
}

bool ntd_copy_file(const char *source, const char *target)
{
	_cleanup_fd_ int from = open(source, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_cleanup_fd_ int to = -1;
	struct work work = {.from = from};
	struct stat info;

	if (from < 0 || fstat(from, &info) < 0 || !is_simple(&info))
		return false;
	work.to = to = open_target(target, &info);
	work.size = info.st_size;
	work.piece = piece_of(&info);
	return to >= 0 && copy_all(&work);
}
