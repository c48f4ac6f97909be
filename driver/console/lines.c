/* The lines of a console: see lines.h. In a console the loop thread alone runs this.
 *
 * `log` is one buffer, and `unread` an offset in it. A wait may use up the beginning of a line
 * whose newline has not come: `partial_used` counts its bytes as the guest sent them, and when the
 * line is complete, `unread` skips the text that they make.
 */
#include "console/lines.h"

#include "base/text.h"

#include <string.h>

#define LINE_LIMIT (64 << 10)

void ntd_lines_forget(struct ntd_lines *lines)
{
	ntd_buf_clear(&lines->partial);
	ntd_buf_free(&lines->log);
	lines->unread = lines->partial_used = 0;
	lines->line++;
	free(ntd_steal(&lines->panic));
}

void ntd_lines_free(struct ntd_lines *lines)
{
	ntd_buf_free(&lines->partial);
	ntd_buf_free(&lines->log);
	free(ntd_steal(&lines->panic));
}

/* ---- marks */

/* Replaces what was printed by what `from` has. */
static void replace(struct ntd_lines *lines, const struct ntd_lines *from)
{
	ntd_lines_free(lines);
	ntd_buf_append(&lines->log, ntd_buf_bytes(&from->log), from->log.len);
	ntd_buf_append(&lines->partial, ntd_buf_bytes(&from->partial), from->partial.len);
	lines->unread = from->unread;
	lines->partial_used = from->partial_used;
	lines->panic = from->panic ? ntd_strdup(from->panic) : NULL;
}

void ntd_lines_mark(const struct ntd_lines *lines, struct ntd_lines *mark)
{
	replace(mark, lines);
}

void ntd_lines_go_back(struct ntd_lines *lines, const struct ntd_lines *mark)
{
	replace(lines, mark);
	lines->line++;
}

/* ---- adding */

/* The length of `bytes` without a UTF-8 character at the end of which only the beginning has come.
 */
static size_t whole_characters(const struct ntd_buf *bytes)
{
	const unsigned char *at = (const unsigned char *)ntd_buf_bytes(bytes);
	size_t cut = bytes->len, back = 1;

	while (back < 4 && back < cut && (at[cut - back] & 0xc0) == 0x80)
		back++;
	if (cut && at[cut - back] >= 0xc0 &&
	    !ntd_utf8_sequence((const char *)at + cut - back, back))
		cut -= back;
	return cut;
}

static void forget_oldest(struct ntd_lines *lines)
{
	const char *bytes = ntd_buf_bytes(&lines->log);
	size_t half = lines->limit / 2;
	const char *end = memchr(bytes + half, '\n', lines->log.len - half);
	size_t drop = end ? (size_t)(end - bytes) + 1 : lines->log.len;

	ntd_buf_consume(&lines->log, drop);
	lines->unread -= drop < lines->unread ? drop : lines->unread;
}

/* Whether the kernel begins a line before `at`: the text begins there, or the kernel's time stamp
 * ends there. Before a time stamp there may be what the firmware left on the line. */
static bool begins_line(const char *text, const char *at)
{
	const char *stamp = memrchr(text, '[', (size_t)(at - text));

	return at == text ||
	       (stamp && strspn(stamp + 1, " .0123456789") == strcspn(stamp + 1, "]") &&
		stamp + strcspn(stamp, "]") + 2 == at);
}

/* Whether this is the kernel's own line, and not a log that quotes one. */
static bool is_panic(const char *text)
{
	const char *at = strstr(text, "Kernel panic - not syncing");

	return at && begins_line(text, at);
}

/* Skips what a wait has used of the partial line, which is now the line at the end of the log. */
static void skip_used(struct ntd_lines *lines, size_t line_start, size_t text_len)
{
	size_t used = lines->partial_used;
	size_t used_text;

	lines->partial_used = 0;
	lines->line++;
	if (!used || lines->unread != line_start)
		return;
	free(ntd_console_text(ntd_buf_bytes(&lines->partial),
			      used < lines->partial.len ? used : lines->partial.len, &used_text));
	lines->unread += used_text < text_len ? used_text : text_len;
}

/* Makes a line of the first `len` bytes of the partial line. */
static void complete_line(struct ntd_lines *lines, size_t len)
{
	size_t text_len;
	_cleanup_free_ char *text =
		ntd_console_text(ntd_buf_bytes(&lines->partial), len, &text_len);
	bool panic = is_panic(text);

	if (panic) {
		free(lines->panic);
		lines->panic = ntd_strndup(text, text_len);
	}
	lines->complete(lines->owner, text, text_len, panic);
	ntd_buf_append(&lines->log, text, text_len);
	ntd_buf_append(&lines->log, "\n", 1);
	skip_used(lines, lines->log.len - text_len - 1, text_len);
	if (lines->log.len > lines->limit)
		forget_oldest(lines);
	ntd_buf_consume(&lines->partial, len);
}

void ntd_lines_add(struct ntd_lines *lines, const char *bytes, size_t len)
{
	const char *end;

	while (len && (end = memchr(bytes, '\n', len))) {
		size_t step = (size_t)(end - bytes) + 1;

		ntd_buf_append(&lines->partial, bytes, step - 1);
		complete_line(lines, lines->partial.len);
		bytes += step;
		len -= step;
	}
	ntd_buf_append(&lines->partial, bytes, len);
	if (lines->partial.len > LINE_LIMIT)
		complete_line(lines, whole_characters(&lines->partial));
}

void ntd_lines_end(struct ntd_lines *lines)
{
	if (lines->partial.len)
		complete_line(lines, lines->partial.len);
}

/* ---- taking */

bool ntd_lines_take(struct ntd_lines *lines, size_t limit, struct ntd_buf *out)
{
	const char *from = ntd_buf_bytes(&lines->log) + lines->unread;
	size_t left = lines->log.len - lines->unread;
	const char *end = left > limit ? memrchr(from, '\n', limit) : from + left - 1;

	if (!left)
		return false;
	if (!end)
		end = memchr(from, '\n', left);
	ntd_buf_append(out, from, (size_t)(end - from) + 1);
	lines->unread += (size_t)(end - from) + 1;
	return true;
}

size_t ntd_lines_unread(const struct ntd_lines *lines)
{
	const char *bytes = ntd_buf_bytes(&lines->log);
	size_t count = 0;

	for (size_t i = lines->unread; i < lines->log.len; i++)
		count += bytes[i] == '\n';
	return count;
}

void ntd_lines_give_back(struct ntd_lines *lines, size_t count)
{
	lines->unread -= count < lines->unread ? count : lines->unread;
}

void ntd_lines_copy_partial(const struct ntd_lines *lines, size_t from, struct ntd_buf *out)
{
	const char *bytes = ntd_buf_bytes(&lines->partial);
	size_t end = whole_characters(&lines->partial), len;
	_cleanup_free_ char *text = NULL;

	if (end <= from)
		return;
	text = ntd_console_text(bytes + from, end - from, &len);
	ntd_buf_append(out, text, len);
	for (size_t at = end; at > from && bytes[at - 1] == ' '; at--)
		ntd_buf_puts(out, " ");
}

void ntd_lines_take_partial(struct ntd_lines *lines, unsigned line, size_t used, size_t text_len)
{
	const char *unread = ntd_buf_bytes(&lines->log) + lines->unread;
	size_t left = lines->log.len - lines->unread;
	size_t first = left ? (size_t)((const char *)memchr(unread, '\n', left) - unread) : 0;

	if (lines->line == line)
		lines->partial_used = used;
	else
		lines->unread += text_len < first ? text_len : first;
}

/* ---- copies */

/* Where the last lines begin in the log. */
static size_t tail_start(const struct ntd_lines *lines, int count)
{
	const char *bytes = ntd_buf_bytes(&lines->log);
	size_t start = lines->log.len;

	for (int i = lines->partial.len > 0; i < count && start; i++) {
		const char *end = memrchr(bytes, '\n', start - 1);

		start = end ? (size_t)(end - bytes) + 1 : 0;
	}
	return start;
}

void ntd_lines_copy_tail(const struct ntd_lines *lines, int count, struct ntd_buf *out)
{
	size_t start = tail_start(lines, count);

	ntd_buf_append(out, ntd_buf_bytes(&lines->log) + start, lines->log.len - start);
	ntd_lines_copy_partial(lines, 0, out);
}

char *ntd_lines_tail(const struct ntd_lines *lines, int count)
{
	struct ntd_buf tail = {0};
	const char *bytes = ntd_buf_bytes(&lines->log);
	size_t start = tail_start(lines, count);

	while (start < lines->log.len) {
		const char *end = memchr(bytes + start, '\n', lines->log.len - start);
		size_t len = (size_t)(end - bytes) - start;

		ntd_buf_puts(&tail, "    ");
		ntd_buf_append(&tail, bytes + start, len);
		ntd_buf_puts(&tail, "\n");
		start += len + 1;
	}
	if (count > 0 && lines->partial.len) {
		ntd_buf_puts(&tail, "    ");
		ntd_lines_copy_partial(lines, 0, &tail);
		ntd_buf_puts(&tail, "\n");
	}
	return ntd_buf_take_string(&tail);
}

void ntd_lines_copy(const struct ntd_lines *lines, struct ntd_buf *out)
{
	size_t len = lines->log.len;

	ntd_buf_append(out, ntd_buf_bytes(&lines->log), len && !lines->partial.len ? len - 1 : len);
	ntd_lines_copy_partial(lines, 0, out);
}
