/* The clock and the random numbers of the kernel that the agent runs on. Apart from the service
 * that uses it, so that tests of the service can do without: they run as root on somebody's host.
 */
#include "agent/refresh.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

/* <linux/random.h>, which compilers with musl may not have. */
#define ADD_ENTROPY _IOW('R', 0x03, int[2]) /* struct pool_input */
#define RESEED _IO('R', 0x07)

struct pool_input {
	int bits, len; /* how much chance is in the bytes, and how many they are */
	char bytes[NTD_REFRESH_SEED_MOST];
};

int ntd_agent_set_clock(const struct timespec *time)
{
	return clock_settime(CLOCK_REALTIME, time) < 0 ? errno : 0;
}

/* Bytes that are only written to the device are used a minute later, or never: each processor
 * makes its numbers of a key of its own, which RESEED has it throw away. */
int ntd_agent_stir_random(const char *seed, size_t len)
{
	struct pool_input input = {.bits = (int)len * 8, .len = (int)len};
	_cleanup_fd_ int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	memcpy(input.bytes, seed, len);
	return ioctl(fd, ADD_ENTROPY, &input) < 0 || ioctl(fd, RESEED) < 0 ? errno : 0;
}
