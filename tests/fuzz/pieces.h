/* Feeding a parser the same bytes in one piece and in several: what it makes of them must not
 * depend on the pieces.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void require(bool condition)
{
	if (!condition)
		abort();
}

/* Gives the bytes to a parser, in pieces whose sizes follow from `random`; 0: in one piece. */
static inline void feed_pieces(const uint8_t *data, size_t size, unsigned random,
			       void (*feed)(void *parser, const uint8_t *data, size_t size,
					    struct ntd_buf *transcript),
			       void *parser, struct ntd_buf *transcript)
{
	while (size) {
		size_t step = random ? 1 + (random >> 5) % random % 17 : size;

		step = step < size ? step : size;
		feed(parser, data, step, transcript);
		data += step;
		size -= step;
		random = random ? random * 75 % 65537 : 0;
	}
}

/* Calls `run`, which appends to a transcript what it makes of the bytes, for one piece, and for
 * pieces that follow from `seed`. */
static inline void require_same(const uint8_t *data, size_t size, uint8_t seed,
				void (*run)(const uint8_t *data, size_t size, unsigned random,
					    struct ntd_buf *transcript))
{
	_cleanup_buf_ struct ntd_buf whole = {0}, pieces = {0};

	run(data, size, 0, &whole);
	run(data, size, 1U + seed, &pieces);
	require(whole.len == pieces.len);
	require(!memcmp(ntd_buf_bytes(&whole), ntd_buf_bytes(&pieces), whole.len));
}
