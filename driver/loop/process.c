/* The driver's side of the keeper, on the loop thread. A process is in the table from its order on;
 * the guard's reports, which carry the order's id, move the process through its states. A guard's
 * pidfd becomes readable when the guard has exited: then nothing of the process is left. Guards
 * report before they exit, so the reports are read first when that happens.
 */
#include "loop/process.h"

#include "base/buf.h"
#include "base/memfd.h"
#include "loop/message.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct ntd_children {
	struct ntd_loop *loop;
	struct ntd_source reports;
	struct ntd_list processes; /* in the order of rising ids */
	uint32_t last_id;
	bool closed;
};

static void change(struct ntd_process *process, enum ntd_process_state state)
{
	process->state = state;
	if (process->changed)
		process->changed(process, process->owner);
}

static struct ntd_process *find(struct ntd_children *children, uint32_t id)
{
	ntd_list_each (struct ntd_process, process, &children->processes, link)
		if (process->id == id)
			return process;
	return NULL;
}

static void send_signal(int pidfd, int signal)
{
	syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

/* ---- reports */

static void read_reports(struct ntd_source *source, uint32_t events);

static void guard_gone(struct ntd_source *source, uint32_t events)
{
	struct ntd_process *process = ntd_container_of(source, struct ntd_process, guard);
	struct ntd_children *children = process->children;
	uint32_t id = process->id;

	read_reports(&children->reports, events);
	process = find(children, id);
	if (!process)
		return;
	ntd_source_remove(&process->guard);
	if (process->state == NTD_PROCESS_RUNNING) {
		process->status = SIGKILL; /* the guard was killed, and took the process with it */
		change(process, NTD_PROCESS_ENDED);
		process = find(children, id);
	}
	if (process)
		change(process, NTD_PROCESS_GONE);
}

static void started(struct ntd_process *process, pid_t pid, int *fds)
{
	process->pid = pid;
	process->pidfd = ntd_steal_fd(&fds[0]);
	process->guard.fd = ntd_steal_fd(&fds[1]);
	process->guard.ready = guard_gone;
	ntd_source_add(process->children->loop, &process->guard, EPOLLIN, NULL);
	if (process->doomed)
		ntd_process_kill_tree(process);
	else if (process->first_signal)
		send_signal(process->pidfd, process->first_signal);
	change(process, NTD_PROCESS_RUNNING);
}

/* A process has started, but its descriptors did not come through: the driver has too many open. */
static void cannot_own(struct ntd_process *process, pid_t pid)
{
	kill(pid, SIGKILL); /* its guard ends the rest */
	process->start_errno = EMFILE;
	change(process, NTD_PROCESS_FAILED);
}

static void handle(struct ntd_process *process, const struct ntd_keeper_report *report, int *fds,
		   size_t fd_count)
{
	switch (report->event) {
	case NTD_KEEPER_STARTED:
		if (process->state != NTD_PROCESS_STARTING)
			break;
		if (fd_count == NTD_KEEPER_REPORT_FDS)
			started(process, report->pid, fds);
		else
			cannot_own(process, report->pid);
		break;
	case NTD_KEEPER_FAILED:
		process->start_errno = report->value;
		change(process, NTD_PROCESS_FAILED);
		break;
	case NTD_KEEPER_ENDED:
		if (process->state != NTD_PROCESS_RUNNING)
			break; /* its end was told already, when the keeper went */
		process->status = report->value;
		change(process, NTD_PROCESS_ENDED);
		break;
	default:
		break;
	}
}

/* The first process whose id is greater, or NULL. */
static struct ntd_process *next_after(struct ntd_children *children, uint32_t id)
{
	ntd_list_each (struct ntd_process, process, &children->processes, link)
		if (process->id > id)
			return process;
	return NULL;
}

/* Somebody has killed the keeper, with which every process ends. A process whose guard is not
 * watched has no guard any more, and is gone. */
static void keeper_gone(struct ntd_children *children)
{
	struct ntd_process *process;
	uint32_t id = 0;
	bool guarded;

	ntd_source_remove(&children->reports);
	while ((process = next_after(children, id))) {
		id = process->id;
		guarded = process->guard.loop;
		if (process->state < NTD_PROCESS_ENDED) {
			process->status = SIGKILL;
			change(process, NTD_PROCESS_ENDED);
		}
		process = guarded ? NULL : find(children, id);
		if (process && process->state == NTD_PROCESS_ENDED)
			change(process, NTD_PROCESS_GONE);
	}
}

static void read_reports(struct ntd_source *source, uint32_t events)
{
	struct ntd_children *children = ntd_container_of(source, struct ntd_children, reports);

	for (;;) {
		struct ntd_keeper_report report;
		int fds[NTD_KEEPER_ORDER_FDS];
		size_t count;
		ssize_t received =
			ntd_message_receive(source->fd, &report, sizeof report, fds, &count);
		struct ntd_process *process;

		if (received == sizeof report) {
			process = find(children, report.id);
			if (process)
				handle(process, &report, fds, count);
			else if (report.event == NTD_KEEPER_STARTED &&
				 count == NTD_KEEPER_REPORT_FDS)
				send_signal(fds[1], SIGTERM); /* its owner has let go of it */
			for (size_t i = 0; i < count; i++)
				ntd_close_fd(&fds[i]);
		} else if (received < 0 && (errno == ECONNRESET || errno == EINTR)) {
			continue; /* orders were left unread; reports may still be there */
		} else {
			if (received == 0 || errno != EAGAIN)
				keeper_gone(children);
			return;
		}
	}
}

/* ---- starting */

static uint32_t pack(struct ntd_buf *payload, char *const *strings)
{
	uint32_t count = 0;

	for (; strings[count]; count++)
		ntd_buf_append(payload, strings[count], strlen(strings[count]) + 1);
	return count;
}

static int send_order(struct ntd_children *children, uint32_t id, const struct ntd_spawn *spawn,
		      struct ntd_error **err)
{
	_cleanup_buf_ struct ntd_buf payload = {0};
	struct ntd_keeper_order order = {
		.id = id, .grace = spawn->grace, .runs_on = spawn->runs_on};
	_cleanup_fd_ int payload_fd = -1;

	order.argc = pack(&payload, spawn->argv);
	order.envc = pack(&payload, spawn->env);
	ntd_buf_append(&payload, spawn->directory ? spawn->directory : "",
		       spawn->directory ? strlen(spawn->directory) + 1 : 1);
	order.payload_len = (uint32_t)payload.len;
	payload_fd = ntd_memory_file(ntd_buf_bytes(&payload), payload.len, err);
	if (payload_fd < 0)
		return -1;
	if (ntd_message_send(
		    children->reports.fd, &order, sizeof order,
		    (int[]){payload_fd, spawn->stdin_fd, spawn->stdout_fd, spawn->stderr_fd},
		    NTD_KEEPER_ORDER_FDS) < 0)
		return ntd_error_sys(err, errno, "cannot reach the keeper process");
	return 0;
}

static void close_children(void *arg)
{
	((struct ntd_children *)arg)->closed = true;
}

void ntd_children_close(struct ntd_children *children)
{
	ntd_loop_call(children->loop, close_children, children);
}

struct ntd_process *ntd_process_spawn(struct ntd_children *children, const struct ntd_spawn *spawn,
				      void (*changed)(struct ntd_process *, void *), void *owner,
				      struct ntd_error **err)
{
	struct ntd_process *process;
	uint32_t id = ++children->last_id;

	if (children->closed) {
		ntd_error_set(err, NTD_E_CANCELLED,
			      "nothing is started any more: the run has ended");
		return NULL;
	}
	if (send_order(children, id, spawn, err) < 0)
		return NULL;
	process = ntd_calloc(1, sizeof *process);
	*process = (struct ntd_process){.changed = changed,
					.owner = owner,
					.children = children,
					.id = id,
					.pidfd = -1,
					.guard.fd = -1};
	ntd_list_append(&children->processes, &process->link);
	return process;
}

void ntd_process_signal(struct ntd_process *process, int signal)
{
	if (process->state == NTD_PROCESS_RUNNING)
		send_signal(process->pidfd, signal);
	else if (process->state == NTD_PROCESS_STARTING)
		process->first_signal = signal;
}

void ntd_process_kill_tree(struct ntd_process *process)
{
	if (process->guard.fd >= 0)
		send_signal(process->guard.fd, SIGTERM);
	process->doomed = true;
}

void ntd_process_let_go(struct ntd_process *process)
{
	ntd_process_kill_tree(process);
	ntd_list_unlink(&process->link);
	ntd_source_remove(&process->guard);
	ntd_close_fd(&process->guard.fd);
	ntd_close_fd(&process->pidfd);
	free(process);
}

char *ntd_status_text(int status)
{
	if (WIFSIGNALED(status))
		return ntd_asprintf("was killed by signal %d (%s)", WTERMSIG(status),
				    strsignal(WTERMSIG(status)));
	return ntd_asprintf("exited with code %d", WEXITSTATUS(status));
}

/* ---- the table */

struct watch {
	struct ntd_children *children;
	struct ntd_error *error;
};

static void watch_reports(void *arg)
{
	struct watch *watch = arg;

	ntd_source_add(watch->children->loop, &watch->children->reports, EPOLLIN, &watch->error);
}

struct ntd_children *ntd_children_new(struct ntd_loop *loop, struct ntd_keeper *keeper,
				      struct ntd_error **err)
{
	struct ntd_children *children = ntd_calloc(1, sizeof *children);
	struct watch watch = {.children = children};

	children->loop = loop;
	children->reports = (struct ntd_source){.fd = keeper->socket, .ready = read_reports};
	ntd_loop_call(loop, watch_reports, &watch);
	if (watch.error) {
		ntd_error_move(err, watch.error);
		free(children);
		return NULL;
	}
	return children;
}

static void unwatch_reports(void *arg)
{
	ntd_source_remove(&((struct ntd_children *)arg)->reports);
}

void ntd_children_free(struct ntd_children *children)
{
	if (!children)
		return;
	ntd_loop_call(children->loop, unwatch_reports, children);
	free(children);
}
