/* The keeper: a process of one thread. The functions at the end of the file are the driver's.
 *
 * Theory of operation
 *
 *   driver ── keeper ──┬── guard ── process ── its children
 *                      └── guard ── process ── ...
 *
 * Nothing the driver starts may outlive it, even when it is killed with SIGKILL, and whatever a
 * start script leaves in the background. PR_SET_PDEATHSIG alone reaches direct children only, and
 * daemons leave their process group. So each process gets a guard, which is its subreaper:
 * descendants that lose their parent become the guard's children. When the process ends, the guard
 * reports its wait status, tells its own children to end, after a moment kills the children that
 * are still there until it has none, and exits. A guard that receives SIGTERM kills the process,
 * its group and everything below at once. The group is for processes in another pid namespace
 * (nsenter into a container): orphans there go to the init of that namespace, not to the guard.
 *
 * The keeper is the guards' parent and a subreaper too, should a guard be killed. It reads orders
 * from the driver. When the driver shuts the socket down, or its pidfd tells that it has ended (the
 * socket alone would not: processes that a script forks may have it, too), the keeper sends SIGHUP
 * to the guards. One order is the time at which the driver has to be gone: the keeper kills a
 * driver that is still there, whatever it hangs in. Most guards take SIGHUP as SIGTERM. But a guard
 * whose process was ordered with a grace sends SIGTERM to that process, which then has the grace to
 * end by itself, since only the process can remove what it made elsewhere, such as network
 * interfaces. The keeper waits for the guards no longer than the longest grace and a moment, kills
 * everything that is still below it, then runs the errands on files that it was told
 * (loop/aftermath.h). When the keeper dies, the guards get SIGTERM by PR_SET_PDEATHSIG, which ends
 * a grace, too.
 *
 * The guard is in guard.c, and the killing in descendants.c. Both programs are single-threaded C
 * without allocation after the fork, apart from reading one order and noting errands.
 */
#include "loop/keeper_internal.h"

#include "base/clock.h"
#include "loop/aftermath.h"
#include "loop/message.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static_assert((int)NTD_KEEPER_ORDER_FDS <= (int)NTD_MESSAGE_FDS, "an order is one message");

/* ---- the process */

/* What the keeper does when the driver is gone, and the time at which the driver has to be. */
struct duties {
	uint32_t grace; /* the longest of all */
	struct ntd_aftermath aftermath;
	int64_t deadline;
};

static void carry_out(int socket, const struct ntd_keeper_order *order, const int *fds,
		      struct duties *duties)
{
	pid_t keeper = getpid(), child = fork();

	if (!child)
		ntd_guard_run(socket, order, fds, keeper);
	if (order->grace > duties->grace)
		duties->grace = order->grace;
	if (child < 0)
		ntd_guard_report(socket, order->id, NTD_KEEPER_FAILED, errno, 0);
}

/* Handles one message. Returns false when there is none now; sets *ended when none will come any
 * more. */
static bool obey(int socket, struct duties *duties, bool *ended)
{
	struct ntd_aftermath *aftermath = &duties->aftermath;
	struct ntd_keeper_order order;
	int fds[NTD_KEEPER_ORDER_FDS];
	size_t count;
	ssize_t len = ntd_message_receive(socket, &order, sizeof order, fds, &count);

	if (len <= 0) {
		*ended = len == 0 || (errno != EAGAIN && errno != EINTR);
		return false;
	}
	order.path[sizeof order.path - 1] = '\0';
	if (count == NTD_KEEPER_ORDER_FDS)
		carry_out(socket, &order, fds, duties);
	else if (count == NTD_KEEPER_DELIVERY_FDS)
		ntd_aftermath_deliver(aftermath, fds[0], fds[1], order.path);
	else if (count == NTD_KEEPER_FILE_FDS && *order.path)
		ntd_aftermath_complete(aftermath, fds[0], order.path);
	else if (count == NTD_KEEPER_FILE_FDS)
		ntd_aftermath_cut(aftermath, fds[0]);
	else if (len == sizeof order && order.deadline)
		duties->deadline = order.deadline;
	else if (len == sizeof order && order.tree)
		ntd_aftermath_remove_tree(aftermath, order.path);
	else if (len == sizeof order)
		ntd_aftermath_remove(aftermath, order.path);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return true;
}

/* Kills the driver, and writes to the log why the run has no regular end. */
static void kill_late_driver(int driver)
{
	dprintf(STDERR_FILENO, "nixos-test-driver: the run does not come to its end in time; "
			       "the driver is killed\n");
	syscall(SYS_pidfd_send_signal, driver, SIGKILL, NULL, 0);
}

/* Returns when the driver is gone, or has said that nothing will come any more. */
static void serve(int socket, int signals, int driver, struct duties *duties)
{
	struct pollfd polled[] = {{.fd = socket, .events = POLLIN},
				  {.fd = signals, .events = POLLIN},
				  {.fd = driver, .events = POLLIN}};
	bool ended = false;

	while (!ended) {
		struct signalfd_siginfo info;
		struct timespec left;
		int ready = ppoll(polled, sizeof polled / sizeof *polled,
				  ntd_remaining(duties->deadline, &left), NULL);

		if (ready == 0) {
			kill_late_driver(driver);
			duties->deadline = NTD_FOREVER;
		}
		if (ready <= 0)
			continue;
		if (polled[1].revents && read(signals, &info, sizeof info) == sizeof info)
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
		while (obey(socket, duties, &ended))
			; /* also what a driver that is gone has ordered before */
		ended = ended || polled[2].revents;
	}
}

__attribute__((noreturn)) static void keeper_main(int socket, pid_t parent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int driver = ntd_pidfd(parent), signals;
	struct duties duties = {.deadline = NTD_FOREVER};

	prctl(PR_SET_NAME, "ntd-keeper");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setpgid(0, 0);
	signals = ntd_descendants_signals();
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (getppid() == parent) /* else the driver is gone, and its number may be another's */
		serve(socket, signals, driver, &duties);
	ntd_descendants_end(SIGHUP, signals, ntd_after(duties.grace * NTD_MS + NTD_KEEPER_PATIENCE),
			    duties.grace);
	ntd_descendants_kill();
	ntd_aftermath_run(&duties.aftermath);
	_exit(0);
}

/* ---- the driver */

/* A program that was started without standard descriptors would get sockets in their place. */
static void keep_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int ntd_keeper_start(struct ntd_keeper *keeper, struct ntd_error **err)
{
	pid_t driver = getpid();
	int pair[2];

	keep_standard_descriptors();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return ntd_error_sys(err, errno, "cannot make the keeper's socket");
	keeper->pid = fork();
	if (keeper->pid < 0) {
		int error = errno;

		close(pair[0]);
		close(pair[1]);
		return ntd_error_sys(err, error, "cannot fork the keeper");
	}
	if (!keeper->pid) {
		close(pair[0]);
		keeper_main(pair[1], driver);
	}
	close(pair[1]);
	keeper->socket = pair[0];
	return 0;
}

static void order_for_the_end(const struct ntd_keeper *keeper, const char *path, bool tree,
			      const int *fds, size_t fd_count)
{
	struct ntd_keeper_order order = {.tree = tree};

	if (strlen(path) >= sizeof order.path)
		return;
	memcpy(order.path, path, strlen(path));
	ntd_message_send(keeper->socket, &order, sizeof order, fds, fd_count);
}

void ntd_keeper_sweep(const struct ntd_keeper *keeper, const char *path)
{
	order_for_the_end(keeper, path, false, NULL, 0);
}

void ntd_keeper_sweep_tree(const struct ntd_keeper *keeper, const char *path)
{
	order_for_the_end(keeper, path, true, NULL, 0);
}

void ntd_keeper_cut(const struct ntd_keeper *keeper, int file)
{
	order_for_the_end(keeper, "", false, &file, NTD_KEEPER_FILE_FDS);
}

void ntd_keeper_complete(const struct ntd_keeper *keeper, int file, const char *text)
{
	order_for_the_end(keeper, text, false, &file, NTD_KEEPER_FILE_FDS);
}

void ntd_keeper_deliver(const struct ntd_keeper *keeper, int file, int directory, const char *path)
{
	order_for_the_end(keeper, path, false, (int[]){file, directory}, NTD_KEEPER_DELIVERY_FDS);
}

void ntd_keeper_limit(const struct ntd_keeper *keeper, int64_t deadline)
{
	struct ntd_keeper_order order = {.deadline = deadline};

	ntd_message_send(keeper->socket, &order, sizeof order, NULL, 0);
}

/* Closing alone would not tell the keeper: a process that the script has forked may have the
 * socket, too. */
void ntd_keeper_stop(struct ntd_keeper *keeper, int64_t deadline)
{
	_cleanup_fd_ int pidfd = ntd_pidfd(keeper->pid);
	struct pollfd polled = {.fd = pidfd, .events = POLLIN};
	struct timespec left;
	int ready;

	shutdown(keeper->socket, SHUT_RDWR);
	ntd_close_fd(&keeper->socket);
	if (pidfd >= 0) /* else it is gone already */
		do
			ready = ppoll(&polled, 1, ntd_remaining(deadline, &left), NULL);
		while (ready < 0 && errno == EINTR);
	waitpid(keeper->pid, NULL, WNOHANG);
}
