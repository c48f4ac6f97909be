/* Messages of D-Bus: a header of 16 bytes, an array of header fields, and a body. Every value is
 * aligned to its size, counted from the beginning of the message; a body begins at a multiple of 8.
 */
#include "agent/dbus.h"

#include <string.h>

enum { FIXED = 16 }; /* the header with the length of the array behind it */

enum field {
	FIELD_PATH = 1,
	FIELD_INTERFACE = 2,
	FIELD_MEMBER = 3,
	FIELD_REPLY_SERIAL = 5,
	FIELD_DESTINATION = 6,
	FIELD_SIGNATURE = 8,
};

/* ---- writing */

static void pad(struct ntd_buf *out, size_t alignment)
{
	while (out->len % alignment)
		ntd_buf_append(out, "", 1);
}

static void append_u32(struct ntd_buf *out, uint32_t value)
{
	const unsigned char bytes[] = {value & 255, value >> 8 & 255, value >> 16 & 255,
				       value >> 24};

	pad(out, sizeof bytes);
	ntd_buf_append(out, bytes, sizeof bytes);
}

static void append_string(struct ntd_buf *out, const char *text)
{
	append_u32(out, (uint32_t)strlen(text));
	ntd_buf_append(out, text, strlen(text) + 1);
}

static void append_field(struct ntd_buf *out, enum field field, char type, const char *text)
{
	const char start[] = {(char)field, 1, type, '\0'};

	pad(out, 8);
	ntd_buf_append(out, start, sizeof start);
	if (type == 'g') {
		const char len = (char)strlen(text);

		ntd_buf_append(out, &len, 1);
		ntd_buf_append(out, text, strlen(text) + 1);
	} else {
		append_string(out, text);
	}
}

/* The fields, which begin at a multiple of 8. */
static void append_fields(struct ntd_buf *out, const struct ntd_dbus_call *call)
{
	append_field(out, FIELD_PATH, 'o', call->path);
	append_field(out, FIELD_INTERFACE, 's', call->interface);
	append_field(out, FIELD_MEMBER, 's', call->member);
	if (call->destination)
		append_field(out, FIELD_DESTINATION, 's', call->destination);
	if (call->count) {
		_cleanup_free_ char *signature = ntd_malloc(call->count + 1);

		memset(signature, 's', call->count);
		signature[call->count] = '\0';
		append_field(out, FIELD_SIGNATURE, 'g', signature);
	}
}

void ntd_dbus_append_call(struct ntd_buf *out, uint32_t serial, const struct ntd_dbus_call *call)
{
	const char start[] = {'l', NTD_DBUS_CALL, 0, 1};
	_cleanup_buf_ struct ntd_buf message = {0}, fields = {0}, body = {0};

	append_fields(&fields, call);
	for (size_t i = 0; i < call->count; i++)
		append_string(&body, call->arguments[i]);
	ntd_buf_append(&message, start, sizeof start);
	append_u32(&message, (uint32_t)body.len);
	append_u32(&message, serial);
	append_u32(&message, (uint32_t)fields.len);
	ntd_buf_append(&message, ntd_buf_bytes(&fields), fields.len);
	pad(&message, 8);
	ntd_buf_append(&message, ntd_buf_bytes(&body), body.len);
	ntd_buf_append(out, ntd_buf_bytes(&message), message.len);
}

/* ---- reading */

/* `len` bytes, of which `at` have been read; alignment counts from the first. */
struct reader {
	const char *bytes;
	size_t len, at;
};

static bool skip(struct reader *reader, size_t count)
{
	if (count > reader->len - reader->at)
		return false;
	reader->at += count;
	return true;
}

static bool align(struct reader *reader, size_t alignment)
{
	return skip(reader, (alignment - reader->at % alignment) % alignment);
}

static bool read_u8(struct reader *reader, uint8_t *value)
{
	*value = 0;
	if (reader->at < reader->len)
		*value = (uint8_t)reader->bytes[reader->at];
	return skip(reader, 1);
}

static bool read_u32(struct reader *reader, uint32_t *value)
{
	const unsigned char *bytes;

	*value = 0;
	if (!align(reader, 4) || !skip(reader, 4))
		return false;
	bytes = (const unsigned char *)reader->bytes + reader->at - 4;
	*value = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
		 (uint32_t)bytes[3] << 24;
	return true;
}

/* Text with the NUL that must follow it. */
static bool read_text(struct reader *reader, size_t len, struct ntd_dbus_text *text)
{
	*text = (struct ntd_dbus_text){.bytes = reader->bytes + reader->at, .len = len};
	return skip(reader, len) && skip(reader, 1) && !text->bytes[len];
}

static bool read_string(struct reader *reader, struct ntd_dbus_text *text)
{
	uint32_t len;

	return read_u32(reader, &len) && read_text(reader, len, text);
}

static bool read_signature(struct reader *reader, struct ntd_dbus_text *text)
{
	uint8_t len;

	return read_u8(reader, &len) && read_text(reader, len, text);
}

static struct ntd_dbus_text *place_of(struct ntd_dbus_message *message, uint8_t field)
{
	switch (field) {
	case FIELD_PATH:
		return &message->path;
	case FIELD_INTERFACE:
		return &message->interface;
	case FIELD_MEMBER:
		return &message->member;
	case FIELD_SIGNATURE:
		return &message->signature;
	default:
		return NULL;
	}
}

/* A field of an unknown number has one of the types of the known ones. */
static bool read_field(struct reader *reader, struct ntd_dbus_message *message)
{
	struct ntd_dbus_text type, text = {0}, *place;
	uint32_t number;
	uint8_t field;

	if (!align(reader, 8) || !read_u8(reader, &field) || !read_signature(reader, &type))
		return false;
	if (ntd_dbus_is(type, "u")) {
		if (field == FIELD_REPLY_SERIAL)
			return read_u32(reader, &message->reply_serial);
		return read_u32(reader, &number);
	}
	if (ntd_dbus_is(type, "g") ? !read_signature(reader, &text)
				   : !(ntd_dbus_is(type, "s") || ntd_dbus_is(type, "o")) ||
					     !read_string(reader, &text))
		return false;
	place = place_of(message, field);
	if (place)
		*place = text;
	return true;
}

static bool read_fields(const char *bytes, size_t end, struct ntd_dbus_message *message)
{
	struct reader fields = {.bytes = bytes, .len = end, .at = FIXED};

	while (fields.at < end)
		if (!read_field(&fields, message))
			return false;
	return true;
}

enum ntd_dbus_verdict ntd_dbus_take(const char *bytes, size_t len, struct ntd_dbus_message *message,
				    size_t *taken)
{
	struct reader header = {.bytes = bytes, .len = len < FIXED ? len : FIXED, .at = 4};
	uint32_t body, fields;
	size_t start;

	*message = (struct ntd_dbus_message){0};
	if (len && bytes[0] != 'l')
		return NTD_DBUS_BROKEN;
	if (len < FIXED)
		return NTD_DBUS_PARTIAL;
	message->type = (uint8_t)bytes[1];
	if (!read_u32(&header, &body) || !read_u32(&header, &message->serial) ||
	    !read_u32(&header, &fields) || body > NTD_DBUS_MOST || fields > NTD_DBUS_MOST)
		return NTD_DBUS_BROKEN;
	start = (FIXED + (size_t)fields + 7) / 8 * 8;
	*taken = start + body;
	if (len < *taken)
		return NTD_DBUS_PARTIAL;
	message->body = bytes + start;
	message->len = body;
	return read_fields(bytes, FIXED + fields, message) ? NTD_DBUS_WHOLE : NTD_DBUS_BROKEN;
}

/* ---- the body */

static struct reader reader_of(const struct ntd_dbus_message *message)
{
	return (struct reader){.bytes = message->body, .len = message->len, .at = message->at};
}

bool ntd_dbus_u32(struct ntd_dbus_message *message, uint32_t *value)
{
	struct reader reader = reader_of(message);
	bool there = read_u32(&reader, value);

	message->at = reader.at;
	return there;
}

bool ntd_dbus_u64(struct ntd_dbus_message *message, uint64_t *value)
{
	struct reader reader = reader_of(message);
	uint32_t low = 0, high = 0;
	bool there = align(&reader, 8) && read_u32(&reader, &low) && read_u32(&reader, &high);

	*value = (uint64_t)high << 32 | low;
	message->at = reader.at;
	return there;
}

bool ntd_dbus_string(struct ntd_dbus_message *message, struct ntd_dbus_text *text)
{
	struct reader reader = reader_of(message);
	bool there = read_string(&reader, text);

	message->at = reader.at;
	return there;
}

bool ntd_dbus_variant(struct ntd_dbus_message *message, struct ntd_dbus_text *signature)
{
	struct reader reader = reader_of(message);
	bool there = read_signature(&reader, signature);

	/* A structure is aligned like its largest value may be. */
	if (there && signature->len && signature->bytes[0] == '(')
		there = align(&reader, 8);
	message->at = reader.at;
	return there;
}

bool ntd_dbus_is(struct ntd_dbus_text text, const char *string)
{
	return text.len == strlen(string) &&
	       !memcmp(text.bytes ? text.bytes : "", string, text.len);
}

/* ---- systemd */

/* Every byte but letters and digits is written _xx, and so is a digit at the beginning. */
char *ntd_dbus_unit_path(const char *unit)
{
	static const char digits[] = "0123456789abcdef";
	struct ntd_buf path = {0};

	ntd_buf_puts(&path, "/org/freedesktop/systemd1/unit/");
	for (const char *c = unit; *c; c++) {
		unsigned char byte = (unsigned char)*c;
		bool digit = byte >= '0' && byte <= '9';
		bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
		const char escaped[] = {'_', digits[byte >> 4], digits[byte & 15]};

		if (letter || (digit && c > unit))
			ntd_buf_append(&path, c, 1);
		else
			ntd_buf_append(&path, escaped, sizeof escaped);
	}
	return ntd_buf_take_string(&path);
}
