/* A growable byte buffer. Bytes are appended at the end and consumed at the front; what was
 * consumed is reclaimed when the buffer grows, so both ends cost amortised constant time.
 */
#pragma once

#include "base/mem.h"

struct ntd_buf {
	char *data; /* the bytes are data[start .. start + len) */
	size_t start, len, capacity;
};

/* Frees the bytes; the buffer is empty afterwards and can be used again. */
void ntd_buf_free(struct ntd_buf *buf);
/* Makes room for `extra` bytes after the present ones and returns where they go. When the caller
 * has put bytes there, it says how many with ntd_buf_added(). */
char *ntd_buf_reserve(struct ntd_buf *buf, size_t extra);
void ntd_buf_added(struct ntd_buf *buf, size_t count);
/* Append bytes, a string, a formatted string. */
void ntd_buf_append(struct ntd_buf *buf, const void *bytes, size_t count);
void ntd_buf_puts(struct ntd_buf *buf, const char *text);
void ntd_buf_printf(struct ntd_buf *buf, const char *fmt, ...) ntd_printf(2, 3);
/* Drops `count` bytes at the front. */
void ntd_buf_consume(struct ntd_buf *buf, size_t count);

/* The first byte; valid until the buffer changes. No NUL follows the last byte. */
static inline char *ntd_buf_bytes(const struct ntd_buf *buf)
{
	return buf->data ? buf->data + buf->start : (char *)"";
}

/* Drops all bytes and keeps the memory. */
static inline void ntd_buf_clear(struct ntd_buf *buf)
{
	buf->start = buf->len = 0;
}

/* The contents as a NUL-terminated string that belongs to the caller; the buffer is empty after. */
char *ntd_buf_take_string(struct ntd_buf *buf);

#define _cleanup_buf_ _cleanup_(ntd_buf_free)
