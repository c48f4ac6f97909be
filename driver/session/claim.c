/* Locks of bytes of a file, by fcntl(). The first byte is shared by all runs; the second is the
 * lock of the directory itself, the next are those of the places in it, and far behind them is one
 * for each state directory.
 */
#include "session/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define PLACES_MAX 1000

/* Bytes of the file. All runs share the lock of PRESENCE; the run that gets it alone may remove the
 * file. */
enum { PRESENCE, BASE };

/* ---- locks of bytes */

/* The byte of a state directory: a hash of the name, beyond the bytes of the places. */
static off_t byte_of_state(const char *machine)
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	for (; *machine; machine++)
		hash = (hash ^ (unsigned char)*machine) * 0x100000001b3;
	return (off_t)(hash >> 2 | (uint64_t)1 << 61);
}

static struct flock lock_of(off_t byte, short type)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

/* Locks a byte. When another process has it, *holder is the id of that process, or 0 if it cannot
 * be known. On a file system that has no locks, all attempts succeed. */
static bool take(const struct ntd_claim *claim, off_t byte, pid_t *holder)
{
	struct flock lock = lock_of(byte, F_WRLCK);

	*holder = 0;
	if (fcntl(claim->fd, F_SETLK, &lock) == 0 || (errno != EACCES && errno != EAGAIN))
		return true;
	if (fcntl(claim->fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		*holder = lock.l_pid;
	return false;
}

static void give_back(const struct ntd_claim *claim, off_t byte)
{
	struct flock lock = lock_of(byte, F_UNLCK);

	fcntl(claim->fd, F_SETLK, &lock);
}

static char *holder_name(pid_t holder)
{
	return holder > 0 ? ntd_asprintf("process %d", holder) : ntd_strdup("another process");
}

/* ---- the file */

/* Takes the shared lock of PRESENCE; waits for a run that is just about to remove the file. */
static void be_present(const struct ntd_claim *claim)
{
	struct flock lock = lock_of(PRESENCE, F_RDLCK);

	while (fcntl(claim->fd, F_SETLKW, &lock) < 0 && errno == EINTR)
		;
}

/* Whether the file has not been removed. */
static bool is_there(const struct ntd_claim *claim)
{
	struct stat opened, named;

	return fstat(claim->fd, &opened) == 0 && stat(claim->path, &named) == 0 &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

int ntd_claim_open(struct ntd_claim *claim, const char *base, struct ntd_error **err)
{
	claim->base = ntd_strdup(base);
	claim->path = ntd_asprintf("%s/.nixos-test-driver-%u.lock", base, geteuid());
	do {
		ntd_close_fd(&claim->fd);
		claim->fd = open(claim->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (claim->fd < 0)
			return ntd_error_set(err, NTD_E_USAGE, "cannot open %s: %s", claim->path,
					     strerror(errno));
		be_present(claim);
	} while (!is_there(claim));
	return 0;
}

void ntd_claim_leave(const struct ntd_claim *claim)
{
	struct flock lock = lock_of(PRESENCE, F_WRLCK);

	if (claim->place)
		rmdir(claim->place);
	if (claim->fd >= 0 && fcntl(claim->fd, F_SETLK, &lock) == 0)
		unlink(claim->path);
}

void ntd_claim_close(struct ntd_claim *claim)
{
	ntd_close_fd(&claim->fd);
	free(ntd_steal(&claim->base));
	free(ntd_steal(&claim->path));
	free(ntd_steal(&claim->place));
}

int ntd_claim_state(struct ntd_claim *claim, const char *machine, struct ntd_error **err)
{
	_cleanup_free_ char *holder_text = NULL;
	pid_t holder;

	if (take(claim, byte_of_state(machine), &holder))
		return 0;
	holder_text = holder_name(holder);
	return ntd_error_set(err, NTD_E_USAGE,
			     "the state of machine '%s', %s/vm-state-%s, is in use by %s", machine,
			     claim->base, machine, holder_text);
}

/* ---- places */

/* The user id of a file's owner; -1: the file does not exist. */
static int64_t owner_of(const char *path)
{
	struct stat info;

	return lstat(path, &info) < 0 ? -1 : (int64_t)info.st_uid;
}

static bool is_strange(const char *path, char **why)
{
	int64_t owner = owner_of(path);

	if (owner < 0 || owner == (int64_t)geteuid())
		return false;
	*why = ntd_asprintf("%s belongs to user %u", path, (unsigned)owner);
	return true;
}

/* Locks the state directories of all machines. True, with the reason in *why, when another run or
 * another user has one of them; what was locked until then stays locked. */
static bool states_are_taken(struct ntd_claim *claim, char *const *machines, char **why)
{
	for (char *const *machine = machines; machine && *machine; machine++) {
		_cleanup_error_ struct ntd_error *error = NULL;
		_cleanup_free_ char *path = ntd_asprintf("%s/vm-state-%s", claim->base, *machine);

		if (is_strange(path, why))
			return true;
		if (ntd_claim_state(claim, *machine, &error) < 0) {
			*why = ntd_strdup(error->message);
			return true;
		}
	}
	return false;
}

static bool take_base(struct ntd_claim *claim, char *const *machines, char **why)
{
	_cleanup_free_ char *shared = ntd_asprintf("%s/shared-xchg", claim->base);
	_cleanup_free_ char *holder_text = NULL;
	pid_t holder;

	if (is_strange(shared, why))
		return false;
	if (!take(claim, BASE, &holder)) {
		holder_text = holder_name(holder);
		*why = ntd_asprintf("%s is in use by %s", claim->base, holder_text);
		return false;
	}
	if (!states_are_taken(claim, machines, why))
		return true;
	for (char *const *machine = machines; machine && *machine; machine++)
		give_back(claim, byte_of_state(*machine));
	give_back(claim, BASE);
	return false;
}

static bool take_directory(struct ntd_claim *claim, int number, const char *path)
{
	pid_t holder;

	if (!take(claim, number, &holder))
		return false;
	if (mkdir(path, 0700) == 0 || (errno == EEXIST && owner_of(path) == (int64_t)geteuid()))
		return true;
	give_back(claim, number);
	return false;
}

char *ntd_claim_place(struct ntd_claim *claim, char *const *machines, char **why,
		      struct ntd_error **err)
{
	*why = NULL;
	if (take_base(claim, machines, why))
		return ntd_strdup(claim->base);
	for (int number = BASE + 1; number <= PLACES_MAX; number++) {
		_cleanup_free_ char *path = ntd_asprintf("%s/ntd-run-%d", claim->base, number);

		if (take_directory(claim, number, path)) {
			claim->place = ntd_strdup(path);
			return ntd_steal(&path);
		}
	}
	ntd_error_set(err, NTD_E_USAGE, "%s, and no directory can be made there", *why);
	return NULL;
}
