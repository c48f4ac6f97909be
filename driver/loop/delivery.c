#include "loop/delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct ntd_delivery {
	int file, directory;
	char *path;
};

void ntd_deliveries_add(struct ntd_deliveries *deliveries, int file, int directory,
			const char *path)
{
	deliveries->list =
		ntd_realloc(deliveries->list, (deliveries->count + 1) * sizeof *deliveries->list);
	deliveries->list[deliveries->count++] =
		(struct ntd_delivery){.file = fcntl(file, F_DUPFD_CLOEXEC, 3),
				      .directory = fcntl(directory, F_DUPFD_CLOEXEC, 3),
				      .path = ntd_strdup(path)};
}

/* Another name for the same file costs nothing, where both are on one file system. */
static int link_file(const struct ntd_delivery *delivery)
{
	char source[64];

	snprintf(source, sizeof source, "/proc/self/fd/%d", delivery->file);
	return linkat(AT_FDCWD, source, delivery->directory, delivery->path, AT_SYMLINK_FOLLOW);
}

static int write_all(int fd, const char *bytes, ssize_t len)
{
	while (len) {
		ssize_t written = write(fd, bytes, (size_t)len);

		if (written < 0 && errno != EINTR)
			return -1;
		if (written > 0) {
			bytes += written;
			len -= written;
		}
	}
	return 0;
}

static int append_file(const struct ntd_delivery *delivery)
{
	_cleanup_fd_ int to = openat(delivery->directory, delivery->path,
				     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
	char bytes[64 << 10];
	off_t at = 0;
	ssize_t got = -1;

	if (to < 0)
		return -1;
	while ((got = pread(delivery->file, bytes, sizeof bytes, at)) > 0) {
		if (write_all(to, bytes, got) < 0)
			return -1;
		at += got;
	}
	return (int)got;
}

static int deliver(const struct ntd_delivery *delivery, bool first)
{
	_cleanup_free_ char *parent = ntd_strdup(delivery->path);

	if (first) {
		mkdirat(delivery->directory, dirname(parent), 0777);
		unlinkat(delivery->directory, delivery->path, 0);
		if (link_file(delivery) == 0)
			return 0;
	}
	return append_file(delivery);
}

void ntd_deliveries_make(const struct ntd_deliveries *deliveries)
{
	for (size_t i = 0; i < deliveries->count; i++) {
		const struct ntd_delivery *delivery = &deliveries->list[i];
		bool first = true;

		for (size_t j = 0; j < i; j++)
			first &= strcmp(deliveries->list[j].path, delivery->path) != 0;
		if (deliver(delivery, first) < 0)
			dprintf(STDERR_FILENO, "nixos-test-driver: cannot write %s: %s\n",
				delivery->path, strerror(errno));
	}
}
