/* The guard: a process of one thread, forked by the keeper, which starts one process of the
 * driver's and ends it with everything below it. See keeper.c for how that goes, and descendants.c
 * for how processes are ended. It allocates nothing after the fork, apart from reading the order.
 */
#include "loop/keeper_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "loop/message.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* ---- the started process */

static char **split(char **cursor, const char *end, uint32_t count)
{
	char **strings = ntd_calloc(count + 1, sizeof *strings);

	for (uint32_t i = 0; i < count && *cursor < end; i++) {
		strings[i] = *cursor;
		*cursor += strlen(*cursor) + 1;
	}
	return strings;
}

/* Becomes the ordered process; returns only when that failed, with errno. */
static void become(const struct ntd_keeper_order *order, const int *fds)
{
	char *cursor =
		mmap(NULL, order->payload_len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[0], 0);
	const char *end;
	char **argv, **env;
	sigset_t none;

	if (cursor == MAP_FAILED)
		return;
	end = cursor + order->payload_len;
	argv = split(&cursor, end, order->argc);
	env = split(&cursor, end, order->envc);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i + 1], i) < 0)
			return;
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (cursor < end && *cursor && chdir(cursor) < 0)
		return;
	/* Other descriptors that are open here come from the process that started the driver.
	 * Failure is no reason to stop. */
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	environ = env; /* whose PATH counts */
	execvp(argv[0], argv);
}

/* ---- the guard */

void ntd_guard_report(int socket, uint32_t id, enum ntd_keeper_event event, int value, pid_t pid)
{
	struct ntd_keeper_report message = {.id = id, .event = event, .value = value, .pid = pid};
	int fds[NTD_KEEPER_REPORT_FDS] = {-1, -1};
	size_t count = 0;

	if (event == NTD_KEEPER_STARTED) {
		fds[0] = ntd_pidfd(pid);
		fds[1] = ntd_pidfd(getpid());
		count = NTD_KEEPER_REPORT_FDS;
	}
	ntd_message_send(socket, &message, sizeof message, fds, count);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

/* The process is not reaped yet, so its number still names its group, which it has led since before
 * its exec. */
static int kill_at_once(pid_t process)
{
	int status = 0;

	kill(-process, SIGKILL);
	kill(process, SIGKILL);
	waitpid(process, &status, 0);
	return status;
}

/* Reaps the children that have ended, and returns whether `process` is among them, with its status.
 */
static bool reap(pid_t process, bool runs_on, int *status)
{
	pid_t pid;

	while ((pid = waitpid(-1, status, WNOHANG | (runs_on ? WUNTRACED : 0))) > 0) {
		if (WIFSTOPPED(*status))
			kill(pid, SIGCONT);
		else if (pid == process)
			return true;
	}
	return false;
}

/* Waits until `process` ends by itself or is killed, reports its status, ends everything below, and
 * exits. */
__attribute__((noreturn)) static void watch_over(int socket, const struct ntd_keeper_order *order,
						 pid_t process, int signals)
{
	int64_t deadline = NTD_FOREVER; /* the end of the grace, once it has begun */
	bool killed = false, ended = false;
	uint32_t grace = order->grace;
	int status = 0;

	while (!ended) {
		uint32_t signal = ntd_descendants_await(signals, deadline);

		killed = ntd_descendants_is_the_end(signal, grace);
		if (killed) {
			status = kill_at_once(process);
			break;
		}
		if (signal == SIGHUP && deadline == NTD_FOREVER) {
			deadline = ntd_after(grace * NTD_MS);
			kill(process, SIGTERM);
		}
		ended = reap(process, order->runs_on, &status);
	}
	ntd_guard_report(socket, order->id, NTD_KEEPER_ENDED, status, process);
	if (!killed) /* QEMU below a shell writes its disks when it is asked to end */
		ntd_descendants_end(SIGTERM, signals, ntd_after(NTD_KEEPER_PATIENCE), grace);
	ntd_descendants_kill();
	_exit(0);
}

void ntd_guard_run(int socket, const struct ntd_keeper_order *order, const int *fds, pid_t keeper)
{
	int failure[2], signals, error = 0;
	pid_t process;

	prctl(PR_SET_NAME, "ntd-guard");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0);
	signals = ntd_descendants_signals();
	if (getppid() != keeper || signals < 0 || pipe2(failure, O_CLOEXEC) < 0)
		_exit(1);
	process = fork();
	if (!process) {
		close(failure[0]);
		become(order, fds);
		error = errno;
		_exit(write(failure[1], &error, sizeof error) == sizeof error ? 127 : 126);
	}
	close(failure[1]);
	for (size_t i = 0; i < NTD_KEEPER_ORDER_FDS; i++)
		close(fds[i]);
	if (process < 0 || read(failure[0], &error, sizeof error) == sizeof error) {
		ntd_guard_report(socket, order->id, NTD_KEEPER_FAILED, process < 0 ? errno : error,
				 0);
		_exit(1);
	}
	close(failure[0]);
	ntd_guard_report(socket, order->id, NTD_KEEPER_STARTED, 0, process);
	watch_over(socket, order, process, signals);
}
