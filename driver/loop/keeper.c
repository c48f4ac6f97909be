/* The keeper and the guards: processes of one thread each; the functions at the end of the file are
 * the driver's.
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
 * A guard or the keeper kills its direct children as /proc shows them, again and again: a killed
 * child's own children become its children, so the loop ends only when nothing is left. Both
 * programs are single-threaded C without allocation after the fork, apart from reading one order
 * and noting errands.
 */
#include "loop/keeper.h"

#include "base/clock.h"
#include "loop/aftermath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PATIENCE (1 * NTD_SECOND) /* with processes that were told to end */

/* ---- messages with descriptors */

ssize_t ntd_message_send(int socket, const void *bytes, size_t len, const int *fds, size_t fd_count)
{
	char control[CMSG_SPACE(sizeof(int) * NTD_KEEPER_ORDER_FDS)] = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	if (fd_count) {
		struct cmsghdr *header;

		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

ssize_t ntd_message_receive(int socket, void *bytes, size_t len, int *fds, size_t *fd_count)
{
	char control[CMSG_SPACE(sizeof(int) * NTD_KEEPER_ORDER_FDS)];
	struct iovec iov = {.iov_base = bytes, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof control};
	struct cmsghdr *header;
	ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	*fd_count = 0;
	if (received <= 0)
		return received;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS) {
		*fd_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(header), *fd_count * sizeof(int));
	}
	return received;
}

/* ---- killing what is below this process */

static pid_t parent_of(const char *pid)
{
	char path[sizeof "/proc//stat" + NAME_MAX], stat[512], *end;
	int fd, parent = -1;
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, stat, sizeof stat - 1);
	close(fd);
	if (len <= 0)
		return -1;
	stat[len] = '\0';
	end = strrchr(stat, ')'); /* the name may hold anything, parentheses too */
	if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
		return -1;
	return parent;
}

static void kill_children(int signal)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    parent_of(entry->d_name) == getpid())
			kill((pid_t)strtol(entry->d_name, NULL, 10), signal);
	if (proc)
		closedir(proc);
}

/* Reaps, and returns whether this process has no children any more: most processes leave none,
 * which is known without a look at all of /proc. */
static bool nothing_below(void)
{
	pid_t reaped;

	do
		reaped = waitpid(-1, NULL, WNOHANG);
	while (reaped > 0);
	return reaped < 0 && errno == ECHILD;
}

static void kill_all_below(void)
{
	while (!nothing_below()) {
		kill_children(SIGKILL);
		if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
			return;
	}
}

/* ---- ending what is below this process */

static int block_signals(void)
{
	sigset_t watched, all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGHUP);
	return signalfd(-1, &watched, SFD_CLOEXEC);
}

/* The next of the watched signals, or 0 when the deadline has passed. */
static uint32_t await_signal(int signals, int64_t deadline)
{
	struct pollfd polled = {.fd = signals, .events = POLLIN};
	struct signalfd_siginfo info;
	struct timespec left;
	int ready;

	do
		ready = ppoll(&polled, 1, ntd_remaining(deadline, &left), NULL);
	while (ready < 0 && errno == EINTR);
	return ready > 0 && read(signals, &info, sizeof info) == sizeof info ? info.ssi_signo : 0;
}

/* Whether `signal`, which await_signal() returned, leaves nothing to do but to kill. */
static bool is_the_end(uint32_t signal, uint32_t grace)
{
	return !signal || signal == SIGTERM || (signal == SIGHUP && !grace);
}

/* Sends `signal` to the children, and to the processes that become children when these end, until
 * there are none or time is up. */
static void end_below(int signal, int signals, int64_t deadline, uint32_t grace)
{
	while (!nothing_below()) {
		kill_children(signal);
		if (nothing_below() || is_the_end(await_signal(signals, deadline), grace))
			return;
	}
}

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

static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void report(int socket, uint32_t id, enum ntd_keeper_event event, int value, pid_t pid)
{
	struct ntd_keeper_report message = {.id = id, .event = event, .value = value, .pid = pid};
	int fds[NTD_KEEPER_REPORT_FDS] = {-1, -1};
	size_t count = 0;

	if (event == NTD_KEEPER_STARTED) {
		fds[0] = open_pidfd(pid);
		fds[1] = open_pidfd(getpid());
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
		uint32_t signal = await_signal(signals, deadline);

		killed = is_the_end(signal, grace);
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
	report(socket, order->id, NTD_KEEPER_ENDED, status, process);
	if (!killed) /* QEMU below a shell writes its disks when it is asked to end */
		end_below(SIGTERM, signals, ntd_after(PATIENCE), grace);
	kill_all_below();
	_exit(0);
}

__attribute__((noreturn)) static void guard(int socket, const struct ntd_keeper_order *order,
					    const int *fds, pid_t keeper)
{
	int failure[2], signals, error = 0;
	pid_t process;

	prctl(PR_SET_NAME, "ntd-guard");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0);
	signals = block_signals();
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
		report(socket, order->id, NTD_KEEPER_FAILED, process < 0 ? errno : error, 0);
		_exit(1);
	}
	close(failure[0]);
	report(socket, order->id, NTD_KEEPER_STARTED, 0, process);
	watch_over(socket, order, process, signals);
}

/* ---- the keeper */

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
		guard(socket, order, fds, keeper);
	if (order->grace > duties->grace)
		duties->grace = order->grace;
	if (child < 0)
		report(socket, order->id, NTD_KEEPER_FAILED, errno, 0);
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
	else if (count == NTD_KEEPER_CUT_FDS)
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
	int driver = open_pidfd(parent), signals;
	struct duties duties = {.deadline = NTD_FOREVER};

	prctl(PR_SET_NAME, "ntd-keeper");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setpgid(0, 0);
	signals = block_signals();
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (getppid() == parent) /* else the driver is gone, and its number may be another's */
		serve(socket, signals, driver, &duties);
	end_below(SIGHUP, signals, ntd_after(duties.grace * NTD_MS + PATIENCE), duties.grace);
	kill_all_below();
	ntd_aftermath_run(&duties.aftermath);
	_exit(0);
}

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
	order_for_the_end(keeper, "", false, &file, NTD_KEEPER_CUT_FDS);
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
	_cleanup_fd_ int pidfd = open_pidfd(keeper->pid);
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
