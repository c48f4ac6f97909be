/* Frames, and the values that their payloads are made of. Both sides; any thread. */
#include "agent/frame.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

enum { AT_LENGTH = 0, AT_STREAM = 4, AT_KIND = 8, AT_ZEROS = 9, AT_SUM = 12 };

static void store(char *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof value);
}

static uint32_t load(const char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof value);
	return le32toh(value);
}

/* ---- the checksum */

/* The two sums of Fletcher's checksum, over words of 32 bits. No sum overflows for the words of a
 * frame. */
struct sums {
	uint64_t words, sums;
};

static void add(struct sums *sums, uint32_t word)
{
	sums->words += word;
	sums->sums += sums->words;
}

static void add_bytes(struct sums *sums, const char *bytes, size_t len)
{
	char rest[sizeof(uint32_t)] = {0};

	for (; len >= sizeof rest; bytes += sizeof rest, len -= sizeof rest)
		add(sums, load(bytes));
	if (len) {
		memcpy(rest, bytes, len);
		add(sums, load(rest));
	}
}

static uint32_t fold(uint64_t sum)
{
	return (uint32_t)(sum % UINT32_MAX);
}

static uint32_t checksum(const char header[static NTD_FRAME_HEADER], const char *bytes, size_t len)
{
	/* A frame of zeros has another checksum than zero. */
	struct sums sums = {.words = 1};
	uint32_t high;

	add_bytes(&sums, header, AT_SUM);
	add_bytes(&sums, bytes, len);
	high = fold(sums.sums);
	return fold(sums.words) ^ (high << 16 | high >> 16);
}

/* ---- frames */

void ntd_frame_header(char header[static NTD_FRAME_HEADER], const struct ntd_frame *frame)
{
	assert(frame->len <= NTD_FRAME_MOST);
	memset(header, 0, NTD_FRAME_HEADER);
	store(header + AT_LENGTH, (uint32_t)frame->len);
	store(header + AT_STREAM, frame->stream);
	header[AT_KIND] = (char)frame->kind;
	store(header + AT_SUM, checksum(header, frame->bytes, frame->len));
}

void ntd_frame_append(struct ntd_buf *out, const struct ntd_frame *frame)
{
	char header[NTD_FRAME_HEADER];

	ntd_frame_header(header, frame);
	ntd_buf_append(out, header, sizeof header);
	ntd_buf_append(out, frame->bytes, frame->len);
}

static bool is_kind(uint8_t kind)
{
	return (kind >= NTD_FRAME_RUN && kind <= NTD_FRAME_CANCEL) ||
	       (kind >= NTD_FRAME_DATA && kind <= NTD_FRAME_CREDIT) ||
	       (kind >= NTD_FRAME_HELLO && kind <= NTD_FRAME_FAILED);
}

static bool can_be_header(const char *header)
{
	return load(header + AT_LENGTH) <= NTD_FRAME_MOST && is_kind((uint8_t)header[AT_KIND]) &&
	       !memcmp(header + AT_ZEROS, "\0\0", AT_SUM - AT_ZEROS);
}

enum ntd_frame_verdict ntd_frame_take(const struct ntd_buf *in, struct ntd_frame *frame)
{
	const char *header = ntd_buf_bytes(in);

	if (in->len < NTD_FRAME_HEADER)
		return NTD_FRAME_PARTIAL;
	if (!can_be_header(header))
		return NTD_FRAME_BROKEN;
	*frame = (struct ntd_frame){.stream = load(header + AT_STREAM),
				    .kind = (uint8_t)header[AT_KIND],
				    .bytes = header + NTD_FRAME_HEADER,
				    .len = load(header + AT_LENGTH)};
	if (in->len - NTD_FRAME_HEADER < frame->len)
		return NTD_FRAME_PARTIAL;
	return checksum(header, frame->bytes, frame->len) == load(header + AT_SUM)
		       ? NTD_FRAME_WHOLE
		       : NTD_FRAME_BROKEN;
}

/* ---- values of payloads */

void ntd_pack_u8(struct ntd_buf *out, uint8_t value)
{
	ntd_buf_append(out, &value, sizeof value);
}

void ntd_pack_u32(struct ntd_buf *out, uint32_t value)
{
	value = htole32(value);
	ntd_buf_append(out, &value, sizeof value);
}

void ntd_pack_u64(struct ntd_buf *out, uint64_t value)
{
	value = htole64(value);
	ntd_buf_append(out, &value, sizeof value);
}

void ntd_pack_bytes(struct ntd_buf *out, const char *bytes, size_t len)
{
	ntd_pack_u32(out, (uint32_t)len);
	ntd_buf_append(out, bytes, len);
}

void ntd_pack_text(struct ntd_buf *out, const char *text)
{
	ntd_pack_bytes(out, text, strlen(text));
}

/* The next `len` bytes; NULL: they are not there. */
static const char *take(struct ntd_unpack *in, size_t len)
{
	const char *bytes = in->at;

	in->bad = in->bad || len > in->left;
	if (in->bad)
		return NULL;
	in->at += len;
	in->left -= len;
	return bytes;
}

/* Copies the next `len` bytes to `value`, or leaves it as it is. */
static void take_value(struct ntd_unpack *in, void *value, size_t len)
{
	const char *bytes = take(in, len);

	if (bytes)
		memcpy(value, bytes, len);
}

uint8_t ntd_unpack_u8(struct ntd_unpack *in)
{
	uint8_t value = 0;

	take_value(in, &value, sizeof value);
	return value;
}

uint32_t ntd_unpack_u32(struct ntd_unpack *in)
{
	uint32_t value = 0;

	take_value(in, &value, sizeof value);
	return le32toh(value);
}

uint64_t ntd_unpack_u64(struct ntd_unpack *in)
{
	uint64_t value = 0;

	take_value(in, &value, sizeof value);
	return le64toh(value);
}

const char *ntd_unpack_bytes(struct ntd_unpack *in, size_t *len)
{
	const char *bytes;

	*len = ntd_unpack_u32(in);
	bytes = take(in, *len);
	if (!bytes)
		*len = 0;
	return bytes ? bytes : "";
}

char *ntd_unpack_text(struct ntd_unpack *in)
{
	size_t len;
	const char *bytes = ntd_unpack_bytes(in, &len);

	in->bad = in->bad || memchr(bytes, '\0', len);
	return in->bad ? NULL : ntd_strndup(bytes, len);
}

bool ntd_unpack_is_whole(const struct ntd_unpack *in)
{
	return !in->bad && !in->left;
}

/* ---- the agent's first frame */

void ntd_agent_hello_pack(struct ntd_buf *out, const struct ntd_agent_hello *hello)
{
	ntd_pack_u32(out, hello->version);
	ntd_pack_u32(out, hello->pid);
}

bool ntd_agent_hello_unpack(const char *payload, size_t len, struct ntd_agent_hello *hello)
{
	struct ntd_unpack in = {.at = payload, .left = len};

	hello->version = ntd_unpack_u32(&in);
	hello->pid = ntd_unpack_u32(&in);
	return ntd_unpack_is_whole(&in);
}
