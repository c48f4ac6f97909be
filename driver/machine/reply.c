/* Each line is decoded as base64 from its first byte, before it is known whose line it is; what follows
 * the first byte that is not base64 gathers in `rest`. At the newline `rest` tells: the reply's end, the
 * banner, a notice, or noise. Noise before the base64 on the same line cannot be told from data if it is
 * made of base64's characters only; any other character in it makes the reply GARBLED.
 */
#include "machine/reply.h"

#include <stdio.h>
#include <string.h>

/* Of a line of noise only the end is kept, which is where the banner and the token are. */
enum { REST_LIMIT = 4096, REST_KEPT = 512 };

/* "Spawning" is base64; the line may also begin with what the firmware said. */
static const char banner_end[] = " backdoor root shell...";

static void next_line(struct ntd_reply *reply)
{
	ntd_buf_clear(&reply->output);
	ntd_buf_clear(&reply->rest);
	reply->padded = reply->complete = reply->in_pieces = false;
	reply->piece_len = 0;
	reply->quantum = reply->digits = 0;
}

void ntd_reply_expect(struct ntd_reply *reply, const char *token)
{
	snprintf(reply->token, sizeof reply->token, "%s", token);
	reply->command_status = reply->encoder_status = -1;
	free(ntd_steal(&reply->held));
	next_line(reply);
}

void ntd_reply_free(struct ntd_reply *reply)
{
	ntd_buf_free(&reply->output);
	ntd_buf_free(&reply->rest);
	free(ntd_steal(&reply->held));
}

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

/* The part of `rest` after `text`, which must stand in it; NULL otherwise. */
static const char *after(const struct ntd_reply *reply, const char *text, size_t *len)
{
	const char *rest = ntd_buf_bytes(&reply->rest);
	size_t text_len = strlen(text);
	const char *at =
		text_len && reply->rest.len ? memmem(rest, reply->rest.len, text, text_len) : NULL;

	if (!at)
		return NULL;
	*len = reply->rest.len - (size_t)(at - rest) - text_len;
	return at + text_len;
}

static bool is_held(struct ntd_reply *reply)
{
	/* The token's own beginning may have been taken for base64. */
	const char *mark = strchr(reply->token, '-');
	_cleanup_free_ char *text = ntd_asprintf("%s held", mark ? mark : "-");
	size_t len = 0;
	const char *pids = mark ? after(reply, text, &len) : NULL;

	if (!pids || (len && *pids != ' '))
		return false;
	free(reply->held);
	reply->held = len ? ntd_strndup(pids + 1, len - 1) : ntd_strdup("");
	return true;
}

/* " STATUS STATUS " before the token. */
static bool parse_statuses(struct ntd_reply *reply, const char *text, size_t len)
{
	return sscanf(text, " %d %d ", &reply->command_status, &reply->encoder_status) == 2 &&
	       strspn(text, " 0123456789") == len;
}

bool ntd_reply_is_whole(const struct ntd_reply *reply)
{
	/* a base64 that was killed or is missing may have cut its last group */
	return reply->encoder_status || !reply->digits;
}

/* What the line is if it ends with the token; NONE if it does not. */
static enum ntd_reply_event end_of_reply(struct ntd_reply *reply)
{
	static const char more[] = " more";
	char *rest = ntd_buf_bytes(&reply->rest);
	size_t len = reply->rest.len, token = strlen(reply->token);
	bool has_more = len > sizeof more && !strcmp(rest + len - (sizeof more - 1), more);

	if (has_more)
		len -= sizeof more - 1;
	if (!token || len < token || memcmp(rest + len - token, reply->token, token) != 0)
		return NTD_REPLY_NONE;
	len -= token;
	rest[len] = '\0';
	if (reply->in_pieces)
		return !has_more && len == 1 && *rest == ' ' ? NTD_REPLY_PIECE : NTD_REPLY_GARBLED;
	if (!parse_statuses(reply, rest, len) || (has_more && reply->piece_len))
		return NTD_REPLY_GARBLED;
	if (has_more)
		return NTD_REPLY_MORE;
	return ntd_reply_is_whole(reply) ? NTD_REPLY_COMPLETE : NTD_REPLY_GARBLED;
}

static enum ntd_reply_event line_end(struct ntd_reply *reply)
{
	enum ntd_reply_event event;
	size_t len;

	ntd_buf_append(&reply->rest, "", 1); /* for the string functions */
	reply->rest.len--;
	event = end_of_reply(reply);
	if (event != NTD_REPLY_NONE)
		return event;
	if (after(reply, banner_end, &len))
		return NTD_REPLY_BANNER;
	if (is_held(reply))
		return NTD_REPLY_HELD;
	/* Between pieces, noise has been decoded with them. */
	return reply->in_pieces ? NTD_REPLY_GARBLED : NTD_REPLY_NONE;
}

static void gather(struct ntd_reply *reply, char c)
{
	if (reply->rest.len == REST_LIMIT)
		ntd_buf_consume(&reply->rest, REST_LIMIT - REST_KEPT);
	ntd_buf_append(&reply->rest, &c, 1);
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
			if (reply->rest.len || !decode(reply, c))
				gather(reply, c);
			else
				reply->piece_len++;
			if (reply->output.len > reply->limit) {
				next_line(reply);
				return NTD_REPLY_TOO_LONG;
			}
			continue;
		}
		event = line_end(reply);
		if (event == NTD_REPLY_COMPLETE)
			reply->complete = true; /* the caller takes the output first */
		else if (event == NTD_REPLY_PIECE)
			ntd_buf_clear(&reply->rest);
		else
			next_line(reply);
		reply->in_pieces = event == NTD_REPLY_MORE || event == NTD_REPLY_PIECE;
	}
	return event;
}
