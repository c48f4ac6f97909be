/* The byte buffer. Any thread, each with buffers of its own. */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void ntd_buf_free(struct ntd_buf *buf)
{
	free(buf->data);
	*buf = (struct ntd_buf){0};
}

char *ntd_buf_reserve(struct ntd_buf *buf, size_t extra)
{
	if (buf->start + buf->len + extra > buf->capacity) {
		if (buf->start) {
			memmove(buf->data, buf->data + buf->start, buf->len);
			buf->start = 0;
		}
		if (buf->len + extra > buf->capacity) {
			size_t wanted = buf->capacity ? buf->capacity * 2 : 256;

			buf->capacity = wanted > buf->len + extra ? wanted : buf->len + extra;
			buf->data = ntd_realloc(buf->data, buf->capacity);
		}
	}
	return buf->data + buf->start + buf->len;
}

void ntd_buf_added(struct ntd_buf *buf, size_t count)
{
	assert(buf->start + buf->len + count <= buf->capacity);
	buf->len += count;
}

void ntd_buf_append(struct ntd_buf *buf, const void *bytes, size_t count)
{
	if (!count)
		return;
	memcpy(ntd_buf_reserve(buf, count), bytes, count);
	ntd_buf_added(buf, count);
}

void ntd_buf_puts(struct ntd_buf *buf, const char *text)
{
	ntd_buf_append(buf, text, strlen(text));
}

void ntd_buf_printf(struct ntd_buf *buf, const char *fmt, ...)
{
	_cleanup_free_ char *text = ntd_formatted(fmt);

	ntd_buf_puts(buf, text);
}

void ntd_buf_consume(struct ntd_buf *buf, size_t count)
{
	assert(count <= buf->len);
	buf->start += count;
	buf->len -= count;
	if (!buf->len)
		buf->start = 0;
}

char *ntd_buf_take_string(struct ntd_buf *buf)
{
	char *text;

	*ntd_buf_reserve(buf, 1) = '\0';
	if (buf->start)
		memmove(buf->data, buf->data + buf->start, buf->len + 1);
	text = ntd_realloc(buf->data, buf->len + 1);
	*buf = (struct ntd_buf){0};
	return text;
}
