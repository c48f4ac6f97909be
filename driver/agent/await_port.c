/* Waits until the guest can connect to a TCP port, or cannot. Each attempt connects to the address,
 * or to both addresses of localhost, as nc(1) does, without waiting for the network: an attempt
 * that gets no answer until the limit is over is nothing that this file can judge.
 */
#include "agent/await_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* An attempt without an answer for so many ms is one that may take minutes. */
enum { PATIENCE = 500 };

/* ms between attempts, growing. Who waits for a port to be closed connects to a server each time,
 * which may log it. */
enum { EVERY = 10, EVERY_MOST = 40, ABSENT_EVERY = 100 };

enum { TARGETS = 2 };

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	};
	socklen_t len;
};

/* One address, and the attempt to connect to it. */
struct target {
	struct ntd_agent_source source;
	struct await_port *wait;
	struct address address;
};

struct await_port {
	struct ntd_await await;
	struct target targets[TARGETS];
	unsigned count;    /* of targets */
	unsigned pending;  /* attempts that have no answer */
	bool refused;      /* one of the targets does not accept connections */
	int64_t attempted; /* when the attempts began */
};

/* ---- addresses */

static bool parse(const char *text, unsigned port, struct address *address)
{
	memset(address, 0, sizeof *address);
	if (inet_pton(AF_INET, text, &address->four.sin_addr) == 1) {
		address->four.sin_family = AF_INET;
		address->four.sin_port = htons((uint16_t)port);
		address->len = sizeof address->four;
	} else if (inet_pton(AF_INET6, text, &address->six.sin6_addr) == 1) {
		address->six.sin6_family = AF_INET6;
		address->six.sin6_port = htons((uint16_t)port);
		address->len = sizeof address->six;
	}
	return address->len;
}

static bool find_targets(struct await_port *wait)
{
	static const char *const localhost[] = {"::1", "127.0.0.1"};
	const struct ntd_condition *condition = &wait->await.condition;

	if (!condition->subject || !condition->port || condition->port > UINT16_MAX)
		return false;
	if (strcmp(condition->subject, "localhost") != 0)
		return parse(condition->subject, condition->port,
			     &wait->targets[wait->count++].address);
	while (wait->count < TARGETS) {
		parse(localhost[wait->count], condition->port, &wait->targets[wait->count].address);
		wait->count++;
	}
	return true;
}

/* ---- attempts */

static void drop(struct target *target)
{
	if (target->source.fd < 0)
		return;
	ntd_agent_source_remove(&target->source);
	ntd_close_fd(&target->source.fd);
	target->wait->pending--;
}

static void drop_all(struct await_port *wait)
{
	for (unsigned i = 0; i < wait->count; i++)
		drop(&wait->targets[i]);
}

/* Whether the kernel has connected a socket to itself: it does so when the port that it chooses for
 * it is the one that nobody listens on. */
static bool is_connected_to_itself(int fd)
{
	struct address own = {.len = sizeof own.six}, other = {.len = sizeof other.six};

	return getsockname(fd, &own.any, &own.len) < 0 ||
	       getpeername(fd, &other.any, &other.len) < 0 ||
	       (own.len == other.len && !memcmp(&own, &other, own.len));
}

/* Judges when all attempts have ended without a connection. */
static void refused(struct await_port *wait)
{
	int64_t pause = EVERY + ntd_await_lasted(&wait->await) / 16;

	if (wait->await.condition.absent && wait->refused)
		ntd_await_answer(&wait->await, NTD_MEETS, NULL);
	else
		ntd_await_again(&wait->await, pause < EVERY_MOST ? pause : EVERY_MOST);
}

static void accepted(struct await_port *wait)
{
	drop_all(wait);
	if (wait->await.condition.absent)
		ntd_await_again(&wait->await, ABSENT_EVERY);
	else
		ntd_await_answer(&wait->await, NTD_MEETS, NULL);
}

/* Whether an error of the socket says that there is no such port, and not that this program could
 * not look. */
static bool is_refusal(int error)
{
	return error != EMFILE && error != ENFILE && error != ENOMEM && error != ENOBUFS;
}

static void ended(struct ntd_agent_source *source, short events)
{
	struct target *target = ntd_container_of(source, struct target, source);
	struct await_port *wait = target->wait;
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && !error &&
	    !is_connected_to_itself(source->fd)) {
		accepted(wait);
		return;
	}
	wait->refused |= is_refusal(error);
	drop(target);
	if (!wait->pending)
		refused(wait);
}

/* Begins an attempt; one that ends at once is found by poll(2), too. */
static void begin_attempt(struct target *target)
{
	const struct address *address = &target->address;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		target->wait->refused |= is_refusal(errno);
		return;
	}
	if (connect(fd, &address->any, address->len) < 0 && errno != EINPROGRESS) {
		target->wait->refused |= is_refusal(errno);
		close(fd);
		return;
	}
	target->source = (struct ntd_agent_source){.fd = fd, .events = POLLOUT, .ready = ended};
	ntd_agent_source_add(target->wait->await.stream.agent, &target->source);
	target->wait->pending++;
}

static void attempt(struct ntd_await *await)
{
	struct await_port *wait = (struct await_port *)await;

	wait->refused = false;
	wait->attempted = ntd_agent_now();
	for (unsigned i = 0; i < wait->count; i++)
		begin_attempt(&wait->targets[i]);
	if (!wait->pending)
		refused(wait);
}

static void begin(struct ntd_await *await)
{
	struct await_port *wait = (struct await_port *)await;

	for (unsigned i = 0; i < TARGETS; i++)
		wait->targets[i] = (struct target){.source.fd = -1, .wait = wait};
	if (find_targets(wait))
		attempt(await);
	else
		ntd_await_answer(await, NTD_UNSEEN, NULL);
}

/* An attempt without an answer: nc is more patient. */
static void over(struct ntd_await *await)
{
	const struct await_port *wait = (struct await_port *)await;
	bool hangs = wait->pending && ntd_agent_now() - wait->attempted >= PATIENCE;

	ntd_await_answer(await, hangs ? NTD_UNSEEN : NTD_FAILS, NULL);
}

static void free_port(struct ntd_await *await)
{
	drop_all((struct await_port *)await);
}

const struct ntd_await_kind ntd_await_port = {
	.size = sizeof(struct await_port),
	.begin = begin,
	.again = attempt,
	.over = over,
	.free = free_port,
};
