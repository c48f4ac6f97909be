/* Fuzzes the readers of a console. The first byte gives a reader's limit, and each further byte the
 * size of the next piece of what the guest prints and whether the reader looks and moves its cursor
 * after it. What a reader has must always be a part of the plain text of all bytes, which is made
 * here in one piece; it must end where that ends, and be no longer than the limit.
 */
#include "console/console_internal.h"
#include "console/expect.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzzed {
	struct ntd_console *console;
	struct ntd_expect *expect;
	struct ntd_expect_text text;
	struct ntd_plain plain; /* of all bytes so far */
	struct ntd_buf all;
	size_t limit, advanced;
	const char *piece;
	size_t len;
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void feed(void *arg)
{
	const struct fuzzed *fuzzed = arg;

	ntd_expect_feed(fuzzed->console, fuzzed->piece, fuzzed->len);
}

/* The console is closed, so that a read without new text fails at once. */
static bool look(struct fuzzed *fuzzed)
{
	_cleanup_error_ struct ntd_error *error = NULL;
	const struct ntd_expect_text *text = &fuzzed->text;
	bool more = ntd_expect_read(fuzzed->expect, &fuzzed->text, NTD_FOREVER, NULL, &error) == 0;

	require(more || error->code == NTD_E_DEAD);
	require(text->bytes.len <= fuzzed->limit);
	require(text->begin >= fuzzed->advanced);
	require(text->begin + text->bytes.len == fuzzed->all.len);
	require(!text->bytes.len ||
		!memcmp(ntd_buf_bytes(&text->bytes), ntd_buf_bytes(&fuzzed->all) + text->begin,
			text->bytes.len));
	return more;
}

static void print(struct fuzzed *fuzzed, const uint8_t *bytes, size_t len)
{
	char *copy = malloc(len ? len : 1); /* of that size, so that reads past its end are seen */

	memcpy(copy, bytes, len);
	fuzzed->piece = copy;
	fuzzed->len = len;
	ntd_plain_add(&fuzzed->plain, copy, len, &fuzzed->all);
	ntd_loop_call(fuzzed->console->loop, feed, fuzzed);
	free(copy);
}

static void go_through(struct fuzzed *fuzzed, const uint8_t *data, size_t size)
{
	while (size) {
		size_t len = data[0] & 63, count;
		bool looks = data[0] & 64, moves = data[0] & 128;

		data++;
		size--;
		len = len < size ? len : size;
		print(fuzzed, data, len);
		data += len;
		size -= len;
		if (!looks)
			continue;
		look(fuzzed);
		count = moves ? fuzzed->text.bytes.len / 2 : 0;
		fuzzed->advanced = fuzzed->text.begin + count;
		ntd_expect_advance(fuzzed->expect, &fuzzed->text, count);
		require(fuzzed->text.begin == fuzzed->advanced);
	}
	look(fuzzed);
	require(!look(fuzzed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ntd_console *console;
	struct fuzzed fuzzed = {0};

	if (!console)
		console = ntd_console_new(ntd_loop_new(NULL), NULL, "machine");
	if (!size)
		return 0;
	fuzzed.console = console;
	fuzzed.limit = 8 + data[0];
	fuzzed.expect = ntd_expect_new(console, fuzzed.limit);
	look(&fuzzed); /* the reader begins */
	go_through(&fuzzed, data + 1, size - 1);
	ntd_expect_free(fuzzed.expect);
	ntd_buf_free(&fuzzed.text.bytes);
	ntd_buf_free(&fuzzed.all);
	return 0;
}
