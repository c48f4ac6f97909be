/* The packets of SFTP, version 3: pure functions that write requests into a buffer and take answers
 * apart. No byte of an answer is trusted: reading past the end gives zeros and marks the reader as
 * bad, and strings point into the packet, which the caller keeps.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum ntd_sftp_type {
	NTD_SFTP_INIT = 1,
	NTD_SFTP_VERSION = 2,
	NTD_SFTP_OPEN = 3,
	NTD_SFTP_CLOSE = 4,
	NTD_SFTP_READ = 5,
	NTD_SFTP_WRITE = 6,
	NTD_SFTP_LSTAT = 7,
	NTD_SFTP_SETSTAT = 9,
	NTD_SFTP_FSETSTAT = 10,
	NTD_SFTP_OPENDIR = 11,
	NTD_SFTP_READDIR = 12,
	NTD_SFTP_REMOVE = 13,
	NTD_SFTP_MKDIR = 14,
	NTD_SFTP_RMDIR = 15,
	NTD_SFTP_REALPATH = 16,
	NTD_SFTP_STAT = 17,
	NTD_SFTP_RENAME = 18,
	NTD_SFTP_READLINK = 19,
	NTD_SFTP_SYMLINK = 20,
	NTD_SFTP_STATUS = 101,
	NTD_SFTP_HANDLE = 102,
	NTD_SFTP_DATA = 103,
	NTD_SFTP_NAME = 104,
	NTD_SFTP_ATTRS = 105,
	NTD_SFTP_EXTENDED = 200,
	NTD_SFTP_EXTENDED_REPLY = 201,
};

enum ntd_sftp_code {
	NTD_SFTP_OK,
	NTD_SFTP_EOF,
	NTD_SFTP_NO_SUCH_FILE,
	NTD_SFTP_PERMISSION_DENIED,
	NTD_SFTP_FAILURE,
	NTD_SFTP_BAD_MESSAGE,
	NTD_SFTP_NO_CONNECTION,
	NTD_SFTP_CONNECTION_LOST,
	NTD_SFTP_UNSUPPORTED,
};

/* An extension of the agent's server (agent/files.h): SEEK with a handle and an offset. The answer
 * is two numbers, where the next data begins and where it ends. */
#define NTD_SFTP_SEEK "seek-data@nixos-test-driver"
/* The names of what is half written begin so. */
#define NTD_SFTP_TEMPORARY ".ntd-"

enum {
	NTD_SFTP_PACKET_LIMIT = (256 << 10) + 1024, /* a packet without its length */
	NTD_SFTP_HANDLE_LIMIT = 256,
};

/* What OPEN may do, and which attributes are there. */
enum { NTD_SFTP_OPEN_READ = 1, NTD_SFTP_OPEN_WRITE = 2, NTD_SFTP_OPEN_NEW = 0x08 | 0x20 };
enum {
	NTD_SFTP_HAS_SIZE = 1,
	NTD_SFTP_HAS_OWNER = 2,
	NTD_SFTP_HAS_MODE = 4,
	NTD_SFTP_HAS_TIMES = 8
};

struct ntd_sftp_attrs {
	uint32_t flags; /* NTD_SFTP_HAS_…; a member that is not there is 0 */
	uint64_t size;
	uint32_t mode; /* as st_mode, with the file's type */
	uint32_t atime, mtime;
};

struct ntd_sftp_string {
	const char *bytes;
	size_t len;
};

/* ---- writing */

void ntd_sftp_put_u32(struct ntd_buf *out, uint32_t number);
void ntd_sftp_put_u64(struct ntd_buf *out, uint64_t number);
void ntd_sftp_put_string(struct ntd_buf *out, const void *bytes, size_t len);
void ntd_sftp_put_attrs(struct ntd_buf *out, const struct ntd_sftp_attrs *attrs);
/* Begins a packet, and ends it when its other parts have been appended: `begun` is the result of
 * the first. Nothing may be consumed from the buffer in between. */
size_t ntd_sftp_put_begin(struct ntd_buf *out, enum ntd_sftp_type type, uint32_t number);
void ntd_sftp_put_end(struct ntd_buf *out, size_t begun);

/* ---- reading */

struct ntd_sftp_reader {
	const unsigned char *at;
	size_t left;
	bool bad; /* something was missing */
};

/* The first packet among `len` bytes, without its length. Returns the number of bytes that it takes
 * with its length; 0: it is not whole yet; -1: it is too long or empty. */
ssize_t ntd_sftp_first_packet(const char *bytes, size_t len, struct ntd_sftp_reader *packet);
uint32_t ntd_sftp_get_u32(struct ntd_sftp_reader *reader);
uint64_t ntd_sftp_get_u64(struct ntd_sftp_reader *reader);
struct ntd_sftp_string ntd_sftp_get_string(struct ntd_sftp_reader *reader);
struct ntd_sftp_attrs ntd_sftp_get_attrs(struct ntd_sftp_reader *reader);

/* What the server offers. */
struct ntd_sftp_offer {
	uint32_t version;
	bool posix_rename, limits, statvfs, seek;
};

/* Returns -1 when the packet is not a version. */
int ntd_sftp_read_version(struct ntd_sftp_reader packet, struct ntd_sftp_offer *offer);

struct ntd_sftp_answer {
	enum ntd_sftp_type type;
	uint32_t id;
	enum ntd_sftp_code code;     /* STATUS; any number may come */
	struct ntd_sftp_string text; /* STATUS: its message; HANDLE, DATA: the bytes */
	struct ntd_sftp_attrs attrs; /* ATTRS */
	uint32_t count;              /* NAME: names that are left in `rest` */
	struct ntd_sftp_reader rest; /* NAME, EXTENDED_REPLY */
};

/* Returns -1 when the packet is not an answer as the protocol has them. */
int ntd_sftp_read_answer(struct ntd_sftp_reader packet, struct ntd_sftp_answer *answer);
/* The next of `*count` names. Returns 1, 0: there are no more, or -1: they are cut off. */
int ntd_sftp_next_name(struct ntd_sftp_reader *names, uint32_t *count, struct ntd_sftp_string *name,
		       struct ntd_sftp_attrs *attrs);

/* Whether a name from a server can be that of an entry in a directory of this host: neither empty
 * nor "." nor "..", and without a slash or a NUL. */
bool ntd_sftp_is_name(struct ntd_sftp_string name);
/* Whether the name is "." or "..", which are in each directory. */
bool ntd_sftp_is_dots(struct ntd_sftp_string name);
/* The words of a STATUS for people, a new string: the server's, or those of the code. */
char *ntd_sftp_words(const struct ntd_sftp_answer *answer);
