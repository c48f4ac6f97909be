/* Fuzzes what a guest may show on its serial console to a login and to the shell there. The text
 * comes in pieces whose sizes follow from the first byte; the lines must not depend on the pieces,
 * and what is found in them must satisfy the invariants of prompts, answers and output.
 */
#include "channel/serial_text.h"

#include "base/text.h"

#include "pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IDENTITY "ntd5eed1234"
enum { LINE_LIMIT = 4096 };

static void check_decoding(enum ntd_serial_encoding encoding, const char *line, size_t len)
{
	_cleanup_buf_ struct ntd_buf out = {0};

	ntd_buf_puts(&out, "x");
	if (ntd_serial_decode(encoding, line, len, &out))
		require(out.len > 1 && out.len <= 1 + len);
	else
		require(out.len == 1);
}

/* An exact copy on the heap, so that the sanitizer notices reads past its end. */
static void check_line(const struct ntd_buf *line)
{
	_cleanup_free_ char *copy = ntd_malloc(line->len);
	struct ntd_serial_answer answer;
	enum ntd_serial_seen seen;

	memcpy(copy, ntd_buf_bytes(line), line->len);
	seen = ntd_serial_prompt(copy, line->len);
	require(seen <= NTD_SERIAL_SHELL);
	seen = ntd_serial_verdict(copy, line->len);
	require(seen == NTD_SERIAL_NOTHING || seen >= NTD_SERIAL_REFUSED);
	answer = ntd_serial_answer(copy, line->len, IDENTITY);
	require(answer.word <= NTD_SERIAL_READY);
	for (int i = 0; i < 3; i++)
		require(answer.values[i] <= 999999999);
	require(!answer.word || memmem(copy, line->len, IDENTITY, strlen(IDENTITY)));
	require(answer.word != NTD_SERIAL_READY || (*answer.user && *answer.encoding));
	check_decoding(NTD_SERIAL_BASE64, copy, line->len);
	check_decoding(NTD_SERIAL_HEX, copy, line->len);
}

static void feed(void *parser, const uint8_t *data, size_t size, struct ntd_buf *transcript)
{
	struct ntd_serial_lines *lines = parser;
	_cleanup_free_ char *piece = ntd_malloc(size);
	const char *at = piece;
	size_t left = size;

	memcpy(piece, data, size);
	while (left) {
		size_t before = left;
		bool complete = ntd_serial_lines_next(lines, &at, &left);

		require(left < before && at == piece + size - left);
		require(complete || !left);
		require(complete == lines->complete);
		require(lines->line.len <= LINE_LIMIT);
		require(ntd_serial_lines_begun(lines) <= lines->line.len);
		if (!complete)
			continue;
		check_line(&lines->line);
		ntd_buf_append(transcript, ntd_buf_bytes(&lines->line), lines->line.len);
		ntd_buf_puts(transcript, "\n");
	}
}

static void run(const uint8_t *data, size_t size, unsigned random, struct ntd_buf *transcript)
{
	struct ntd_serial_lines lines = {0};

	feed_pieces(data, size, random, feed, &lines, transcript);
	check_line(&lines.line);
	ntd_serial_lines_free(&lines);
}

/* Whatever the text is, the guest's loop gets it as one line of printable characters. */
static void check_escape(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct ntd_buf out = {0};

	ntd_serial_escape(&out, (const char *)data, size);
	require(out.len >= size && out.len <= 5 * size);
	for (size_t i = 0; i < out.len; i++)
		require(ntd_buf_bytes(&out)[i] >= ' ' && ntd_buf_bytes(&out)[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	check_escape(data, size);
	require_same(data + 1, size - 1, data[0], run);
	return 0;
}
