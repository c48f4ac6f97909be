/* Fuzzes the agent's reader of D-Bus: messages in pieces, and the values that a caller may try to
 * read from their bodies.
 */
#include "pieces.h"

#include "agent/dbus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
	struct ntd_buf in;
	bool broken;
};

/* Texts must lie within the message, which the sanitizer notices. */
static void write_text(struct ntd_buf *transcript, struct ntd_dbus_text text)
{
	ntd_buf_printf(transcript, "%zu:", text.len);
	if (text.len)
		ntd_buf_append(transcript, text.bytes, text.len);
}

static void read_values(struct ntd_dbus_message message, struct ntd_buf *transcript)
{
	struct ntd_dbus_text text;
	uint32_t number;
	uint64_t big;

	for (;;) {
		size_t before = message.at;

		if (ntd_dbus_variant(&message, &text))
			write_text(transcript, text);
		if (ntd_dbus_u32(&message, &number))
			ntd_buf_printf(transcript, "%u", number);
		if (ntd_dbus_u64(&message, &big))
			ntd_buf_printf(transcript, "%llu", (unsigned long long)big);
		if (ntd_dbus_string(&message, &text))
			write_text(transcript, text);
		require(message.at <= message.len);
		if (message.at == before)
			return;
	}
}

static void take(struct reader *reader, struct ntd_buf *transcript)
{
	while (!reader->broken) {
		/* An exact copy, so that the sanitizer notices reads past its end. */
		_cleanup_free_ char *bytes = ntd_malloc(reader->in.len + 1);
		char *exact = bytes + 1;
		struct ntd_dbus_message message;
		enum ntd_dbus_verdict verdict;
		size_t taken = 0;

		memcpy(exact, ntd_buf_bytes(&reader->in), reader->in.len);
		verdict = ntd_dbus_take(exact, reader->in.len, &message, &taken);
		if (verdict == NTD_DBUS_PARTIAL)
			return;
		reader->broken = verdict == NTD_DBUS_BROKEN;
		ntd_buf_printf(transcript, "[%d %u %u", verdict, message.type,
			       message.reply_serial);
		if (reader->broken)
			return;
		require(taken <= reader->in.len);
		write_text(transcript, message.path);
		write_text(transcript, message.interface);
		write_text(transcript, message.member);
		write_text(transcript, message.signature);
		read_values(message, transcript);
		ntd_buf_consume(&reader->in, taken);
	}
}

static void feed(void *parser, const uint8_t *data, size_t size, struct ntd_buf *transcript)
{
	struct reader *reader = parser;

	ntd_buf_append(&reader->in, data, size);
	take(reader, transcript);
}

static void run(const uint8_t *data, size_t size, unsigned random, struct ntd_buf *transcript)
{
	struct reader reader = {0};

	feed_pieces(data, size, random, feed, &reader, transcript);
	ntd_buf_free(&reader.in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	require_same(data, size, size ? data[size - 1] : 0, run);
	return 0;
}
