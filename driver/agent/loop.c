/* The loop of the agent: descriptors, timers and children. One thread. There are some thousand of
 * each at most, so lists are walked.
 *
 * What is called may add and remove anything: sources that are removed leave the table of the
 * present turn, and timers and children that have come are in lists of their own, from which they
 * can be cancelled.
 */
#include "agent/agent_internal.h"

#include <errno.h>
#include <limits.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

enum { FULL = 256 << 10 };

bool ntd_agent_is_full(const struct ntd_agent *agent)
{
	return agent->out.len >= FULL;
}

/* ---- sources */

void ntd_agent_source_add(struct ntd_agent *agent, struct ntd_agent_source *source)
{
	ntd_list_append(&agent->loop.sources, &source->link);
}

void ntd_agent_source_remove(struct ntd_agent_source *source)
{
	struct ntd_agent_loop *loop;

	if (!ntd_list_linked(&source->link))
		return;
	loop = ntd_container_of(source->link.list, struct ntd_agent_loop, sources);
	for (size_t i = 0; i < loop->owners.count; i++)
		if (loop->owners.items[i] == source)
			loop->owners.items[i] = NULL;
	ntd_list_unlink(&source->link);
}

static void list_polled(struct ntd_agent *agent)
{
	struct ntd_agent_loop *loop = &agent->loop;
	bool full = ntd_agent_is_full(agent);

	loop->polled.count = loop->owners.count = 0;
	ntd_list_each (struct ntd_agent_source, source, &loop->sources, link) {
		if (source->fd < 0 || !source->events || (source->sends && full))
			continue;
		ntd_vec_push(&loop->polled, (struct pollfd){source->fd, source->events, 0});
		ntd_vec_push(&loop->owners, source);
	}
}

/* What has come of the events that the source wants now; what was called before may have changed
 * that. */
static short wanted(const struct ntd_agent_source *source, short events)
{
	if (source->fd < 0 || !source->events)
		return 0;
	return (short)(events & (source->events | POLLHUP | POLLERR | POLLNVAL));
}

/* Calls those that are ready. One that sends goes to the end of the list when its turn has come, so
 * that those that were left out, because there was too much to send, are the first next time. */
static void call_ready(struct ntd_agent *agent)
{
	struct ntd_agent_loop *loop = &agent->loop;

	for (size_t i = 0; i < loop->owners.count && !agent->ended; i++) {
		struct ntd_agent_source *source = loop->owners.items[i];
		short events = source ? wanted(source, loop->polled.items[i].revents) : 0;

		if (!events || (source->sends && ntd_agent_is_full(agent)))
			continue;
		if (source->sends) {
			ntd_list_unlink(&source->link);
			ntd_list_append(&loop->sources, &source->link);
		}
		source->ready(source, events);
	}
}

/* ---- timers */

int64_t ntd_agent_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void ntd_agent_timer_set(struct ntd_agent *agent, struct ntd_agent_timer *timer, int64_t at)
{
	ntd_list_unlink(&timer->link);
	timer->at = at;
	ntd_list_append(&agent->loop.timers, &timer->link);
}

void ntd_agent_timer_cancel(struct ntd_agent_timer *timer)
{
	ntd_list_unlink(&timer->link);
}

/* Milliseconds until the next timer, for poll(2). */
static int next_timer(const struct ntd_agent_loop *loop)
{
	int64_t now = ntd_agent_now(), next = INT64_MAX;

	if (ntd_list_empty(&loop->timers))
		return -1;
	ntd_list_each (struct ntd_agent_timer, timer, &loop->timers, link)
		next = timer->at < next ? timer->at : next;
	if (next <= now)
		return 0;
	return next - now < INT_MAX ? (int)(next - now) : INT_MAX;
}

static void call_expired(struct ntd_agent_loop *loop)
{
	struct ntd_list expired = {0};
	struct ntd_agent_timer *next;
	int64_t now = ntd_agent_now();

	ntd_list_each (struct ntd_agent_timer, timer, &loop->timers, link) {
		if (timer->at > now)
			continue;
		ntd_list_unlink(&timer->link);
		ntd_list_append(&expired, &timer->link);
	}
	while ((next = ntd_list_take(&expired, struct ntd_agent_timer, link)))
		next->expired(next);
}

/* ---- children */

void ntd_agent_child_add(struct ntd_agent *agent, struct ntd_agent_child *child)
{
	ntd_list_append(&agent->loop.children, &child->link);
}

void ntd_agent_child_forget(struct ntd_agent_child *child)
{
	ntd_list_unlink(&child->link);
}

/* Whether the child has ended. */
static bool has_ended(struct ntd_agent_child *child, bool runs_on)
{
	if (waitpid(child->pid, &child->status, WNOHANG | (runs_on ? WUNTRACED : 0)) <= 0)
		return false;
	if (!WIFSTOPPED(child->status))
		return true;
	kill(child->pid, SIGCONT);
	return false;
}

/* SIGCHLD does not say of how many children it is. */
static void reap(struct ntd_agent *agent)
{
	struct ntd_agent_loop *loop = &agent->loop;
	struct ntd_list ended = {0};
	struct ntd_agent_child *next;

	ntd_list_each (struct ntd_agent_child, child, &loop->children, link) {
		if (!has_ended(child, agent->setup.manner->runs_on))
			continue;
		ntd_list_unlink(&child->link);
		ntd_list_append(&ended, &child->link);
	}
	while ((next = ntd_list_take(&ended, struct ntd_agent_child, link)))
		next->ended(next, next->status);
}

/* ---- the loop */

static void signalled(struct ntd_agent_source *source, short events)
{
	struct ntd_agent *agent = ntd_container_of(source, struct ntd_agent, loop.signals);
	struct signalfd_siginfo info;

	if (read(source->fd, &info, sizeof info) < 0)
		return;
	if (info.ssi_signo == SIGTERM)
		agent->leaving = true;
	else
		reap(agent);
}

void ntd_agent_loop_init(struct ntd_agent *agent)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	if (agent->setup.manner->lingers)
		sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &agent->setup.mask);
	agent->loop.signals =
		(struct ntd_agent_source){.fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC),
					  .events = POLLIN,
					  .ready = signalled};
	ntd_agent_source_add(agent, &agent->loop.signals);
}

void ntd_agent_loop_free(struct ntd_agent *agent)
{
	sigprocmask(SIG_SETMASK, &agent->setup.mask, NULL);
	ntd_close_fd(&agent->loop.signals.fd);
	ntd_vec_free(&agent->loop.polled);
	ntd_vec_free(&agent->loop.owners);
}

void ntd_agent_loop_turn(struct ntd_agent *agent)
{
	struct ntd_agent_loop *loop = &agent->loop;

	list_polled(agent);
	if (poll(loop->polled.items, loop->polled.count, next_timer(loop)) > 0)
		call_ready(agent);
	call_expired(loop);
}
