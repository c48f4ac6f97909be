/* Standard error apart, by a pipe. The kernel copies what is in the pipe to the console's, as much
 * as there is room for; only that is read, so the loop never blocks, and nothing has to be kept.
 * When the console has no room, the loop comes back after it has read the console.
 */
#include "channel/error_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
	READ_SIZE = 16 << 10,
	READS_AT_END = 64, /* what a pipe can hold, and more */
};

struct ntd_error_relay {
	struct ntd_source pipe;    /* fd -1: read to its end */
	struct ntd_result *result; /* NULL: the command is over */
	int console;
	struct ntd_list_link link;
};

static void end(struct ntd_error_relay *relay)
{
	ntd_source_remove(&relay->pipe);
	ntd_close_fd(&relay->pipe.fd);
	if (relay->result)
		return;
	ntd_list_unlink(&relay->link);
	free(relay);
}

/* Reads what the console has got, or, for a console without room, at most READ_SIZE bytes. Returns
 * the number of bytes; 0: the pipe has ended; -1: there are none. */
static ssize_t take(struct ntd_error_relay *relay, bool needs_console)
{
	char bytes[READ_SIZE];
	ssize_t len = tee(relay->pipe.fd, relay->console, sizeof bytes, SPLICE_F_NONBLOCK);

	if (len == 0 || (len < 0 && needs_console))
		return len;
	len = read(relay->pipe.fd, bytes, len < 0 ? sizeof bytes : (size_t)len);
	if (len > 0 && relay->result)
		ntd_result_add_errors(relay->result, bytes, (size_t)len);
	return len;
}

static void pipe_ready(struct ntd_source *source, uint32_t events)
{
	struct ntd_error_relay *relay = ntd_container_of(source, struct ntd_error_relay, pipe);

	if (take(relay, true) == 0)
		end(relay);
}

struct ntd_error_relay *ntd_error_relay_new(struct ntd_loop *loop, struct ntd_list *relays,
					    struct ntd_result *result, int console, int *write_end,
					    struct ntd_error **err)
{
	struct ntd_error_relay *relay;
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC) < 0) {
		ntd_error_sys(err, errno, "cannot make a pipe");
		return NULL;
	}
	fcntl(pipe[0], F_SETFL, O_NONBLOCK);
	*write_end = pipe[1];
	relay = ntd_calloc(1, sizeof *relay);
	*relay = (struct ntd_error_relay){
		.pipe = {.fd = pipe[0], .ready = pipe_ready}, .result = result, .console = console};
	ntd_list_append(relays, &relay->link);
	if (ntd_source_add(loop, &relay->pipe, EPOLLIN, err) == 0)
		return relay;
	relay->result = NULL;
	end(relay);
	return NULL;
}

void ntd_error_relay_detach(struct ntd_error_relay *relay)
{
	int reads = READS_AT_END;

	while (relay->pipe.fd >= 0 && reads-- && take(relay, false) > 0)
		;
	relay->result = NULL;
	if (relay->pipe.fd < 0)
		end(relay);
}

void ntd_error_relays_end(struct ntd_list *relays)
{
	ntd_list_each (struct ntd_error_relay, relay, relays, link)
		end(relay);
}
