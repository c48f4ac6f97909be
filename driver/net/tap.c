/* Frames on tap interfaces, one a system call: a tap is a character device, and each read or write
 * of it is a frame. The loop thread calls the link's operations; any thread makes interfaces.
 *
 * The kernel takes a frame at once or drops it; a write never blocks. While the interface is down,
 * a write fails with EIO, and there is nothing to read. When somebody deletes the interface, the
 * descriptor reports an error for ever, which is NTD_LINK_GONE.
 */
#include "net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define DEVICE "/dev/net/tun"

/* Frames that the interface keeps until the driver reads them. The kernel's default for a tap is
 * 500, which a sender on this system fills within a few milliseconds that the loop spends
 * elsewhere. */
enum { QUEUE = 4096 };

/* ---- the link */

static int prepare(int fd)
{
	return 0;
}

/* The kernel would cut off a frame that is too long and say nothing, so there is room for a byte
 * more. */
static int receive(int fd, struct ntd_batch *batch)
{
	char excess;
	int count = 0;

	while (count < NTD_BATCH_MAX) {
		struct iovec space[2] = {batch->space[count], {&excess, 1}};
		ssize_t len = readv(fd, space, 2);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == EBADFD && !count)
			return NTD_LINK_GONE;
		if (len < 0)
			break;
		batch->in[count].msg_len = (unsigned)len;
		batch->in[count++].msg_hdr.msg_flags = len > NTD_FRAME_MAX ? MSG_TRUNC : 0;
	}
	return count;
}

static unsigned send_batch(int fd, struct ntd_batch *batch)
{
	unsigned sent = 0;

	while (sent < batch->count) {
		const struct iovec *frame = &batch->frames[sent];

		if (write(fd, frame->iov_base, frame->iov_len) >= 0)
			sent++;
		else if (errno != EINTR)
			break;
	}
	return sent;
}

static int queued(int fd)
{
	return 0;
}

const struct ntd_link ntd_tap_link = {
	.prepare = prepare, .receive = receive, .send = send_batch, .queued = queued};

/* ---- the interface */

int ntd_tap_name(int number, char name[static IFNAMSIZ], struct ntd_error **err)
{
	if (snprintf(name, IFNAMSIZ, "vde-tap%d", number) < IFNAMSIZ)
		return 0;
	return ntd_error_set(err, NTD_E_VALUE,
			     "VLAN %d can have no tap interface: vde-tap%d is longer than the %d "
			     "bytes of a name",
			     number, number, IFNAMSIZ - 1);
}

static int open_device(struct ntd_error **err)
{
	int fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC), error = errno;

	if (fd >= 0)
		return fd;
	ntd_error_sys(err, error, "%s", DEVICE);
	if (error == EACCES || error == EPERM)
		return ntd_error_wrap(err, "the driver may not open it (it has to run as root)");
	return ntd_error_wrap(
		err, "the system has no tap interfaces; load the kernel module tun, and in a "
		     "Nix sandbox add /dev/net to extra-sandbox-paths and \"devnet\" to "
		     "system-features");
}

static int refuse(const char *name, int error, struct ntd_error **err)
{
	ntd_error_sys(err, error, "%s", name);
	if (error == EBUSY)
		return ntd_error_wrap(err,
				      "there is such an interface already: another run uses it, or "
				      "\"ip link delete %s\" removes it",
				      name);
	if (error == EPERM)
		return ntd_error_wrap(err,
				      "the driver may not make interfaces (it has to run as root, "
				      "with CAP_NET_ADMIN)");
	return ntd_error_wrap(err, "the kernel makes no tap interface");
}

/* Errors do not matter: the interface works with the default, too. */
static void lengthen_queue(const char *name)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_qlen = QUEUE};

	memcpy(request.ifr_name, name, strlen(name) + 1);
	if (fd >= 0)
		ioctl(fd, SIOCSIFTXQLEN, &request);
}

int ntd_tap_open(const char *name, struct ntd_error **err)
{
	_cleanup_fd_ int fd = open_device(err);
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL};

	if (fd < 0)
		return -1;
	memcpy(request.ifr_name, name, strlen(name) + 1);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return refuse(name, errno, err);
	lengthen_queue(name);
	return ntd_steal_fd(&fd);
}
