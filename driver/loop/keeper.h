/* The keeper: the process that is the parent of everything the driver starts.
 *
 * The keeper is forked first thing in main(), while the driver is small and has one thread. Every
 * process is started through it and runs below a guard of its own (see keeper.c). Only
 * loop/process.c orders processes; any thread may order what happens to files at the end.
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
/* Any thread: order what the keeper does when the driver is gone, however it ended
 * (loop/aftermath.h). It removes `path`, a file or a directory of sockets; removes the directory
 * `path` with everything in it; delivers `file` to `path` below `directory`; cuts off an unfinished
 * line at the end of `file`; completes `file` by `text`. An order with a path or a text of 256
 * bytes or more is ignored. */
void ntd_keeper_sweep(const struct ntd_keeper *keeper, const char *path);
void ntd_keeper_sweep_tree(const struct ntd_keeper *keeper, const char *path);
void ntd_keeper_deliver(const struct ntd_keeper *keeper, int file, int directory, const char *path);
void ntd_keeper_cut(const struct ntd_keeper *keeper, int file);
void ntd_keeper_complete(const struct ntd_keeper *keeper, int file, const char *text);
/* Any thread: sets the time at which the keeper kills the driver if it is still there, NTD_FOREVER
 * for never. The last call counts. */
void ntd_keeper_limit(const struct ntd_keeper *keeper, int64_t deadline);
/* Closes the socket and waits until the keeper has ended everything and is gone itself, or until
 * the deadline. */
void ntd_keeper_stop(struct ntd_keeper *keeper, int64_t deadline);

/* A message from the driver to the keeper. The number of descriptors that come with it tells what
 * it orders:
 *
 *	4	start a process: payload (a memfd), stdin, stdout, stderr. The payload is three runs
 *		of NUL-terminated strings: argv, environment, and the working directory, "" for the
 *		driver's.
 *	2	deliver: the file and the directory for it; its path there is in `path`
 *	1	cut, or complete if there is a `path`, which is the text: the file
 *	0	limit the driver's time if `deadline` is set; else sweep `path`, as `tree` says
 */
struct ntd_keeper_order {
	uint32_t id, argc, envc;
	uint32_t payload_len;
	uint32_t grace;   /* struct ntd_spawn (loop/process.h) */
	bool runs_on;     /* the same */
	bool tree;        /* remove everything in a directory, not only sockets */
	int64_t deadline; /* of the driver itself, on CLOCK_MONOTONIC; 0: none is ordered */
	char path[256];
};

enum {
	NTD_KEEPER_ORDER_FDS = 4,
	NTD_KEEPER_DELIVERY_FDS = 2,
	NTD_KEEPER_FILE_FDS = 1,
	NTD_KEEPER_REPORT_FDS = 2,
};

enum ntd_keeper_event {
	NTD_KEEPER_STARTED, /* pid; descriptors: pidfd of the process, pidfd of its guard */
	NTD_KEEPER_FAILED,  /* value: errno of the call that failed in starting it */
	NTD_KEEPER_ENDED,   /* value: wait status of the process */
};

/* A message from a guard to the driver, or from a keeper that cannot fork one. */
struct ntd_keeper_report {
	uint32_t id;
	enum ntd_keeper_event event;
	int32_t value;
	pid_t pid;
};
