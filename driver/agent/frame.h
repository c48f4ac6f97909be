/* Frames: how the driver and the agent, a program in the guest, speak on a data port. Both sides
 * compile this file. The functions are pure; any thread.
 *
 * A frame is a header of 16 bytes, numbers in little endian, and a payload:
 *
 *   0  uint32  length of the payload, at most NTD_FRAME_MOST
 *   4  uint32  number of the stream; 0: the connection itself
 *   8  uint8   kind, enum ntd_frame_kind
 *   9  uint8   0, three times
 *   12 uint32  checksum of the first 12 bytes and the payload
 *
 * The checksum is Fletcher's with words of 32 bits, which costs two additions a word: for 20 MB 4
 * ms where the code runs natively, 0.1 s in a guest that is emulated.
 *
 * The data port loses nothing, so a wrong checksum or a header that cannot be means that something
 * else in the guest writes to the port: the connection ends, and the commands of the connection
 * with an error.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { NTD_FRAME_HEADER = 16, NTD_FRAME_MOST = 64 << 10 };

/* A stream begins with a frame of the driver's whose kind says what is asked for: RUN, AWAIT, PUT,
 * GET, COPY, REFRESH or MOUNT. It ends with DONE or FAILED of the agent; frames for a stream that
 * has ended are ignored. The driver never uses the number of a stream again. */
enum ntd_frame_kind {
	/* Of the driver. */
	NTD_FRAME_RUN = 1, /* a command: agent/command.h */
	NTD_FRAME_AWAIT,   /* a condition: agent/condition.h */
	NTD_FRAME_PUT,     /* files for the guest: agent/files.h */
	NTD_FRAME_GET,     /* files of the guest: agent/files.h */
	NTD_FRAME_COPY,    /* a file of the guest to another place in it: agent/copy_file.h */
	NTD_FRAME_REFRESH, /* the time and random numbers: agent/refresh.h */
	NTD_FRAME_MOUNT,   /* shares of the host: agent/mount.h */
	NTD_FRAME_CANCEL,  /* nobody waits for the stream any more: end it, answer DONE or FAILED */

	/* Of both. */
	NTD_FRAME_DATA = 16, /* bytes: input, output, or the contents of files */
	/* No more DATA follows in this direction. Of the agent on stream 0: it ends, and streams
	 * that it has not ended have not begun. */
	NTD_FRAME_END,
	NTD_FRAME_CREDIT, /* uint32: so many bytes of DATA have been used; see below */

	/* Of the agent. */
	NTD_FRAME_HELLO = 32, /* stream 0, the first frame: struct ntd_agent_hello */
	NTD_FRAME_ERROR_DATA, /* bytes of standard error */
	NTD_FRAME_ITEM,       /* something that the kind of stream defines */
	NTD_FRAME_DONE,       /* the end; the payload depends on how the stream began */
	NTD_FRAME_FAILED,     /* the end: a text that says why it could not be done */
};

/* Flow control. The driver sends at most NTD_FRAME_WINDOW bytes of DATA of a stream that the agent
 * has not given credit for, so the agent never has to hold more. The agent needs no credit: the
 * driver always reads the port, and QEMU makes the agent wait when it is late. */
enum { NTD_FRAME_WINDOW = 256 << 10 };

struct ntd_frame {
	uint32_t stream;
	uint8_t kind;
	const char *bytes;
	size_t len;
};

enum ntd_frame_verdict {
	NTD_FRAME_PARTIAL, /* more bytes are needed */
	NTD_FRAME_WHOLE,
	NTD_FRAME_BROKEN, /* not a frame */
};

/* Appends a frame. Its payload must not be longer than NTD_FRAME_MOST. */
void ntd_frame_append(struct ntd_buf *out, const struct ntd_frame *frame);
/* Writes the header of a frame whose payload the caller sends by itself. */
void ntd_frame_header(char header[static NTD_FRAME_HEADER], const struct ntd_frame *frame);
/* Looks at the first frame of `in`. A whole one is described by `frame`, whose bytes stay in `in`
 * until the caller consumes NTD_FRAME_HEADER and its length. */
enum ntd_frame_verdict ntd_frame_take(const struct ntd_buf *in, struct ntd_frame *frame);

/* ---- what payloads are made of */

void ntd_pack_u8(struct ntd_buf *out, uint8_t value);
void ntd_pack_u32(struct ntd_buf *out, uint32_t value);
void ntd_pack_u64(struct ntd_buf *out, uint64_t value);
/* A uint32 with the length, and the bytes. */
void ntd_pack_bytes(struct ntd_buf *out, const char *bytes, size_t len);
void ntd_pack_text(struct ntd_buf *out, const char *text);

/* Reads a payload from its front. After a value that is not there or too long, `bad` is set, and
 * all values are 0 or empty. */
struct ntd_unpack {
	const char *at;
	size_t left;
	bool bad;
};

uint8_t ntd_unpack_u8(struct ntd_unpack *in);
uint32_t ntd_unpack_u32(struct ntd_unpack *in);
uint64_t ntd_unpack_u64(struct ntd_unpack *in);
/* The bytes stay in the payload. */
const char *ntd_unpack_bytes(struct ntd_unpack *in, size_t *len);
/* A new string; NULL: `bad`, or the bytes have a NUL among them. */
char *ntd_unpack_text(struct ntd_unpack *in);
/* Whether all was read and nothing was wrong. */
bool ntd_unpack_is_whole(const struct ntd_unpack *in);

/* ---- the payload of HELLO */

enum { NTD_AGENT_VERSION = 2 };

struct ntd_agent_hello {
	uint32_t version; /* NTD_AGENT_VERSION */
	uint32_t pid;     /* of the agent, in the guest */
};

void ntd_agent_hello_pack(struct ntd_buf *out, const struct ntd_agent_hello *hello);
/* Whether the payload is one of HELLO. */
bool ntd_agent_hello_unpack(const char *payload, size_t len, struct ntd_agent_hello *hello);
