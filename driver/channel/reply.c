/* The parser of replies, pure; the loop thread runs it. It gathers a line until its newline, and
 * then sees what the line is: the reply's end, the banner, a notice, or noise. Noise before a reply
 * on the same line makes the reply GARBLED, since a reply begins its line. Pieces are decoded from
 * base64 as they come; the bytes from the first that is not base64 are gathered. Noise between
 * pieces cannot be told from data if it is made of base64's characters only; any other character in
 * it makes the reply GARBLED.
 */
#include "channel/reply.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Quoted, a byte takes four characters at most. Of longer noise only the end is kept, which is
 * where the banner and the token are. */
enum { LINE_LIMIT = 4 * NTD_SHORT_OUTPUT + 512, LINE_KEPT = 512 };

/* The end of the banner, "Spawning backdoor root shell...". In a piece, "Spawning" would be decoded
 * as base64; before it, the line may have what the firmware said. */
static const char banner_end[] = " backdoor root shell...";

static void next_line(struct ntd_reply *reply)
{
	ntd_buf_clear(&reply->output);
	ntd_buf_clear(&reply->line);
	reply->cut = reply->padded = reply->complete = reply->in_pieces = false;
	reply->piece_len = 0;
	reply->quantum = reply->digits = 0;
}

void ntd_reply_expect(struct ntd_reply *reply, const char *token)
{
	snprintf(reply->token, sizeof reply->token, "%s", token);
	reply->command_status = reply->reader_status = -1;
	free(ntd_steal(&reply->held));
	next_line(reply);
}

void ntd_reply_expect_pieces(struct ntd_reply *reply, const char *token)
{
	ntd_reply_expect(reply, token);
	reply->reader_status = 0;
	reply->in_pieces = true;
}

void ntd_reply_free(struct ntd_reply *reply)
{
	ntd_buf_free(&reply->output);
	ntd_buf_free(&reply->line);
	free(ntd_steal(&reply->held));
}

/* ---- base64 */

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool decode_padding(struct ntd_reply *reply)
{
	char bytes[2] = {(char)(reply->quantum >> (reply->digits == 2 ? 4 : 10)),
			 (char)(reply->quantum >> 2)};

	if (reply->padded)
		return reply->digits && reply->digits-- == 1;
	if (reply->digits < 2)
		return false;
	reply->padded = true;
	ntd_buf_append(&reply->output, bytes, reply->digits - 1);
	reply->digits = reply->digits == 2; /* one more '=' may follow */
	return true;
}

/* One character of base64; false when it cannot be one. */
static bool decode(struct ntd_reply *reply, char c)
{
	int value = base64_value(c);
	char bytes[3];

	if (c == '=')
		return decode_padding(reply);
	if (value < 0 || reply->padded)
		return false;
	reply->quantum = reply->quantum << 6 | (unsigned)value;
	if (++reply->digits < 4)
		return true;
	bytes[0] = (char)(reply->quantum >> 16);
	bytes[1] = (char)(reply->quantum >> 8);
	bytes[2] = (char)reply->quantum;
	ntd_buf_append(&reply->output, bytes, sizeof bytes);
	reply->quantum = reply->digits = 0;
	return true;
}

/* ---- words as bash quotes them */

/* The character of an escape in $'…', from the one after the backslash; moves past it. -1: none
 * that bash writes. */
static int escaped(const char **at, const char *end)
{
	static const char letters[] = "abtnvfrE\\'", meant[] = "\a\b\t\n\v\f\r\033\\'";
	const char *c = *at, *letter = c < end && *c ? strchr(letters, *c) : NULL;
	int value = 0;

	if (letter) {
		++*at;
		return meant[letter - letters];
	}
	for (; c < *at + 3; c++) {
		if (c >= end || *c < '0' || *c > '7')
			return -1;
		value = value << 3 | (*c - '0');
	}
	*at = c;
	return value <= UINT8_MAX ? value : -1;
}

/* Appends a quoted text, from after its opening quote. Returns the place after its closing quote;
 * NULL when that is missing. */
static const char *unquote_part(const char *at, const char *end, bool escapes,
				struct ntd_buf *output)
{
	while (at < end && *at != '\'') {
		int c = (unsigned char)*at++;
		char byte;

		if (escapes && c == '\\' && (c = escaped(&at, end)) < 0)
			return NULL;
		byte = (char)c;
		ntd_buf_append(output, &byte, 1);
	}
	return at < end ? at + 1 : NULL;
}

/* Appends a word, which has the parts 'text', $'text' and \'. Returns the place after it; NULL when
 * there is no word. */
static const char *unquote(const char *at, const char *end, struct ntd_buf *output)
{
	const char *begin = at;

	while (at && at < end && *at != ' ') {
		bool dollar = *at == '$';

		if (end - at > 1 && at[0] == '\\' && at[1] == '\'') {
			ntd_buf_append(output, at + 1, 1);
			at += 2;
			continue;
		}
		at += dollar;
		at = at < end && *at == '\'' ? unquote_part(at + 1, end, dollar, output) : NULL;
	}
	return at == begin ? NULL : at;
}

/* ---- lines */

/* The part of the line after `text`, which must stand in it; NULL otherwise. */
static const char *after(const struct ntd_reply *reply, const char *text, size_t *len)
{
	const char *line = ntd_buf_bytes(&reply->line);
	size_t text_len = strlen(text);
	const char *at =
		text_len && reply->line.len ? memmem(line, reply->line.len, text, text_len) : NULL;

	if (!at)
		return NULL;
	*len = reply->line.len - (size_t)(at - line) - text_len;
	return at + text_len;
}

static bool is_held(struct ntd_reply *reply)
{
	_cleanup_free_ char *text = ntd_asprintf("%s held", reply->token);
	size_t len = 0;
	const char *pids = *reply->token ? after(reply, text, &len) : NULL;

	if (!pids || (len && *pids != ' '))
		return false;
	free(reply->held);
	reply->held = len ? ntd_strndup(pids + 1, len - 1) : ntd_strdup("");
	return true;
}

/* " STATUS STATUS " before the token. */
static bool parse_statuses(struct ntd_reply *reply, const char *text, size_t len)
{
	return sscanf(text, " %d %d ", &reply->command_status, &reply->reader_status) == 2 &&
	       strspn(text, " 0123456789") == len;
}

bool ntd_reply_is_whole(const struct ntd_reply *reply)
{
	/* a base64 that was killed or is missing may have cut its last group */
	return reply->reader_status || !reply->digits;
}

/* "SUM COUNT" or "COUNT" in `output`, of a guest without cksum(1). */
static void parse_count(struct ntd_reply *reply)
{
	char text[48] = {0}, excess;
	unsigned long sum = 0;

	reply->count = SIZE_MAX;
	reply->has_sum = false;
	if (reply->output.len >= sizeof text)
		return;
	memcpy(text, ntd_buf_bytes(&reply->output), reply->output.len);
	if (strspn(text, " 0123456789") != reply->output.len)
		return;
	if (sscanf(text, "%lu %zu %c", &sum, &reply->count, &excess) == 2) {
		reply->has_sum = true;
		reply->sum = (uint32_t)sum;
	} else if (sscanf(text, "%zu %c", &reply->count, &excess) != 1) {
		reply->count = SIZE_MAX;
	}
}

/* Parses what the line has before the token. `mark` is the event that what follows it stands for;
 * NONE: nothing follows. */
static enum ntd_reply_event parse_reply(struct ntd_reply *reply, const char *text, size_t len,
					enum ntd_reply_event mark)
{
	const char *end = text + len, *statuses;

	if (reply->in_pieces)
		return !mark && len == 1 && *text == ' ' ? NTD_REPLY_PIECE : NTD_REPLY_GARBLED;
	statuses = reply->cut ? NULL : unquote(text, end, &reply->output);
	if (!statuses || !parse_statuses(reply, statuses, (size_t)(end - statuses)) ||
	    (mark == NTD_REPLY_MORE && reply->output.len))
		return NTD_REPLY_GARBLED;
	if (mark == NTD_REPLY_PORT)
		parse_count(reply);
	else if (reply->output.len > reply->limit)
		return NTD_REPLY_TOO_LONG;
	return mark ? mark : NTD_REPLY_COMPLETE;
}

/* What the line is if it ends with the token; NONE if it does not. */
static enum ntd_reply_event end_of_reply(struct ntd_reply *reply)
{
	static const char more[] = " more", port[] = " port"; /* of the same length */
	char *line = ntd_buf_bytes(&reply->line);
	size_t len = reply->line.len, token = strlen(reply->token);
	const char *last = len > sizeof more ? line + len - (sizeof more - 1) : "";
	enum ntd_reply_event mark = !strcmp(last, more)   ? NTD_REPLY_MORE
				    : !strcmp(last, port) ? NTD_REPLY_PORT
							  : NTD_REPLY_NONE;

	if (mark)
		len -= sizeof more - 1;
	if (!token || len < token || memcmp(line + len - token, reply->token, token) != 0)
		return NTD_REPLY_NONE;
	len -= token;
	line[len] = '\0';
	return parse_reply(reply, line, len, mark);
}

static enum ntd_reply_event line_end(struct ntd_reply *reply)
{
	enum ntd_reply_event event;
	size_t len;

	ntd_buf_append(&reply->line, "", 1); /* for the string functions */
	reply->line.len--;
	event = end_of_reply(reply);
	if (event != NTD_REPLY_NONE)
		return event;
	if (after(reply, banner_end, &len))
		return NTD_REPLY_BANNER;
	if (is_held(reply))
		return NTD_REPLY_HELD;
	/* noise between pieces has been decoded with them */
	return reply->in_pieces ? NTD_REPLY_GARBLED : NTD_REPLY_NONE;
}

static void gather(struct ntd_reply *reply, char c)
{
	if (reply->line.len == LINE_LIMIT) {
		ntd_buf_consume(&reply->line, LINE_LIMIT - LINE_KEPT);
		reply->cut = true;
	}
	ntd_buf_append(&reply->line, &c, 1);
}

/* One byte of a line; false when the output passes its limit. */
static bool take(struct ntd_reply *reply, char c)
{
	if (reply->in_pieces && !reply->line.len && decode(reply, c))
		reply->piece_len++;
	else
		gather(reply, c);
	return reply->output.len <= reply->limit;
}

enum ntd_reply_event ntd_reply_feed(struct ntd_reply *reply, const char **bytes, size_t *len)
{
	enum ntd_reply_event event = NTD_REPLY_NONE;

	if (reply->complete)
		next_line(reply);
	while (*len && event == NTD_REPLY_NONE) {
		char c = **bytes;

		++*bytes;
		--*len;
		if (c != '\n') {
			if (take(reply, c))
				continue;
			next_line(reply);
			return NTD_REPLY_TOO_LONG;
		}
		event = line_end(reply);
		if (event == NTD_REPLY_COMPLETE)
			reply->complete = true; /* the caller takes the output first */
		else if (event == NTD_REPLY_PIECE)
			ntd_buf_clear(&reply->line);
		else
			next_line(reply);
		reply->in_pieces = event == NTD_REPLY_MORE || event == NTD_REPLY_PIECE;
	}
	return event;
}
