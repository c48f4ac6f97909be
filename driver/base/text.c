/* Quoting, names and bytes as text. Any thread; nothing depends on the locale. */
#include "base/text.h"

#include <ctype.h>
#include <string.h>

/* The same in every locale: in one of Latin-1 isalnum() and isspace() would take parts of UTF-8. */
static bool is_ascii(char c)
{
	return (unsigned char)c < 0x80;
}

static bool shell_safe(char c)
{
	return is_ascii(c) && (isalnum(c) || (c && strchr("@%_-+=:,./", c)));
}

void ntd_shell_quote(struct ntd_buf *out, const char *text, size_t len)
{
	size_t safe = 0;

	while (safe < len && shell_safe(text[safe]))
		safe++;
	if (len && safe == len) {
		ntd_buf_append(out, text, len);
		return;
	}
	ntd_buf_puts(out, "'");
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\'')
			ntd_buf_puts(out, "'\"'\"'");
		else
			ntd_buf_append(out, text + i, 1);
	}
	ntd_buf_puts(out, "'");
}

char *ntd_shell_quoted(const char *text)
{
	struct ntd_buf quoted = {0};

	ntd_shell_quote(&quoted, text, strlen(text));
	return ntd_buf_take_string(&quoted);
}

char *ntd_python_name(const char *name)
{
	char *out = ntd_strdup(name);

	for (char *c = out; *c; c++) {
		bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_';
		bool digit = *c >= '0' && *c <= '9';

		if (!letter && !(digit && c != out))
			*c = '_';
	}
	return out;
}

size_t ntd_utf8_sequence(const char *bytes, size_t len)
{
	const unsigned char *b = (const unsigned char *)bytes;
	unsigned char low = 0x80,
		      high = 0xbf; /* limits of the second byte: overlong forms, surrogates */
	size_t need;

	if (!len)
		return 0;
	if (b[0] < 0x80)
		return 1;
	if (b[0] >= 0xc2 && b[0] <= 0xdf) {
		need = 2;
	} else if (b[0] >= 0xe0 && b[0] <= 0xef) {
		need = 3;
		low = b[0] == 0xe0 ? 0xa0 : low;
		high = b[0] == 0xed ? 0x9f : high;
	} else if (b[0] >= 0xf0 && b[0] <= 0xf4) {
		need = 4;
		low = b[0] == 0xf0 ? 0x90 : low;
		high = b[0] == 0xf4 ? 0x8f : high;
	} else {
		return 0;
	}
	if (len < need || b[1] < low || b[1] > high)
		return 0;
	for (size_t i = 2; i < need; i++)
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	return need;
}

char *ntd_console_text(const char *bytes, size_t len, size_t *text_len)
{
	char *out = ntd_malloc(len + 1);
	size_t used = 0;

	for (size_t i = 0; i < len;) {
		size_t step = ntd_utf8_sequence(bytes + i, len - i);

		if (step && bytes[i] != '\r') {
			memcpy(out + used, bytes + i, step);
			used += step;
		}
		i += step ? step : 1;
	}
	while (used && is_ascii(out[used - 1]) && isspace(out[used - 1]))
		used--;
	out[used] = '\0';
	*text_len = used;
	return out;
}

char *ntd_bytes_repr(const char *bytes, size_t len)
{
	static const char *const escapes[256] = {
		['\t'] = "\\t", ['\n'] = "\\n", ['\r'] = "\\r", ['\\'] = "\\\\"};
	struct ntd_buf out = {0};
	char quote = memchr(bytes, '\'', len) && !memchr(bytes, '"', len) ? '"' : '\'';

	ntd_buf_printf(&out, "b%c", quote);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (escapes[c])
			ntd_buf_puts(&out, escapes[c]);
		else if (c < 0x20 || c >= 0x7f)
			ntd_buf_printf(&out, "\\x%02x", c);
		else
			ntd_buf_printf(&out, "%s%c", c == (unsigned char)quote ? "\\" : "", c);
	}
	ntd_buf_append(&out, &quote, 1);
	return ntd_buf_take_string(&out);
}

char *ntd_shown(const char *bytes, size_t len)
{
	struct ntd_buf out = {0};
	const char *nul;

	for (; (nul = memchr(bytes, '\0', len)); bytes = nul + 1) {
		ntd_buf_append(&out, bytes, (size_t)(nul - bytes));
		ntd_buf_puts(&out, "\\0");
		len -= (size_t)(nul - bytes) + 1;
	}
	ntd_buf_append(&out, bytes, len);
	return ntd_buf_take_string(&out);
}

bool ntd_has_prefix(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

bool ntd_has_suffix(const char *text, const char *suffix)
{
	size_t len = strlen(text), tail = strlen(suffix);

	return len >= tail && !strcmp(text + len - tail, suffix);
}

const char *ntd_file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *ntd_find(const char *bytes, size_t len, const char *needle)
{
	return memmem(bytes, len, needle, strlen(needle));
}
