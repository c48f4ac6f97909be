/* The service COPY: its streams. Each copy has a process of its own, a fork of the agent, whose
 * exit status is the answer; so a file system that does not answer keeps only that copy waiting.
 * The process is killed when nobody waits for it any more, and with it those that it has started.
 */
#include "agent/copy_file.h"
#include "agent/descriptors.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

struct copy {
	struct ntd_agent_stream stream;
	struct ntd_agent_child child; /* pid 0: none */
	char *source, *target;
};

static struct copy *copy_of(struct ntd_agent_stream *stream)
{
	return ntd_container_of(stream, struct copy, stream);
}

static _Noreturn void work(const struct copy *copy, pid_t agent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ntd_agent_close_from(STDERR_FILENO + 1);
	_exit(getppid() == agent && ntd_copy_file(copy->source, copy->target) ? 0 : 1);
}

static void ended(struct ntd_agent_child *child, int status)
{
	struct copy *copy = ntd_container_of(child, struct copy, child);
	_cleanup_buf_ struct ntd_buf payload = {0};

	ntd_pack_u8(&payload, status == 0);
	ntd_agent_done(&copy->stream, &payload);
}

static void start(struct copy *copy)
{
	pid_t agent = getpid(), pid = fork();

	if (pid == 0)
		work(copy, agent);
	if (pid < 0) {
		ntd_agent_failed(&copy->stream, "cannot start the copy: %s", strerror(errno));
		return;
	}
	copy->child = (struct ntd_agent_child){.pid = pid, .ended = ended};
	ntd_agent_child_add(copy->stream.agent, &copy->child);
}

static void begin(struct ntd_agent *agent, uint32_t number, const char *payload, size_t len)
{
	struct ntd_unpack in = {.at = payload, .left = len};
	struct copy *copy = ntd_calloc(1, sizeof *copy);

	ntd_agent_stream_add(agent, &copy->stream, &ntd_agent_copy_file, number);
	copy->source = ntd_unpack_text(&in);
	copy->target = ntd_unpack_text(&in);
	if (ntd_unpack_is_whole(&in))
		start(copy);
	else
		ntd_agent_failed(&copy->stream, "not a copy");
}

/* The answer follows when the process has ended. */
static void cancel(struct ntd_agent_stream *stream)
{
	kill(copy_of(stream)->child.pid, SIGKILL);
}

static void free_copy(struct ntd_agent_stream *stream)
{
	struct copy *copy = copy_of(stream);

	if (ntd_list_linked(&copy->child.link))
		kill(copy->child.pid, SIGKILL);
	ntd_agent_child_forget(&copy->child);
	free(copy->source);
	free(copy->target);
	free(copy);
}

const struct ntd_agent_service ntd_agent_copy_file = {
	.kind = NTD_FRAME_COPY,
	.begin = begin,
	.cancel = cancel,
	.free = free_copy,
};
