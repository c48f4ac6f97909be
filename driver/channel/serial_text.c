/* The parser for dialogues on a serial console, see serial_text.h. Pure; script threads run it.
 *
 * The kernel prints at any place of a line that a program writes, whole lines that begin with a
 * time stamp, "[   12.345678] ". What a driver or systemd prints without one cannot be told from
 * the program's text; then the dialogue asks again.
 */
#include "channel/serial_text.h"

#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LINE_LIMIT = 4096 };

/* ---- lines */

/* The length of a time stamp at the beginning of the text; 0: there is none. */
static size_t stamp_length(const char *text, size_t len)
{
	size_t at = 1, digits, fraction;

	if (!len || *text != '[')
		return 0;
	while (at < len && text[at] == ' ')
		at++;
	for (digits = at; at < len && isdigit((unsigned char)text[at]); at++)
		;
	if (at == digits || at >= len || text[at] != '.')
		return 0;
	for (fraction = ++at; at < len && isdigit((unsigned char)text[at]); at++)
		;
	return at > fraction && at < len && text[at] == ']' ? at + 1 : 0;
}

size_t ntd_serial_lines_begun(const struct ntd_serial_lines *lines)
{
	const char *line = ntd_buf_bytes(&lines->line);

	for (size_t i = 0; i < lines->line.len; i++)
		if (line[i] == '[' && stamp_length(line + i, lines->line.len - i))
			return i;
	return lines->line.len;
}

static void append(struct ntd_buf *line, const char *text, size_t len)
{
	size_t room = line->len < LINE_LIMIT ? LINE_LIMIT - line->len : 0;

	ntd_buf_append(line, text, len < room ? len : room);
}

/* The newline of a kernel's message does not end the line around it. */
static bool end_line(struct ntd_serial_lines *lines)
{
	size_t begun = ntd_serial_lines_begun(lines);

	if (begun == lines->line.len)
		return true;
	lines->line.len = begun;
	return false;
}

bool ntd_serial_lines_next(struct ntd_serial_lines *lines, const char **text, size_t *len)
{
	if (lines->complete)
		ntd_serial_lines_clear(lines);
	while (*len && !lines->complete) {
		const char *end = memchr(*text, '\n', *len);
		size_t step = end ? (size_t)(end - *text) : *len;

		append(&lines->line, *text, step);
		step += end != NULL;
		*text += step;
		*len -= step;
		lines->complete = end && end_line(lines);
	}
	return lines->complete;
}

void ntd_serial_lines_clear(struct ntd_serial_lines *lines)
{
	ntd_buf_clear(&lines->line);
	lines->complete = false;
}

void ntd_serial_lines_free(struct ntd_serial_lines *lines)
{
	ntd_buf_free(&lines->line);
}

/* ---- a login */

/* The first row whose words are all in the line counts. */
struct row {
	const char *words[2];
	enum ntd_serial_seen seen;
};

/* Questions end with a colon. */
static const struct row prompts[] = {
	{{"retype", "password"}, NTD_SERIAL_RETYPE}, {{"re-enter", "password"}, NTD_SERIAL_RETYPE},
	{{"repeat", "password"}, NTD_SERIAL_RETYPE}, {{"confirm", "password"}, NTD_SERIAL_RETYPE},
	{{"again", "password"}, NTD_SERIAL_RETYPE},  {{"current", "password"}, NTD_SERIAL_CURRENT},
	{{"old password", ""}, NTD_SERIAL_CURRENT},  {{"new", "password"}, NTD_SERIAL_NEW},
	{{"password", ""}, NTD_SERIAL_PASSWORD},     {{"last login", ""}, NTD_SERIAL_NOTHING},
	{{"login", ""}, NTD_SERIAL_LOGIN},           {{"username", ""}, NTD_SERIAL_LOGIN},
};

static const struct row verdicts[] = {
	{{"login incorrect", ""}, NTD_SERIAL_REFUSED},
	{{"authentication failure", ""}, NTD_SERIAL_REFUSED},
	{{"permission denied", ""}, NTD_SERIAL_REFUSED},
	{{"access denied", ""}, NTD_SERIAL_REFUSED},
	{{"account", "expired"}, NTD_SERIAL_REFUSED},
	{{"account", "locked"}, NTD_SERIAL_REFUSED},
	{{"account", "not available"}, NTD_SERIAL_REFUSED},
	{{"passwords", "do not match"}, NTD_SERIAL_UNACCEPTABLE},
	{{"passwords", "don't match"}, NTD_SERIAL_UNACCEPTABLE},
	{{"must choose", "password"}, NTD_SERIAL_UNACCEPTABLE},
	{{"password", "unchanged"}, NTD_SERIAL_UNACCEPTABLE},
	{{"token manipulation error", ""}, NTD_SERIAL_UNACCEPTABLE},
	{{"exhausted maximum number", ""}, NTD_SERIAL_UNACCEPTABLE},
};

static enum ntd_serial_seen look_up(const struct row *rows, size_t count, const char *line,
				    size_t len)
{
	_cleanup_free_ char *text = ntd_strndup(line, len);

	for (size_t i = 0; i < count; i++)
		if (strcasestr(text, rows[i].words[0]) && strcasestr(text, rows[i].words[1]))
			return rows[i].seen;
	return NTD_SERIAL_NOTHING;
}

enum ntd_serial_seen ntd_serial_prompt(const char *line, size_t len)
{
	while (len && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	if (!len)
		return NTD_SERIAL_NOTHING;
	if (line[len - 1] == ':')
		return look_up(prompts, sizeof prompts / sizeof *prompts, line, len);
	return strchr("#$%>", line[len - 1]) ? NTD_SERIAL_SHELL : NTD_SERIAL_NOTHING;
}

enum ntd_serial_seen ntd_serial_verdict(const char *line, size_t len)
{
	return look_up(verdicts, sizeof verdicts / sizeof *verdicts, line, len);
}

/* ---- answers */

static const struct {
	const char *word;
	enum ntd_serial_word value;
	int numbers;
	char separator;
} words[] = {
	{"ok", NTD_SERIAL_OK, 0, 0},       {"bad", NTD_SERIAL_BAD, 0, 0},
	{"go", NTD_SERIAL_GO, 0, 0},       {"done", NTD_SERIAL_DONE, 3, ' '},
	{"part", NTD_SERIAL_PART, 2, ','}, {"end", NTD_SERIAL_END, 0, 0},
};

/* A number of at most 9 digits. Returns the place after it; NULL: there is none. */
static const char *parse_number(const char *text, unsigned long *value)
{
	size_t digits = strspn(text, "0123456789");

	if (!digits || digits > 9)
		return NULL;
	*value = strtoul(text, NULL, 10);
	return text + digits;
}

/* Numbers to the end of the text, with the separator between them. */
static bool parse_numbers(const char *text, int count, char separator, unsigned long *values)
{
	for (int i = 0; i < count; i++) {
		if (*text++ != (i ? separator : ' '))
			return false;
		text = parse_number(text, &values[i]);
		if (!text)
			return false;
	}
	return !*text;
}

static void parse_word(const char *text, struct ntd_serial_answer *answer)
{
	size_t len = strcspn(text, " ");

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strlen(words[i].word) == len && !memcmp(text, words[i].word, len) &&
		    parse_numbers(text + len, words[i].numbers, words[i].separator, answer->values))
			answer->word = words[i].value;
	if (sscanf(text, "ready %64s %15s", answer->user, answer->encoding) == 2)
		answer->word = NTD_SERIAL_READY;
}

struct ntd_serial_answer ntd_serial_answer(const char *line, size_t len, const char *identity)
{
	struct ntd_serial_answer answer = {.word = NTD_SERIAL_NOISE};
	_cleanup_free_ char *text = ntd_strndup(line, len);
	const char *at = strstr(text, identity);
	unsigned long number;

	if (!at || *(at += strlen(identity)) != ' ' || !(at = parse_number(at + 1, &number)) ||
	    *at != ' ')
		return answer;
	answer.number = (unsigned)number;
	parse_word(at + 1, &answer);
	return answer;
}

/* ---- output */

size_t ntd_serial_line_bytes(enum ntd_serial_encoding encoding)
{
	return encoding == NTD_SERIAL_HEX ? 16 : 57;
}

size_t ntd_serial_line_length(enum ntd_serial_encoding encoding)
{
	return encoding == NTD_SERIAL_HEX ? 48 : 76;
}

static int digit_value(enum ntd_serial_encoding encoding, char c)
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char hex[] = "0123456789abcdef";
	const char *digits = encoding == NTD_SERIAL_HEX ? hex : base64;
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* od's " 61 62". */
static bool decode_hex(const char *line, size_t len, struct ntd_buf *out)
{
	for (size_t i = 0; i + 3 <= len; i += 3) {
		int high = digit_value(NTD_SERIAL_HEX, line[i + 1]);
		int low = digit_value(NTD_SERIAL_HEX, line[i + 2]);
		char byte;

		if (line[i] != ' ' || high < 0 || low < 0)
			return false;
		byte = (char)(high << 4 | low);
		ntd_buf_append(out, &byte, 1);
	}
	return len % 3 == 0;
}

static bool decode_base64(const char *line, size_t len, struct ntd_buf *out)
{
	size_t padding = len && line[len - 1] == '=' ? 1 + (len > 1 && line[len - 2] == '=') : 0;

	for (size_t i = 0; i + 4 <= len; i += 4) {
		size_t count = i + 4 == len ? 3 - padding : 3;
		unsigned quantum = 0;
		char bytes[3];

		for (size_t j = 0; j < 4; j++) {
			bool pads = i + j >= len - padding;
			int value = pads ? 0 : digit_value(NTD_SERIAL_BASE64, line[i + j]);

			if (value < 0)
				return false;
			quantum = quantum << 6 | (unsigned)value;
		}
		bytes[0] = (char)(quantum >> 16);
		bytes[1] = (char)(quantum >> 8);
		bytes[2] = (char)quantum;
		ntd_buf_append(out, bytes, count);
	}
	return len % 4 == 0;
}

bool ntd_serial_decode(enum ntd_serial_encoding encoding, const char *line, size_t len,
		       struct ntd_buf *out)
{
	size_t before = out->len;

	if (len && (encoding == NTD_SERIAL_HEX ? decode_hex(line, len, out)
					       : decode_base64(line, len, out)))
		return true;
	out->len = before;
	return false;
}

void ntd_serial_escape(struct ntd_buf *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] >= ' ' && bytes[i] <= '~' && bytes[i] != '\\')
			ntd_buf_append(out, bytes + i, 1);
		else
			ntd_buf_printf(out, "\\0%03o", (unsigned char)bytes[i]);
}
