/* Watching directories. The instance is made for the first watch and kept until the program ends:
 * the kernel takes milliseconds to close one.
 */
#include "agent/watch.h"

#include <poll.h>
#include <unistd.h>

/* Of the one agent that the program is. */
static struct {
	struct ntd_agent_source source;
	struct ntd_list watches;
	bool open;
} instance;

/* The events of one read(2). */
enum { ROOM = 64 << 10 };

/* Tells the watches with the number, or all of them if it is negative. The functions may clear
 * their own watches only, so the walk is safe. */
static void tell(int number, uint32_t events, const char *name)
{
	ntd_list_each (struct ntd_agent_watch, watch, &instance.watches, link) {
		if (number >= 0 && watch->number != number)
			continue;
		if (events & IN_IGNORED) {
			ntd_list_unlink(&watch->link);
			watch->number = 0;
		}
		watch->event(watch, events, name);
	}
}

static void ready(struct ntd_agent_source *source, short events)
{
	_Alignas(struct inotify_event) char room[ROOM];
	ssize_t got = read(source->fd, room, sizeof room);

	for (ssize_t at = 0; at < got;) {
		const struct inotify_event *event = (const void *)(room + at);

		if (event->mask & IN_Q_OVERFLOW)
			tell(-1, IN_Q_OVERFLOW, NULL);
		else
			tell(event->wd, event->mask, event->len ? event->name : NULL);
		at += (ssize_t)(sizeof *event + event->len);
	}
}

static bool opened(struct ntd_agent *agent)
{
	if (instance.open)
		return true;
	instance.source = (struct ntd_agent_source){
		.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .events = POLLIN, .ready = ready};
	if (instance.source.fd < 0)
		return false;
	ntd_agent_source_add(agent, &instance.source);
	instance.open = true;
	return true;
}

int ntd_agent_watch_set(struct ntd_agent *agent, struct ntd_agent_watch *watch,
			const char *directory)
{
	int number = opened(agent) ? inotify_add_watch(instance.source.fd, directory,
						       NTD_WATCH_EVENTS | IN_ONLYDIR)
				   : -1;

	if (number < 0)
		return -1;
	watch->number = number;
	ntd_list_append(&instance.watches, &watch->link);
	return 0;
}

void ntd_agent_watch_clear(struct ntd_agent_watch *watch)
{
	int number = watch->number;

	if (!number)
		return;
	watch->number = 0;
	ntd_list_unlink(&watch->link);
	ntd_list_each (struct ntd_agent_watch, other, &instance.watches, link)
		if (other->number == number)
			return;
	inotify_rm_watch(instance.source.fd, number);
}
