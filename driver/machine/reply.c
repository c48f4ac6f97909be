/* Outside a reply, bytes gather in `line` until it ends with "TOKEN:" or a newline. Inside, base64 is
 * decoded as it comes, and the rest of the line gathers in `line` again. Both are bounded: of a line of
 * noise only the end is kept, which is where a token would be.
 */
#include "machine/reply.h"

#include <stdio.h>
#include <string.h>

enum { NOISE_LIMIT = 4096, NOISE_KEPT = 512 };

void ntd_reply_expect(struct ntd_reply *reply, const char *token)
{
	snprintf(reply->token, sizeof reply->token, "%s", token);
	ntd_buf_clear(&reply->output);
	reply->command_status = reply->encoder_status = -1;
	reply->in_data = reply->padded = false;
	reply->quantum = reply->digits = 0;
	free(ntd_steal(&reply->held));
}

void ntd_reply_free(struct ntd_reply *reply)
{
	ntd_buf_free(&reply->output);
	ntd_buf_free(&reply->line);
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

/* One character of the data; false when it cannot stand there. */
static bool decode(struct ntd_reply *reply, char c)
{
	int value = base64_value(c);
	char bytes[3];

	if (c == '=' && reply->padded)
		return reply->digits-- == 1;
	if (c == '=') {
		if (reply->digits < 2)
			return false;
		reply->padded = true;
		bytes[0] = (char)(reply->quantum >> (reply->digits == 2 ? 4 : 10));
		bytes[1] = (char)(reply->quantum >> 2);
		ntd_buf_append(&reply->output, bytes, reply->digits - 1);
		reply->digits = reply->digits == 2 ? 1 : 0; /* one more '=' may follow */
		return true;
	}
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

static bool contains_banner(const struct ntd_buf *line)
{
	return memmem(ntd_buf_bytes(line), line->len, NTD_SHELL_BANNER, strlen(NTD_SHELL_BANNER));
}

/* "TOKEN held PIDS" */
static bool is_held(struct ntd_reply *reply)
{
	size_t token = strlen(reply->token);
	const char *line = ntd_buf_bytes(&reply->line);
	const char *at = token ? memmem(line, reply->line.len, reply->token, token) : NULL;
	size_t rest = at ? reply->line.len - (size_t)(at - line) - token : 0;

	if (rest < 6 || memcmp(at + token, " held ", 6) != 0)
		return false;
	free(reply->held);
	reply->held = ntd_strndup(at + token + 6, rest - 6);
	return true;
}

/* " STATUS STATUS TOKEN" after the data. */
static enum ntd_reply_event finish(struct ntd_reply *reply)
{
	char token[NTD_TOKEN_SIZE] = "";
	int used = 0;

	*ntd_buf_reserve(&reply->line, 1) = '\0';
	if (sscanf(ntd_buf_bytes(&reply->line), " %d %d %39s%n", &reply->command_status,
		   &reply->encoder_status, token, &used) != 3 ||
	    (size_t)used != reply->line.len || strcmp(token, reply->token) != 0)
		return NTD_REPLY_GARBLED;
	/* a base64 that was killed or is missing may have cut its last group */
	if (!reply->encoder_status && reply->digits && !reply->padded)
		return NTD_REPLY_GARBLED;
	return NTD_REPLY_COMPLETE;
}

static enum ntd_reply_event line_end(struct ntd_reply *reply)
{
	enum ntd_reply_event event = NTD_REPLY_NONE;

	if (contains_banner(&reply->line))
		event = NTD_REPLY_BANNER;
	else if (reply->in_data)
		event = finish(reply);
	else if (is_held(reply))
		event = NTD_REPLY_HELD;
	ntd_buf_clear(&reply->line);
	reply->in_data = false;
	return event;
}

static bool ends_with_token(const struct ntd_reply *reply)
{
	size_t token = strlen(reply->token);
	const char *end = ntd_buf_bytes(&reply->line) + reply->line.len;

	return token && reply->line.len >= token && !memcmp(end - token, reply->token, token);
}

static void gather(struct ntd_reply *reply, char c)
{
	if (!reply->in_data && c == ':' && ends_with_token(reply)) {
		reply->in_data = true;
		ntd_buf_clear(&reply->line);
		return;
	}
	if (reply->line.len == NOISE_LIMIT)
		ntd_buf_consume(&reply->line, NOISE_LIMIT - NOISE_KEPT);
	ntd_buf_append(&reply->line, &c, 1);
}

enum ntd_reply_event ntd_reply_feed(struct ntd_reply *reply, const char **bytes, size_t *len)
{
	enum ntd_reply_event event = NTD_REPLY_NONE;

	while (*len && event == NTD_REPLY_NONE) {
		char c = **bytes;

		++*bytes;
		--*len;
		if (c == '\n')
			event = line_end(reply);
		else if (!reply->in_data || reply->line.len || !decode(reply, c))
			gather(reply, c);
		if (reply->output.len > reply->limit)
			return NTD_REPLY_TOO_LONG;
	}
	return event;
}
