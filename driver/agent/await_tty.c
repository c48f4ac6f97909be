/* Waits until the text on a virtual terminal is another than the one that was seen before, which is
 * given by a mark: the length and a checksum of the text. The kernel tells of changes by poll(2) on
 * /dev/vcsN; the text is also looked at from time to time.
 */
#include "agent/await_internal.h"
#include "agent/descriptors.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

/* ms between looks. A change is looked at after SOON, when more of it may be there. */
enum { LOOK_EVERY = 100, SOON = 10 };

enum { PORT_MOST = 63, TEXT_MOST = 1 << 20 };

struct await_tty {
	struct ntd_await await;
	struct ntd_agent_source source;
};

/* FNV-1a. */
static uint64_t checksum(const unsigned char *bytes, size_t len)
{
	uint64_t sum = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3;
	return sum;
}

static void look(struct ntd_await *await)
{
	struct await_tty *tty = (struct await_tty *)await;
	_cleanup_buf_ struct ntd_buf text = {0}, mark = {0};
	const char *before = await->condition.subject;

	if (lseek(tty->source.fd, 0, SEEK_SET) < 0 ||
	    ntd_agent_read_all(tty->source.fd, TEXT_MOST, &text) < 0) {
		ntd_await_answer(await, NTD_UNSEEN, NULL);
		return;
	}
	ntd_buf_printf(
		&mark, "%zx-%llx", text.len,
		(unsigned long long)checksum((unsigned char *)ntd_buf_bytes(&text), text.len));
	if (!before || strlen(before) != mark.len ||
	    memcmp(before, ntd_buf_bytes(&mark), mark.len) != 0) {
		ntd_await_answer(await, NTD_MEETS, &mark);
		return;
	}
	tty->source.events = POLLPRI;
	ntd_await_again(await, LOOK_EVERY);
}

/* poll(2) tells of the same change until it is read. */
static void ready(struct ntd_agent_source *source, short events)
{
	struct await_tty *tty = ntd_container_of(source, struct await_tty, source);

	source->events = 0;
	ntd_await_again(&tty->await, SOON);
}

static void begin(struct ntd_await *await)
{
	struct await_tty *tty = (struct await_tty *)await;
	_cleanup_free_ char *path = ntd_asprintf("/dev/vcs%u", await->condition.port);

	tty->source = (struct ntd_agent_source){.fd = -1, .ready = ready};
	if (await->condition.port && await->condition.port <= PORT_MOST)
		tty->source.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (tty->source.fd < 0) {
		ntd_await_answer(await, NTD_UNSEEN, NULL);
		return;
	}
	ntd_agent_source_add(await->stream.agent, &tty->source);
	look(await);
}

static void free_tty(struct ntd_await *await)
{
	struct await_tty *tty = (struct await_tty *)await;

	ntd_agent_source_remove(&tty->source);
	ntd_close_fd(&tty->source.fd);
}

const struct ntd_await_kind ntd_await_tty = {
	.size = sizeof(struct await_tty),
	.begin = begin,
	.again = look,
	.free = free_tty,
};
