/* The process vhost-device-vsock. The loop thread starts and watches it; the main thread waits for
 * its sockets.
 */
#include "session/ssh_backdoor.h"

#include "base/buf.h"
#include "base/tree.h"
#include "guest/retry.h"
#include "machine/qemu.h"
#include "qemu/start_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#define PROGRAM "vhost-device-vsock"

enum {
	FIRST_CID = 3, /* lower ones mean the host and the like */
	READY_SECONDS = 10,
	SWEPT_PATH_MAX = 255 /* the longest path that the keeper takes */
};

struct ntd_ssh_backdoor {
	struct ntd_ssh_backdoor_context context;
	char *directory; /* where the sockets are, mode 0700; NULL: not made yet */
	char **sockets;  /* the paths of all sockets, ended by NULL; or NULL */

	struct ntd_process *process; /* loop thread */
	_Atomic(enum ntd_process_state) state;
	atomic_int status; /* wait status, or errno if it could not be started */
	atomic_bool stopping;
};

/* ---- the process, on the loop thread */

static void changed(struct ntd_process *process, void *owner)
{
	struct ntd_ssh_backdoor *backdoor = owner;
	bool failed = process->state == NTD_PROCESS_FAILED;
	bool was_ready = backdoor->state == NTD_PROCESS_RUNNING && !backdoor->stopping;

	backdoor->status = failed ? process->start_errno : process->status;
	backdoor->state = process->state;
	if (process->state == NTD_PROCESS_ENDED && was_ready) {
		_cleanup_free_ char *how = ntd_status_text(process->status);

		ntd_log(backdoor->context.report, NTD_LEVEL_WARNING, NULL,
			PROGRAM " %s: the SSH backdoor is gone", how);
	}
}

struct order {
	struct ntd_ssh_backdoor *backdoor;
	char **argv;
	struct ntd_error *error;
};

static void spawn(void *arg)
{
	struct order *order = arg;
	struct ntd_ssh_backdoor *backdoor = order->backdoor;
	_cleanup_fd_ int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_strv_ char **env =
		ntd_environment_for_process(backdoor->context.environment, NULL);

	if (in < 0) {
		ntd_error_sys(&order->error, errno, "/dev/null");
		return;
	}
	backdoor->process = ntd_process_spawn(backdoor->context.children,
					      &(struct ntd_spawn){.argv = order->argv,
								  .env = env,
								  .stdin_fd = in,
								  .stdout_fd = STDERR_FILENO,
								  .stderr_fd = STDERR_FILENO},
					      changed, backdoor, &order->error);
}

static void end(void *arg)
{
	struct ntd_ssh_backdoor *backdoor = arg;

	backdoor->stopping = true;
	if (backdoor->process)
		ntd_process_let_go(ntd_steal(&backdoor->process));
}

/* ---- starting */

static char *add_socket(struct ntd_ssh_backdoor *backdoor, const char *machine, const char *side)
{
	char *path = ntd_asprintf("%s/%s.%s", backdoor->directory, machine, side);

	ntd_strv_give(&backdoor->sockets, path);
	return path;
}

/* Makes the directory of the sockets. Their paths are no longer than those of a machine's own
 * sockets, for which session/directories.c has chosen the place. */
static int make_directory(struct ntd_ssh_backdoor *backdoor, struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/ssh-XXXXXX", backdoor->context.socket_dir);

	if (strlen(path) > SWEPT_PATH_MAX || strchr(path, ','))
		return ntd_error_set(err, NTD_E_MACHINE,
				     "the run-time directory %s is too long, or has a comma, which "
				     "separates options of " PROGRAM,
				     backdoor->context.socket_dir);
	if (!mkdtemp(path))
		return ntd_error_sys(err, errno, "cannot make %s", path);
	ntd_keeper_sweep(backdoor->context.keeper, path);
	backdoor->directory = ntd_steal(&path);
	return 0;
}

/* Makes the command line, and tells each machine the paths of its sockets. */
static char **arguments(struct ntd_ssh_backdoor *backdoor, struct ntd_machine *const *machines,
			size_t count, struct ntd_error **err)
{
	_cleanup_strv_ char **argv = ntd_calloc(2 * count + 2, sizeof *argv);

	argv[0] = ntd_strdup(PROGRAM);
	for (size_t i = 0; i < count; i++) {
		const char *name = ntd_machine_name(machines[i]);
		const char *guest = add_socket(backdoor, name, "vm");
		const char *host = add_socket(backdoor, name, "host");

		if (strchr(name, ',')) {
			ntd_error_set(err, NTD_E_MACHINE,
				      "machine '%s': " PROGRAM " takes no name with a comma", name);
			return NULL;
		}
		argv[2 * i + 1] = ntd_strdup("--vm");
		argv[2 * i + 2] = ntd_asprintf("guest-cid=%zu,socket=%s,uds-path=%s", FIRST_CID + i,
					       guest, host);
		ntd_machine_set_vsock(machines[i], guest, host);
	}
	return ntd_steal(&argv);
}

static int failure(const struct ntd_ssh_backdoor *backdoor, struct ntd_error **err)
{
	_cleanup_free_ char *how = NULL;

	if (backdoor->state == NTD_PROCESS_FAILED)
		return ntd_error_set(err, NTD_E_MACHINE,
				     backdoor->status == ENOENT ? PROGRAM " is not on PATH"
								: PROGRAM ": %s",
				     strerror(backdoor->status));
	how = ntd_status_text(backdoor->status);
	return ntd_error_set(err, NTD_E_MACHINE, PROGRAM " %s", how);
}

/* Whether all sockets are there. They are not tried: the program serves one connection, which is to
 * be QEMU's. */
static int is_ready(void *arg, bool last, struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct ntd_ssh_backdoor *backdoor = arg;
	struct stat info;

	if (backdoor->state > NTD_PROCESS_RUNNING)
		return failure(backdoor, err);
	for (char **path = backdoor->sockets; path && *path; path++)
		if (stat(*path, &info) < 0 || !S_ISSOCK(info.st_mode))
			return 0;
	return 1;
}

static int start(struct ntd_ssh_backdoor *backdoor, struct ntd_machine *const *machines,
		 size_t count, struct ntd_error **err)
{
	_cleanup_strv_ char **argv = NULL;
	struct order order = {.backdoor = backdoor};
	struct ntd_wait ready = {.step = "waiting for " PROGRAM,
				 .attempt = is_ready,
				 .arg = backdoor,
				 .pace = NTD_PACE_ADAPTIVE,
				 .timeout = READY_SECONDS};

	if (make_directory(backdoor, err) < 0)
		return -1;
	argv = order.argv = arguments(backdoor, machines, count, err);
	if (!argv)
		return -1;
	ntd_loop_call(backdoor->context.loop, spawn, &order);
	if (order.error)
		return ntd_error_move(err, order.error);
	if (ntd_retry(&ready, NULL, err) == 0)
		return 0;
	if (backdoor->state <= NTD_PROCESS_RUNNING)
		return ntd_error_wrap(err, PROGRAM " did not make its sockets in %s",
				      backdoor->directory);
	return -1;
}

struct ntd_ssh_backdoor *ntd_ssh_backdoor_start(const struct ntd_ssh_backdoor_context *context,
						struct ntd_machine *const *machines, size_t count,
						struct ntd_error **err)
{
	struct ntd_ssh_backdoor *backdoor = ntd_calloc(1, sizeof *backdoor);
	struct ntd_nest nest =
		ntd_nest_begin(context->report, NTD_STEP_START, NULL, "start " PROGRAM);
	int result;

	backdoor->context = *context;
	result = start(backdoor, machines, count, err);
	ntd_nest_end(&nest, result < 0);
	if (result == 0)
		return backdoor;
	ntd_ssh_backdoor_stop(backdoor);
	ntd_error_wrap(err, "SSH backdoor");
	return NULL;
}

void ntd_ssh_backdoor_stop(struct ntd_ssh_backdoor *backdoor)
{
	if (!backdoor)
		return;
	if (backdoor->state == NTD_PROCESS_RUNNING)
		ntd_log(backdoor->context.report, NTD_LEVEL_INFO, NULL, "kill " PROGRAM);
	ntd_loop_call(backdoor->context.loop, end, backdoor);
	if (backdoor->directory)
		ntd_tree_remove(backdoor->directory, NULL);
	free(backdoor->directory);
	ntd_strv_free(backdoor->sockets);
	free(backdoor);
}
