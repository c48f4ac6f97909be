/* Fuzzes the bytes that a guest's root shell may send. They arrive in pieces whose sizes follow
 * from the first byte; the events of the parser must not depend on the pieces, and must satisfy the
 * invariants of replies.
 */
#include "channel/reply.h"

#include "pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TOKEN "5eed1234-7"
enum { LIMIT = 64 };

/* Appends an event to the transcript, as text that differs for different events. */
static void note(struct ntd_buf *transcript, struct ntd_reply *reply, enum ntd_reply_event event)
{
	ntd_buf_printf(transcript, "%d:", event);
	if (event == NTD_REPLY_HELD) {
		require(reply->held);
		ntd_buf_puts(transcript, reply->held);
	}
	if (event == NTD_REPLY_COMPLETE || event == NTD_REPLY_MORE || event == NTD_REPLY_PIECE) {
		require(reply->output.len <= LIMIT);
		require(event != NTD_REPLY_COMPLETE || ntd_reply_is_whole(reply));
		require(event != NTD_REPLY_MORE || (!reply->output.len && !reply->piece_len));
		ntd_buf_printf(transcript, "%d %d %zu ", reply->command_status,
			       reply->reader_status, reply->piece_len);
		reply->piece_len = 0; /* as the shell does */
		ntd_buf_append(transcript, ntd_buf_bytes(&reply->output), reply->output.len);
	}
	if (event == NTD_REPLY_PORT)
		ntd_buf_printf(transcript, "%d %d %zu %d %u", reply->command_status,
			       reply->reader_status, reply->count, reply->has_sum,
			       reply->has_sum ? reply->sum : 0);
	ntd_buf_append(transcript, "", 1);
}

/* Feeds exact copies on the heap, so that the sanitizer notices reads past their ends. */
static void feed(void *parser, const uint8_t *data, size_t size, struct ntd_buf *transcript)
{
	struct ntd_reply *reply = parser;
	_cleanup_free_ char *piece = ntd_malloc(size);
	const char *at = piece;
	size_t left = size;

	memcpy(piece, data, size);
	while (left) {
		size_t before = left;
		enum ntd_reply_event event = ntd_reply_feed(reply, &at, &left);

		require(left < before && at == piece + size - left);
		require(event != NTD_REPLY_NONE || !left);
		if (event == NTD_REPLY_COMPLETE || event == NTD_REPLY_PIECE) {
			/* Only a line that ends with the token makes an event; part of the line may
			 * have come before. */
			require(at[-1] == '\n');
			for (size_t i = 1; i < sizeof TOKEN && at - 1 - i >= piece; i++)
				require(at[-1 - (ptrdiff_t)i] == TOKEN[sizeof TOKEN - 1 - i]);
		}
		if (event != NTD_REPLY_NONE)
			note(transcript, reply, event);
	}
}

static void run(const uint8_t *data, size_t size, unsigned random, struct ntd_buf *transcript)
{
	struct ntd_reply reply = {.limit = LIMIT};

	ntd_reply_expect(&reply, TOKEN);
	feed_pieces(data, size, random, feed, &reply, transcript);
	ntd_reply_free(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	require_same(data + 1, size - 1, data[0], run);
	return 0;
}
