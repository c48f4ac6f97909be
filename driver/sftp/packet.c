/* Encoding and decoding of SFTP's packets; pure, and fuzzed by way of the client and of the agent's
 * server, which is a small program: this file uses base/buf alone. */
#include "sftp/packet.h"

#include <endian.h>
#include <limits.h>
#include <string.h>

/* ---- writing */

void ntd_sftp_put_u32(struct ntd_buf *out, uint32_t number)
{
	uint32_t bytes = htobe32(number);

	ntd_buf_append(out, &bytes, sizeof bytes);
}

void ntd_sftp_put_u64(struct ntd_buf *out, uint64_t number)
{
	uint64_t bytes = htobe64(number);

	ntd_buf_append(out, &bytes, sizeof bytes);
}

void ntd_sftp_put_string(struct ntd_buf *out, const void *bytes, size_t len)
{
	ntd_sftp_put_u32(out, (uint32_t)len);
	ntd_buf_append(out, bytes, len);
}

void ntd_sftp_put_attrs(struct ntd_buf *out, const struct ntd_sftp_attrs *attrs)
{
	ntd_sftp_put_u32(out, attrs->flags & ~(uint32_t)NTD_SFTP_HAS_OWNER);
	if (attrs->flags & NTD_SFTP_HAS_SIZE)
		ntd_sftp_put_u64(out, attrs->size);
	if (attrs->flags & NTD_SFTP_HAS_MODE)
		ntd_sftp_put_u32(out, attrs->mode);
	if (attrs->flags & NTD_SFTP_HAS_TIMES) {
		ntd_sftp_put_u32(out, attrs->atime);
		ntd_sftp_put_u32(out, attrs->mtime);
	}
}

size_t ntd_sftp_put_begin(struct ntd_buf *out, enum ntd_sftp_type type, uint32_t number)
{
	size_t begun = out->len;
	char byte = (char)type;

	ntd_sftp_put_u32(out, 0);
	ntd_buf_append(out, &byte, 1);
	ntd_sftp_put_u32(out, number);
	return begun;
}

void ntd_sftp_put_end(struct ntd_buf *out, size_t begun)
{
	uint32_t length = htobe32((uint32_t)(out->len - begun - sizeof length));

	memcpy(ntd_buf_bytes(out) + begun, &length, sizeof length);
}

/* ---- reading */

static bool take(struct ntd_sftp_reader *reader, void *to, size_t len)
{
	memset(to, 0, len);
	if (reader->bad || reader->left < len) {
		reader->bad = true;
		return false;
	}
	memcpy(to, reader->at, len);
	reader->at += len;
	reader->left -= len;
	return true;
}

uint32_t ntd_sftp_get_u32(struct ntd_sftp_reader *reader)
{
	uint32_t bytes;

	take(reader, &bytes, sizeof bytes);
	return be32toh(bytes);
}

uint64_t ntd_sftp_get_u64(struct ntd_sftp_reader *reader)
{
	uint64_t bytes;

	take(reader, &bytes, sizeof bytes);
	return be64toh(bytes);
}

struct ntd_sftp_string ntd_sftp_get_string(struct ntd_sftp_reader *reader)
{
	uint32_t len = ntd_sftp_get_u32(reader);
	struct ntd_sftp_string string = {(const char *)reader->at, len};

	if (reader->bad || len > reader->left) {
		reader->bad = true;
		return (struct ntd_sftp_string){"", 0};
	}
	reader->at += len;
	reader->left -= len;
	return string;
}

struct ntd_sftp_attrs ntd_sftp_get_attrs(struct ntd_sftp_reader *reader)
{
	static const uint32_t EXTENDED = 0x80000000;
	struct ntd_sftp_attrs attrs = {.flags = ntd_sftp_get_u32(reader)};

	if (attrs.flags & NTD_SFTP_HAS_SIZE)
		attrs.size = ntd_sftp_get_u64(reader);
	if (attrs.flags & NTD_SFTP_HAS_OWNER)
		ntd_sftp_get_u64(reader); /* the numbers of user and group */
	if (attrs.flags & NTD_SFTP_HAS_MODE)
		attrs.mode = ntd_sftp_get_u32(reader);
	if (attrs.flags & NTD_SFTP_HAS_TIMES) {
		attrs.atime = ntd_sftp_get_u32(reader);
		attrs.mtime = ntd_sftp_get_u32(reader);
	}
	if (attrs.flags & EXTENDED)
		for (uint32_t pairs = ntd_sftp_get_u32(reader); pairs && !reader->bad; pairs--) {
			ntd_sftp_get_string(reader);
			ntd_sftp_get_string(reader);
		}
	return attrs;
}

ssize_t ntd_sftp_first_packet(const char *bytes, size_t len, struct ntd_sftp_reader *packet)
{
	struct ntd_sftp_reader reader = {(const unsigned char *)bytes, len, false};
	uint32_t length = ntd_sftp_get_u32(&reader);

	if (reader.bad)
		return 0;
	if (length == 0 || length > NTD_SFTP_PACKET_LIMIT)
		return -1;
	if (reader.left < length)
		return 0;
	*packet = (struct ntd_sftp_reader){reader.at, length, false};
	return (ssize_t)(sizeof length + length);
}

static uint8_t get_type(struct ntd_sftp_reader *packet)
{
	uint8_t type;

	take(packet, &type, sizeof type);
	return type;
}

static bool is(struct ntd_sftp_string string, const char *text)
{
	return string.len == strlen(text) && memcmp(string.bytes, text, string.len) == 0;
}

int ntd_sftp_read_version(struct ntd_sftp_reader packet, struct ntd_sftp_offer *offer)
{
	uint8_t type = get_type(&packet);

	*offer = (struct ntd_sftp_offer){.version = ntd_sftp_get_u32(&packet)};
	while (packet.left && !packet.bad) {
		struct ntd_sftp_string name = ntd_sftp_get_string(&packet);
		struct ntd_sftp_string data = ntd_sftp_get_string(&packet);

		offer->posix_rename |= is(name, "posix-rename@openssh.com") && is(data, "1");
		offer->limits |= is(name, "limits@openssh.com") && is(data, "1");
		offer->statvfs |= is(name, "statvfs@openssh.com") && is(data, "2");
		offer->seek |= is(name, NTD_SFTP_SEEK) && is(data, "1");
	}
	return type == NTD_SFTP_VERSION && !packet.bad ? 0 : -1;
}

/* Each name takes two lengths and the flags of its attributes at least, so a count that cannot be
 * is found before any name is looked at. */
static bool read_names(struct ntd_sftp_reader *packet, struct ntd_sftp_answer *answer)
{
	answer->count = ntd_sftp_get_u32(packet);
	answer->rest = *packet;
	return answer->count <= packet->left / 12;
}

int ntd_sftp_read_answer(struct ntd_sftp_reader packet, struct ntd_sftp_answer *answer)
{
	bool good = true;

	*answer = (struct ntd_sftp_answer){.type = get_type(&packet), .text = {"", 0}};
	answer->id = ntd_sftp_get_u32(&packet);
	switch ((int)answer->type) {
	case NTD_SFTP_STATUS:
		answer->code = ntd_sftp_get_u32(&packet);
		if (packet.left) /* servers of older versions send no message */
			answer->text = ntd_sftp_get_string(&packet);
		break;
	case NTD_SFTP_HANDLE:
		answer->text = ntd_sftp_get_string(&packet);
		good = answer->text.len <= NTD_SFTP_HANDLE_LIMIT;
		break;
	case NTD_SFTP_DATA:
		answer->text = ntd_sftp_get_string(&packet);
		break;
	case NTD_SFTP_NAME:
		good = read_names(&packet, answer);
		break;
	case NTD_SFTP_ATTRS:
		answer->attrs = ntd_sftp_get_attrs(&packet);
		break;
	case NTD_SFTP_EXTENDED_REPLY:
		answer->rest = packet;
		break;
	default:
		good = false;
	}
	return good && !packet.bad ? 0 : -1;
}

int ntd_sftp_next_name(struct ntd_sftp_reader *names, uint32_t *count, struct ntd_sftp_string *name,
		       struct ntd_sftp_attrs *attrs)
{
	if (*count == 0)
		return 0;
	--*count;
	*name = ntd_sftp_get_string(names);
	ntd_sftp_get_string(names); /* the line of "ls -l" */
	*attrs = ntd_sftp_get_attrs(names);
	return names->bad ? -1 : 1;
}

bool ntd_sftp_is_dots(struct ntd_sftp_string name)
{
	return is(name, ".") || is(name, "..");
}

bool ntd_sftp_is_name(struct ntd_sftp_string name)
{
	return name.len > 0 && name.len <= NAME_MAX && !ntd_sftp_is_dots(name) &&
	       !memchr(name.bytes, '/', name.len) && !memchr(name.bytes, 0, name.len);
}
