/* A growable byte buffer. Bytes are appended at the end and consumed at the front; what was
 * consumed is reclaimed when the buffer grows, so both ends cost amortised constant time.
 */
#pragma once

#include "base/mem.h"

struct ntd_buf {
	char *data; /* the bytes are data[start .. start + len) */
	size_t start, len, capacity;
};

void ntd_buf_free(struct ntd_buf *buf);
/* Room for `extra` more bytes after the present ones; returns where they go. Follow with
 * added(). */
char *ntd_buf_reserve(struct ntd_buf *buf, size_t extra);
void ntd_buf_added(struct ntd_buf *buf, size_t count);
void ntd_buf_append(struct ntd_buf *buf, const void *bytes, size_t count);
void ntd_buf_puts(struct ntd_buf *buf, const char *text);
void ntd_buf_printf(struct ntd_buf *buf, const char *fmt, ...) ntd_printf(2, 3);
void ntd_buf_consume(struct ntd_buf *buf, size_t count);

static inline char *ntd_buf_bytes(const struct ntd_buf *buf)
{
	return buf->data ? buf->data + buf->start : (char *)"";
}

static inline void ntd_buf_clear(struct ntd_buf *buf)
{
	buf->start = buf->len = 0;
}

/* The contents as a NUL-terminated string that belongs to the caller; the buffer is empty after. */
char *ntd_buf_take_string(struct ntd_buf *buf);

#define _cleanup_buf_ _cleanup_(ntd_buf_free)
