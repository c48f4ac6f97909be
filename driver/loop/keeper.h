/* The keeper: the process that is the parent of everything the driver starts.
 *
 * It is forked first thing in main(), while the driver is small and has one thread. Every process
 * is started through it and runs below a guard of its own (see keeper.c). Only loop/process.c talks
 * to it.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ntd_keeper {
	int socket; /* SOCK_SEQPACKET; the keeper ends everything when this is shut down */
	pid_t pid;
};

/* Forks the keeper. The process must be single-threaded. */
int ntd_keeper_start(struct ntd_keeper *keeper, struct ntd_error **err);
/* Any thread: what the keeper does when the driver is gone, however it ended (loop/aftermath.h). It
 * removes `path`, which must not outlive the driver but is not a process, or the directory `path`
 * with all that is in it; delivers `file` to `path` below `directory`; cuts off an unfinished line
 * at the end of `file`. */
void ntd_keeper_sweep(const struct ntd_keeper *keeper, const char *path);
void ntd_keeper_sweep_tree(const struct ntd_keeper *keeper, const char *path);
void ntd_keeper_deliver(const struct ntd_keeper *keeper, int file, int directory, const char *path);
void ntd_keeper_cut(const struct ntd_keeper *keeper, int file);
/* Any thread: when the keeper kills the driver if it is still there, NTD_FOREVER for never; the
 * last one counts. */
void ntd_keeper_limit(const struct ntd_keeper *keeper, int64_t deadline);
/* Closes the socket and waits until the keeper has killed what was left and is gone, or until the
 * deadline. */
void ntd_keeper_stop(struct ntd_keeper *keeper, int64_t deadline);

/* Driver to keeper. To start a process: with descriptors, the payload (memfd), stdin, stdout,
 * stderr of the new process. The payload is three runs of NUL-terminated strings: argv,
 * environment, and the working directory. To sweep: without descriptors, the path in `path`, and
 * `tree`. To deliver: with two descriptors, of the file and of the directory for it, and its path
 * there. To cut: with one descriptor. To limit the driver's time: without descriptors, `deadline`.
 */
struct ntd_keeper_order {
	uint32_t id, argc, envc;
	uint32_t payload_len;
	uint32_t grace;   /* struct ntd_spawn (loop/process.h) */
	bool runs_on;     /* the same */
	bool tree;        /* not only the sockets in a directory */
	int64_t deadline; /* of the driver itself, on CLOCK_MONOTONIC; 0: none is ordered */
	char path[256];
};

enum {
	NTD_KEEPER_ORDER_FDS = 4,
	NTD_KEEPER_DELIVERY_FDS = 2,
	NTD_KEEPER_CUT_FDS = 1,
	NTD_KEEPER_REPORT_FDS = 2,
};

enum ntd_keeper_event {
	NTD_KEEPER_STARTED, /* pid; descriptors: pidfd of the process, pidfd of its guard */
	NTD_KEEPER_FAILED,  /* value: errno of what failed in starting it */
	NTD_KEEPER_ENDED,   /* value: wait status of the process */
};

/* Guard to driver. */
struct ntd_keeper_report {
	uint32_t id;
	enum ntd_keeper_event event;
	int32_t value;
	pid_t pid;
};

/* Sends or receives one message with up to `fd_count` descriptors. Receiving returns the length, 0
 * at the end, -1 with errno; *fd_count becomes the number received. */
ssize_t ntd_message_send(int socket, const void *bytes, size_t len, const int *fds,
			 size_t fd_count);
ssize_t ntd_message_receive(int socket, void *bytes, size_t len, int *fds, size_t *fd_count);
