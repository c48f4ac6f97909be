/* The filter for terminals' control sequences, see plain.h. Pure. In a console the loop thread runs
 * it.
 *
 * Which bytes sequences consist of: ECMA-48, 5.4 (control sequences) and 5.6 (control strings).
 */
#include "console/plain.h"

#include "base/text.h"

#include <stdbool.h>
#include <string.h>

static bool is_shown(char c)
{
	return (c >= ' ' && c <= '~') || c == '\n' || c == '\t';
}

/* A byte of a character beyond ASCII. Bytes that are no character are left out. */
static void add_high(struct ntd_plain *plain, char c, struct ntd_buf *out)
{
	if ((c & 0xc0) != 0x80)
		plain->have = 0; /* what came before was cut short */
	else if (!plain->have)
		return;
	plain->character[plain->have++] = c;
	if (ntd_utf8_sequence(plain->character, plain->have) == plain->have)
		ntd_buf_append(out, plain->character, plain->have);
	else if (plain->have < sizeof plain->character)
		return;
	plain->have = 0;
}

static void add_text(struct ntd_plain *plain, char c, struct ntd_buf *out)
{
	if (c & 0x80) {
		add_high(plain, c, out);
		return;
	}
	plain->have = 0;
	if (is_shown(c))
		ntd_buf_append(out, &c, 1);
}

static void after_escape(struct ntd_plain *plain, char c)
{
	if (c == '[')
		plain->state = NTD_PLAIN_CONTROL;
	else if (strchr("]P^_X", c))
		plain->state = NTD_PLAIN_STRING;
	else
		plain->state = c >= ' ' && c <= '/' ? NTD_PLAIN_SELECTION : NTD_PLAIN_TEXT;
}

static void add(struct ntd_plain *plain, char c, struct ntd_buf *out)
{
	if (c == '\033') {
		plain->state = NTD_PLAIN_ESCAPE;
		plain->have = 0;
		return;
	}
	if (c == '\n') /* also ends a sequence */
		plain->state = NTD_PLAIN_TEXT;
	switch (plain->state) {
	case NTD_PLAIN_ESCAPE:
		if (c)
			after_escape(plain, c);
		break;
	case NTD_PLAIN_CONTROL:
		if (c >= '@' && c <= '~')
			plain->state = NTD_PLAIN_TEXT;
		break;
	case NTD_PLAIN_STRING:
		if (c == '\a')
			plain->state = NTD_PLAIN_TEXT;
		break;
	case NTD_PLAIN_SELECTION:
		if (c < ' ' || c > '/')
			plain->state = NTD_PLAIN_TEXT;
		break;
	case NTD_PLAIN_TEXT:
	default:
		add_text(plain, c, out);
		break;
	}
}

void ntd_plain_add(struct ntd_plain *plain, const char *bytes, size_t len, struct ntd_buf *out)
{
	for (size_t i = 0; i < len; i++) {
		size_t from = i;

		while (plain->state == NTD_PLAIN_TEXT && !plain->have && i < len &&
		       is_shown(bytes[i]))
			i++;
		ntd_buf_append(out, bytes + from, i - from);
		if (i < len)
			add(plain, bytes[i], out);
	}
}
