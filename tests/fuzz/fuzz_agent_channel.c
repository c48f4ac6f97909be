/* Fuzzes the driver's side of the agent with what the agent, or a program in the guest that writes
 * to its port, may send. Commands, waits and copies are begun and given up in between. Without a
 * thread: the functions of loop/loop.h and loop/request.h below stand in for the real ones, and a
 * request reads the input while it waits, so calls that go on at the same time are nested.
 *
 *	byte 0: 1: no greeting comes
 *	then:   DO ARGUMENT LENGTH BYTES, where DO is one of the things in `records`
 */
#include "agent_channel/agent_channel_internal.h"
#include "agent_channel/await.h"
#include "agent_channel/copy.h"
#include "agent_channel/copy_file.h"
#include "base/fd.h"
#include "base/tree.h"
#include "sftp/packet.h"

#include "pieces.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD = 3, NESTED_MOST = 6, BIG = 300000, ROOM = 64 << 10, REQUESTS = 8 };

static struct ntd_agent_channel *agent;
static struct ntd_shell *shell;
static int peer = -1; /* the agent's end of the port */
static struct ntd_buf heard;
static const uint8_t *input;
static size_t left;
static int nested;
/* The stream of the last copy, what it has sent, and the numbers of its requests that have not been
 * answered, at most REQUESTS. */
static uint32_t copy_stream;
static struct ntd_buf copy_sent;
static uint32_t requests[REQUESTS];
static size_t request_count;
static char big[BIG + 1];
static bool copied; /* a copy has begun that writes to this host */

static bool step(void);

/* ---- instead of the loop and its thread */

void ntd_loop_post(struct ntd_loop *loop, struct ntd_task *task)
{
	task->run(task);
}

void ntd_loop_call(struct ntd_loop *loop, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

bool ntd_loop_is_current(const struct ntd_loop *loop)
{
	return true;
}

int ntd_source_add(struct ntd_loop *loop, struct ntd_source *source, uint32_t events,
		   struct ntd_error **err)
{
	source->loop = loop;
	return 0;
}

void ntd_source_modify(struct ntd_source *source, uint32_t events)
{
}

void ntd_source_remove(struct ntd_source *source)
{
	source->loop = NULL;
}

void ntd_timer_set(struct ntd_loop *loop, struct ntd_timer *timer, int64_t at)
{
}

void ntd_timer_cancel(struct ntd_timer *timer)
{
}

void ntd_request_complete(struct ntd_request *request, struct ntd_error *error)
{
	require(!request->done);
	request->done = true;
	request->error = error;
}

int ntd_request_run(struct ntd_loop *loop, struct ntd_request *request, int64_t deadline,
		    struct ntd_waiter *waiter, struct ntd_error **err)
{
	bool more = true;

	request->done = false;
	request->error = NULL;
	nested++;
	request->begin(request);
	while (!request->done && more)
		more = step();
	nested--;
	if (!request->done) {
		request->abandon(request);
		require(!request->done);
		return ntd_error_set(err, NTD_E_CANCELLED, "interrupted");
	}
	return request->error ? ntd_error_move(err, request->error) : 0;
}

/* ---- the port */

static void note_request(struct ntd_sftp_reader packet)
{
	packet.at++;
	packet.left--;
	if (request_count < REQUESTS)
		requests[request_count++] = ntd_sftp_get_u32(&packet);
}

static void note_frame(const struct ntd_frame *frame)
{
	struct ntd_sftp_reader packet;
	ssize_t len;

	if (frame->kind == NTD_FRAME_PUT || frame->kind == NTD_FRAME_GET) {
		copy_stream = frame->stream;
		ntd_buf_clear(&copy_sent);
		request_count = 0;
	}
	if (frame->kind != NTD_FRAME_DATA || frame->stream != copy_stream)
		return;
	ntd_buf_append(&copy_sent, frame->bytes, frame->len);
	while ((len = ntd_sftp_first_packet(ntd_buf_bytes(&copy_sent), copy_sent.len, &packet)) >
	       0) {
		note_request(packet);
		ntd_buf_consume(&copy_sent, (size_t)len);
	}
	require(len == 0);
}

/* What the driver has sent must be whole frames. */
static void hear(void)
{
	struct ntd_frame frame;
	enum ntd_frame_verdict verdict;
	ssize_t len;

	while ((len = recv(peer, ntd_buf_reserve(&heard, ROOM), ROOM, MSG_DONTWAIT)) > 0)
		ntd_buf_added(&heard, (size_t)len);
	while ((verdict = ntd_frame_take(&heard, &frame)) == NTD_FRAME_WHOLE) {
		require(frame.stream && frame.stream <= agent->streams);
		note_frame(&frame);
		ntd_buf_consume(&heard, NTD_FRAME_HEADER + frame.len);
	}
	require(verdict == NTD_FRAME_PARTIAL);
}

static void close_channel(void)
{
	struct ntd_channel *channel = ntd_agent_channel_of(agent);
	_cleanup_error_ struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "QEMU has ended");

	channel->ops->close(channel, why);
	require(ntd_list_empty(&agent->calls));
}

/* Since no shell listens, calls go on after a loss until the channel is closed. */
static void say(const void *bytes, size_t len)
{
	if (agent->socket.fd < 0 || !len)
		return;
	require(send(peer, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len);
	agent->socket.ready(&agent->socket, EPOLLIN | EPOLLOUT);
	hear();
	if (agent->socket.fd < 0)
		close_channel();
}

static void say_frame(uint32_t stream, uint8_t kind, const void *bytes, size_t len)
{
	_cleanup_buf_ struct ntd_buf out = {0};

	ntd_frame_append(&out, &(struct ntd_frame){stream, kind, bytes, len});
	say(ntd_buf_bytes(&out), out.len);
}

/* ---- calls */

static void take_output(void *owner, const char *bytes, size_t len)
{
	require(len > 0);
}

static void begin_command(uint8_t flags, const uint8_t *bytes, size_t len)
{
	struct ntd_channel *channel = ntd_agent_channel_of(agent);
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_command command = {.text = (const char *)bytes,
				      .text_len = len,
				      .timeout = flags & 1 ? 1000 : 0,
				      .no_status = flags & 2,
				      .errors = flags & 4,
				      .on_output = flags & 8 ? take_output : NULL};

	if (flags & 16) {
		command.text = big;
		command.text_len = BIG;
	} else if (flags & 32) {
		command.input = big;
		command.input_len = BIG;
	}
	if (channel->ops->run(channel, &command, &result, NULL, NULL) == 0)
		require(result.status >= -1 && result.status <= 255);
}

static void begin_await(uint8_t kind, const uint8_t *bytes, size_t len)
{
	_cleanup_free_ char *subject = ntd_strndup((const char *)bytes, len);
	_cleanup_finding_ struct ntd_finding finding = {0};
	struct ntd_condition condition = {
		.kind = kind % NTD_CONDITION_COUNT, .subject = subject, .port = 1, .limit = 1};

	if (ntd_agent_channel_await(agent, &condition, &finding, NULL, NULL) == 0)
		require(finding.sight < NTD_SIGHT_COUNT);
}

/* The copy into the directory `to` is the one thing that a guest may have made on this host. */
static void begin_copy(uint8_t flags, const uint8_t *bytes, size_t len)
{
	const bool is_get = flags & 1;
	struct ntd_agent_copy copy = {.channel = agent,
				      .machine = "server",
				      .direction = is_get ? NTD_SFTP_GET : NTD_SFTP_PUT,
				      .source = is_get ? "/there" : "from",
				      .target = is_get ? "to/got" : "/there"};
	struct stat info;

	if (flags & 2) {
		require(ntd_agent_copy_in_guest(agent, "/from", "/to", NULL, NULL) <= 1);
		return;
	}
	if (is_get && !copied)
		require(mkdir("to", 0700) == 0);
	copied |= is_get;
	if (ntd_agent_copy(&copy, NULL, NULL) == 0 && is_get)
		require(lstat("to/got", &info) == 0);
}

/* ---- the input */

static const uint8_t kinds[] = {NTD_FRAME_DATA,   NTD_FRAME_DATA, NTD_FRAME_ERROR_DATA,
				NTD_FRAME_ITEM,   NTD_FRAME_END,  NTD_FRAME_CREDIT,
				NTD_FRAME_DONE,   NTD_FRAME_DONE, NTD_FRAME_FAILED,
				NTD_FRAME_CANCEL, NTD_FRAME_HELLO};

/* The last streams are those that have not ended. */
static uint32_t stream_of(uint8_t number)
{
	return agent->streams - number % 4;
}

static void frame(uint8_t argument, const uint8_t *bytes, size_t len)
{
	say_frame(stream_of(argument >> 4), kinds[argument % 16 % sizeof kinds], bytes, len);
}

static uint32_t take_request(size_t place)
{
	uint32_t number;

	if (place >= request_count)
		return 0;
	number = requests[place];
	request_count--;
	memmove(&requests[place], &requests[place + 1], (request_count - place) * sizeof *requests);
	return number;
}

/* An answer to the last copy, most often to its oldest request. */
static void answer(uint8_t argument, const uint8_t *bytes, size_t len)
{
	_cleanup_buf_ struct ntd_buf out = {0};
	size_t begun;

	hear();
	if (!len)
		return;
	begun = ntd_sftp_put_begin(&out, bytes[0], take_request(argument));
	ntd_buf_append(&out, bytes + 1, len - 1);
	ntd_sftp_put_end(&out, begun);
	say_frame(copy_stream, NTD_FRAME_DATA, ntd_buf_bytes(&out), out.len);
}

static void credit(uint8_t argument, const uint8_t *bytes, size_t len)
{
	_cleanup_buf_ struct ntd_buf out = {0};

	ntd_pack_u32(&out, len ? (uint32_t)bytes[0] << 10 : 1);
	say_frame(stream_of(argument), NTD_FRAME_CREDIT, ntd_buf_bytes(&out), out.len);
}

static void raw(uint8_t argument, const uint8_t *bytes, size_t len)
{
	say(bytes, len);
}

static void begin(void (*call)(uint8_t flags, const uint8_t *bytes, size_t len), uint8_t argument,
		  const uint8_t *bytes, size_t len)
{
	if (nested < NESTED_MOST)
		call(argument, bytes, len);
}

static void run(uint8_t argument, const uint8_t *bytes, size_t len)
{
	begin(begin_command, argument, bytes, len);
}

static void await(uint8_t argument, const uint8_t *bytes, size_t len)
{
	begin(begin_await, argument, bytes, len);
}

static void copy(uint8_t argument, const uint8_t *bytes, size_t len)
{
	begin(begin_copy, argument, bytes, len);
}

static void (*const records[])(uint8_t argument, const uint8_t *bytes,
			       size_t len) = {frame, answer, credit, run, await, copy, raw};

/* Takes a record. False: the innermost call is to be given up, or there are no more records. */
static bool step(void)
{
	const uint8_t *record = input;
	size_t len;

	if (left < RECORD)
		return false;
	len = record[2] < left - RECORD ? record[2] : left - RECORD;
	input += RECORD + len;
	left -= RECORD + len;
	if (record[0] % 8 == sizeof records / sizeof *records)
		return nested == 0;
	records[record[0] % 8](record[1], record + RECORD, len);
	return true;
}

/* ---- one run */

static void make_directory(void)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *base = ntd_asprintf("%s/ntd-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	FILE *file;

	require(mkdtemp(base) && chdir(base) == 0 && mkdir("from", 0700) == 0);
	file = fopen("from/file", "w");
	require(file);
	memset(big, 'x', BIG);
	fputs(big, file);
	fclose(file);
}

static void open_channel(void)
{
	static char place; /* of a loop that is never looked into */
	struct ntd_loop *loop = (struct ntd_loop *)&place;
	int pair[2];

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	peer = pair[1];
	shell = ntd_shell_new(loop, "server");
	agent = ntd_agent_channel_new(loop, NULL, "server", shell, NULL, true);
	require(ntd_agent_connection_open(agent, pair[0], NULL) == 0);
}

static void greet(void)
{
	_cleanup_buf_ struct ntd_buf payload = {0};

	ntd_agent_hello_pack(&payload,
			     &(struct ntd_agent_hello){.version = NTD_AGENT_VERSION, .pid = 7});
	say_frame(0, NTD_FRAME_HELLO, ntd_buf_bytes(&payload), payload.len);
}

static void free_channel(void)
{
	close_channel();
	ntd_agent_channel_free(agent);
	ntd_shell_free(shell);
	ntd_close_fd(&peer);
	ntd_buf_free(&heard);
	ntd_buf_free(&copy_sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool made;

	if (!size)
		return 0;
	if (!made)
		make_directory();
	made = true;
	copied = false;
	copy_stream = 0;
	request_count = 0;
	open_channel();
	if (!(data[0] & 1))
		greet();
	input = data + 1;
	left = size - 1;
	while (step())
		;
	free_channel();
	if (!copied)
		return 0;
	ntd_tree_remove("to/got", NULL);
	require(rmdir("to") == 0); /* nothing else is left in it */
	return 0;
}
