/* Waiting for the loop, on a script's thread or any other.
 *
 * The waiter sleeps in ppoll() on the request's eventfd with its own signal mask. A signal's
 * handler runs there, ppoll() returns EINTR, and the waiter asks its `interrupted` hook. Giving up
 * is one synchronous call into the loop; a completion that came first wins, unless a hook of the
 * waiter has ended the wait: the hook may have raised an exception, of which the script must hear.
 */
#include "loop/request.h"

#include "base/forked.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

static void run_begin(struct ntd_task *task)
{
	struct ntd_request *request = ntd_container_of(task, struct ntd_request, task);

	request->begin(request);
}

void ntd_request_begin(struct ntd_loop *loop, struct ntd_request *request)
{
	request->loop = loop;
	request->task.run = run_begin;
	request->error = NULL;
	request->done = false;
	request->done_fd = ntd_is_forked() ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ntd_is_forked())
		ntd_refuse_forked(&request->error);
	else if (request->done_fd < 0)
		ntd_error_sys(&request->error, errno, "cannot wait for the event loop");
	else
		ntd_loop_post(loop, &request->task);
}

void ntd_request_complete(struct ntd_request *request, struct ntd_error *error)
{
	if (request->done) {
		ntd_error_free(error);
		return;
	}
	request->done = true;
	request->error = error;
	/* From here on the waiter may free the request. */
	eventfd_write(request->done_fd, 1);
}

static void run_abandon(void *arg)
{
	struct ntd_request *request = arg;

	if (request->done)
		return;
	request->abandon(request);
	request->done = true;
}

enum woken {
	READY,
	LATE,      /* the deadline has passed */
	CANCELLED, /* by cancel_fd */
	STOPPED,   /* by a hook of the waiter; a completion does not count any more */
};

static enum woken sleep_on(int fd, int64_t deadline, struct ntd_waiter *waiter, bool looks)
{
	struct ntd_waiter patient = {0};
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
			       {.fd = -1, .events = POLLIN},
			       {.fd = -1, .events = POLLIN}};

	if (!waiter)
		waiter = &patient;
	if (waiter->deadline)
		deadline = ntd_earlier(deadline, waiter->deadline);
	if (waiter->cancel_fd)
		fds[1].fd = waiter->cancel_fd;
	if (waiter->errand)
		fds[2].fd = waiter->errand->fd;
	looks = looks && waiter->look;
	for (;;) {
		struct timespec storage;
		int64_t until;
		int ready;

		/* The look comes before the sleep: of many short sleeps, as in a flood, none might
		 * last until `look_at`. */
		if (looks && ntd_now() >= waiter->look_at && waiter->look(waiter))
			return STOPPED;
		until = looks ? ntd_earlier(deadline, waiter->look_at) : deadline;
		ready = ppoll(fds, 3, ntd_remaining(until, &storage), waiter->signals);
		if (ready > 0 && waiter->errand && !fds[0].revents && !fds[1].revents) {
			if (waiter->errand->run(waiter->errand, waiter))
				return STOPPED;
			if (ntd_now() < deadline)
				continue;
			return LATE;
		}
		if (ready > 0)
			return fds[0].revents ? READY : CANCELLED;
		if (ready == 0 && until == deadline)
			return LATE;
		if (ready < 0 && errno == EINTR && waiter->interrupted &&
		    waiter->interrupted(waiter))
			return STOPPED;
	}
}

int ntd_request_wait(struct ntd_request *request, int64_t deadline, struct ntd_waiter *waiter,
		     struct ntd_error **err)
{
	struct ntd_error *error;
	eventfd_t count;
	enum woken woken;
	bool finished;

	if (request->done_fd < 0) /* the request could not begin */
		return ntd_error_move(err, ntd_steal(&request->error));
	woken = sleep_on(request->done_fd, deadline, waiter, request->looks);
	/* Reading, unlike polling, also orders what the loop thread wrote before what is read
	 * here. */
	finished = eventfd_read(request->done_fd, &count) == 0;
	if (!finished) {
		ntd_loop_call(request->loop, run_abandon, request);
		finished = eventfd_read(request->done_fd, &count) == 0;
	}
	ntd_close_fd(&request->done_fd);
	error = ntd_steal(&request->error);
	if (woken == STOPPED) {
		ntd_error_free(error);
		return ntd_error_set(err, NTD_E_CANCELLED, "interrupted");
	}
	if (error)
		return ntd_error_move(err, error);
	if (finished)
		return 0;
	return woken == LATE ? ntd_error_set(err, NTD_E_TIMEOUT, "timed out")
			     : ntd_error_set(err, NTD_E_CANCELLED, "interrupted");
}

int ntd_request_run(struct ntd_loop *loop, struct ntd_request *request, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err)
{
	ntd_request_begin(loop, request);
	return ntd_request_wait(request, deadline, waiter, err);
}

int ntd_wait_until(int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (sleep_on(-1, deadline, waiter, true) != LATE)
		return ntd_error_set(err, NTD_E_CANCELLED, "interrupted");
	return 0;
}
