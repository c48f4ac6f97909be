/* The table of `info usernet`. Its rows for forwarded ports are
 *
 *   TCP[HOST_FORWARD]  12       127.0.0.1 41233       10.0.2.15    22     0     0
 *
 * that is: protocol, descriptor, the host's address and port, the guest's address and port, and the
 * bytes that wait. The address is `*` when QEMU listens on all addresses. QEMU is asked by QMP, but
 * the rows are QEMU's, which a start script chooses: they are read as untrusted text.
 */
#include "qemu/user_network.h"

#include <stdbool.h>
#include <string.h>

enum { HIGHEST_PORT = 65535 };

/* A part of the table. */
struct span {
	const char *bytes;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next line off the front; false: there is none. */
static bool take_line(struct span *table, struct span *line)
{
	const char *end;

	if (!table->len)
		return false;
	end = memchr(table->bytes, '\n', table->len);
	*line = (struct span){table->bytes, end ? (size_t)(end - table->bytes) : table->len};
	table->bytes += line->len;
	table->len -= line->len;
	if (end) {
		table->bytes++;
		table->len--;
	}
	return true;
}

/* Takes the next word off the front of a line; it is empty when the line has no more. */
static struct span take_word(struct span *line)
{
	struct span word;

	while (line->len && is_blank(*line->bytes)) {
		line->bytes++;
		line->len--;
	}
	word = (struct span){line->bytes, 0};
	while (line->len && !is_blank(*line->bytes)) {
		word.len++;
		line->bytes++;
		line->len--;
	}
	return word;
}

static bool is_word(struct span word, const char *text)
{
	return word.len == strlen(text) && !memcmp(word.bytes, text, word.len);
}

/* 0: the word is no port. */
static unsigned port_of(struct span word)
{
	unsigned port = 0;

	for (size_t i = 0; i < word.len; i++) {
		if (word.bytes[i] < '0' || word.bytes[i] > '9')
			return 0;
		port = port * 10 + (unsigned)(word.bytes[i] - '0');
		if (port > HIGHEST_PORT)
			return 0;
	}
	return port;
}

static unsigned port_of_line(struct span line, unsigned guest_port)
{
	struct span address;
	unsigned port;

	if (!is_word(take_word(&line), "TCP[HOST_FORWARD]"))
		return 0;
	take_word(&line);
	address = take_word(&line);
	if (!is_word(address, "127.0.0.1") && !is_word(address, "*"))
		return 0;
	port = port_of(take_word(&line));
	take_word(&line);
	return port_of(take_word(&line)) == guest_port ? port : 0;
}

unsigned ntd_user_network_port(const char *table, size_t len, unsigned guest_port)
{
	struct span rest = {table, len}, line;
	unsigned port = 0;

	while (!port && take_line(&rest, &line))
		port = port_of_line(line, guest_port);
	return port;
}
