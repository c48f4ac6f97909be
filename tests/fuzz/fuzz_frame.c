/* Fuzzes the parser of frames with bytes that do not have to be frames. They arrive in pieces whose
 * sizes follow from the first byte; the frames must not depend on the pieces, and a whole frame
 * written again must give the same bytes. Then the payloads are read as values.
 */
#include "agent/frame.h"

#include "pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct parser {
	struct ntd_buf in;
	bool broken;
};

static void note(struct ntd_buf *transcript, const struct ntd_buf *in,
		 const struct ntd_frame *frame)
{
	_cleanup_buf_ struct ntd_buf again = {0};

	require(frame->len <= NTD_FRAME_MOST);
	ntd_frame_append(&again, frame);
	require(again.len <= in->len);
	require(!memcmp(ntd_buf_bytes(&again), ntd_buf_bytes(in), again.len));
	ntd_buf_append(transcript, ntd_buf_bytes(&again), again.len);
}

static void feed(void *arg, const uint8_t *data, size_t size, struct ntd_buf *transcript)
{
	struct parser *parser = arg;
	struct ntd_frame frame;
	enum ntd_frame_verdict verdict;

	if (parser->broken)
		return;
	ntd_buf_append(&parser->in, data, size);
	while ((verdict = ntd_frame_take(&parser->in, &frame)) == NTD_FRAME_WHOLE) {
		note(transcript, &parser->in, &frame);
		ntd_buf_consume(&parser->in, NTD_FRAME_HEADER + frame.len);
	}
	parser->broken = verdict == NTD_FRAME_BROKEN;
	if (parser->broken)
		ntd_buf_puts(transcript, "broken");
}

static void run(const uint8_t *data, size_t size, unsigned random, struct ntd_buf *transcript)
{
	struct parser parser = {0};

	feed_pieces(data, size, random, feed, &parser, transcript);
	ntd_buf_free(&parser.in);
}

/* Reads values whose types follow from the bytes themselves, from an exact copy on the heap. */
static void read_values(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *copy = ntd_malloc(size);
	struct ntd_unpack in = {.at = copy, .left = size};
	size_t len;

	memcpy(copy, data, size);
	while (in.left && !in.bad) {
		_cleanup_free_ char *text = NULL;
		const char *bytes;

		switch (ntd_unpack_u8(&in) % 4) {
		case 0:
			ntd_unpack_u32(&in);
			break;
		case 1:
			ntd_unpack_u64(&in);
			break;
		case 2:
			text = ntd_unpack_text(&in);
			require(!text == in.bad);
			break;
		default:
			bytes = ntd_unpack_bytes(&in, &len);
			require(in.bad ? !len : bytes >= copy && bytes + len <= copy + size);
		}
	}
	require(in.bad || !in.left);
}

/* The bytes as the payload of a frame with a right checksum, and then as they are. */
static void frame_payload(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct ntd_buf out = {0};
	struct ntd_frame frame = {.stream = data[0],
				  .kind = NTD_FRAME_DATA,
				  .bytes = (const char *)data,
				  .len = size < NTD_FRAME_MOST ? size : NTD_FRAME_MOST};

	ntd_frame_append(&out, &frame);
	ntd_buf_append(&out, data, size);
	require(ntd_frame_take(&out, &frame) == NTD_FRAME_WHOLE);
	require_same((const uint8_t *)ntd_buf_bytes(&out), out.len, data[0], run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	require_same(data + 1, size - 1, data[0], run);
	frame_payload(data, size);
	read_values(data, size);
	return 0;
}
