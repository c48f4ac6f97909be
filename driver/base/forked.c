/* The handler of pthread_atfork() runs on the only thread of the new process, before fork() returns
 * there, and makes only calls that are allowed between fork() and exec(). The handler gets no
 * argument, and descriptors belong to the process as a whole; hence the global state.
 */
#include "base/forked.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { WORD = 64, WORDS = 1 << 10 }; /* for the 65536 descriptors that embed/main.c allows */

static atomic_bool forked;
static _Atomic uint64_t withheld[WORDS]; /* a bit for each descriptor */

static _Atomic uint64_t *word_of(int fd)
{
	return fd >= 0 && fd < WORD * WORDS ? &withheld[fd / WORD] : NULL;
}

static uint64_t bit_of(int fd)
{
	return UINT64_C(1) << fd % WORD;
}

void ntd_forked_withhold(int fd)
{
	_Atomic uint64_t *word = word_of(fd);

	if (word)
		atomic_fetch_or(word, bit_of(fd));
}

void ntd_forked_release(int fd)
{
	_Atomic uint64_t *word = word_of(fd);

	if (word)
		atomic_fetch_and(word, ~bit_of(fd));
}

/* The numbers stay taken, by /dev/null, so that code which still has one cannot write by it to a
 * file that the script opens later. */
static void close_withheld(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < WORDS; i++)
		for (uint64_t left = withheld[i]; left; left &= left - 1) {
			int fd = i * WORD + __builtin_ctzll(left);

			if (null < 0)
				close(fd);
			else
				dup3(null, fd, O_CLOEXEC);
		}
	if (null >= 0)
		close(null);
}

static void in_child(void)
{
	if (!atomic_exchange(&forked, true))
		close_withheld();
}

void ntd_forked_prepare(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

bool ntd_is_forked(void)
{
	return forked;
}

int ntd_refuse_forked(struct ntd_error **err)
{
	return ntd_error_set(
		err, NTD_E_MACHINE,
		"the test driver does not exist in a process that the script has forked: "
		"only the script's own process has machines, networks and the log");
}
