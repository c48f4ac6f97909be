/* Waits until the guest is at rest: the agent is the only task that is ready to run, and none waits
 * for a disk. The kernel tells both in /proc/stat, on any number of processors (proc(5)).
 *
 * What sleeps between its steps, or waits for the network, counts as resting: nothing tells it from
 * a service that has nothing to do.
 */
#include "agent/await_internal.h"
#include "agent/descriptors.h"
#include "agent/number.h"

#include <fcntl.h>
#include <string.h>

enum { LOOK_EVERY = 10 }; /* ms */

/* /proc/stat has a number for each interrupt of the guest. */
enum { TEXT_MOST = 1 << 20 };

/* The number on the line that begins with the name; -1: there is none. */
static int number_of(const char *text, const char *name)
{
	const char *line = strstr(text, name), *end;
	int number;

	if (!line)
		return -1;
	number = ntd_agent_number(line + strlen(name), &end);
	return *end == '\n' ? number : -1;
}

static void look(struct ntd_await *await)
{
	const char *path = await->condition.subject;
	_cleanup_fd_ int fd = open(path ? path : "/proc/stat", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	_cleanup_buf_ struct ntd_buf text = {0};
	int running, blocked;

	if (ntd_agent_read_all(fd, TEXT_MOST, &text) < 0) {
		ntd_await_answer(await, NTD_UNSEEN, NULL);
		return;
	}
	ntd_buf_append(&text, "", 1);
	running = number_of(ntd_buf_bytes(&text), "\nprocs_running ");
	blocked = number_of(ntd_buf_bytes(&text), "\nprocs_blocked ");
	if (running < 0 || blocked < 0)
		ntd_await_answer(await, NTD_UNSEEN, NULL);
	else if (running <= 1 && !blocked)
		ntd_await_answer(await, NTD_MEETS, NULL);
	else
		ntd_await_again(await, LOOK_EVERY);
}

const struct ntd_await_kind ntd_await_rest = {
	.size = sizeof(struct ntd_await),
	.begin = look,
	.again = look,
};
