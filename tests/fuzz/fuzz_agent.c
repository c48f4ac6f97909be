/* Fuzzes the agent with bytes at its port. The first byte says how often a process can be started;
 * then come records, a byte for the kind, one for the stream, one for what is wrong, one for the
 * length: frames with right checksums, or raw bytes. No process is started, stopped or looked for:
 * the functions below stand in for those of agent/spawn.c and agent/processes.c.
 */
#include "agent/agent.h"
#include "agent/command.h"
#include "agent/processes.h"
#include "agent/spawn.h"

#include "pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD = 4, MOST = 60 << 10 };

static unsigned starts, refusals;

/* The process that stands for all is nobody's child, so the agent never hears of its end. */
int ntd_agent_spawn(const struct ntd_agent_setup *setup, const struct ntd_agent_spawn *spawn,
		    pid_t *pid)
{
	require(fcntl(spawn->output, F_GETFD) >= 0 && fcntl(spawn->input, F_GETFD) >= 0);
	*pid = INT32_MAX;
	if (refusals && starts++ % refusals == 0)
		return EAGAIN;
	require(write(spawn->output, spawn->text, strnlen(spawn->text, 100)) > 0);
	return 0;
}

void ntd_agent_kill_tree(pid_t pid)
{
	require(pid == INT32_MAX);
}

void ntd_agent_list_holders(struct ntd_buf *out, int fd, size_t most)
{
	require(fcntl(fd, F_GETFD) >= 0);
	ntd_buf_puts(out, "1 (init)");
}

static const uint8_t kinds[] = {NTD_FRAME_RUN,  NTD_FRAME_RUN,  NTD_FRAME_RUN, NTD_FRAME_CANCEL,
				NTD_FRAME_DATA, NTD_FRAME_DATA, NTD_FRAME_END, NTD_FRAME_CREDIT};

/* The payload of a RUN that the agent understands. */
static void pack_run(struct ntd_buf *out, uint8_t flags, const uint8_t *bytes, size_t len)
{
	ntd_agent_run_pack(out, &(struct ntd_agent_run){.text = (const char *)bytes,
							.text_len = len,
							.input = flags & 1,
							.errors = flags & 2,
							.timeout = flags & 4 ? 1 : 0,
							.text_follows = flags & 8    ? 200000
									: flags & 16 ? 10
										     : 0});
}

static size_t append_record(struct ntd_buf *out, const uint8_t *data, size_t size)
{
	size_t len = data[3] < size - RECORD ? data[3] : size - RECORD;
	uint8_t kind = kinds[data[0] % sizeof kinds];
	_cleanup_buf_ struct ntd_buf payload = {0};

	if (data[2] == UINT8_MAX) { /* no frame at all */
		ntd_buf_append(out, data + RECORD, len);
		return RECORD + len;
	}
	if (kind == NTD_FRAME_RUN && data[2] < UINT8_MAX / 2)
		pack_run(&payload, data[2], data + RECORD, len);
	else
		ntd_buf_append(&payload, data + RECORD, len);
	ntd_frame_append(out, &(struct ntd_frame){.stream = data[1] % 8,
						  .kind = kind,
						  .bytes = ntd_buf_bytes(&payload),
						  .len = payload.len});
	return RECORD + len;
}

/* What the agent has sent before it ended is whole frames and a part of one. */
static void check_frames(int fd)
{
	_cleanup_buf_ struct ntd_buf in = {0};
	struct ntd_frame frame;
	enum ntd_frame_verdict verdict;
	ssize_t len;

	while ((len = read(fd, ntd_buf_reserve(&in, NTD_FRAME_MOST), NTD_FRAME_MOST)) > 0)
		ntd_buf_added(&in, (size_t)len);
	while ((verdict = ntd_frame_take(&in, &frame)) == NTD_FRAME_WHOLE)
		ntd_buf_consume(&in, NTD_FRAME_HEADER + frame.len);
	require(verdict == NTD_FRAME_PARTIAL);
}

static void serve(const struct ntd_buf *bytes)
{
	static const struct ntd_agent_service *const services[] = {&ntd_agent_commands, NULL};
	int pair[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct ntd_agent_setup setup = {.services = services, .input = null, .timed_input = null};

	require(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	require(write(pair[0], ntd_buf_bytes(bytes), bytes->len) == (ssize_t)bytes->len);
	shutdown(pair[0], SHUT_WR);
	setup.port = pair[1];
	require(ntd_agent_serve(&setup) <= 1);
	close(pair[1]);
	check_frames(pair[0]);
	close(pair[0]);
	close(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct ntd_buf bytes = {0};

	if (!size)
		return 0;
	starts = 0;
	refusals = data[0] % 4;
	for (data++, size--; size >= RECORD && bytes.len < MOST;) {
		size_t step = append_record(&bytes, data, size);

		data += step;
		size -= step;
	}
	if (bytes.len)
		serve(&bytes);
	return 0;
}
