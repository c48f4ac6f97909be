/* Files, XML writers and text of sinks; see outfile.h. */
#include "report/outfile.h"

#include "base/fd.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

int ntd_outfile_create(const char *path, int flags, struct ntd_error **err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, 0666);

	if (fd < 0 && errno == ENXIO)
		return ntd_error_set(err, NTD_E_USAGE,
				     "cannot write %s: no program reads this pipe", path);
	if (fd < 0)
		return ntd_error_sys(err, errno, "cannot write %s", path);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

int ntd_outfile_open(struct ntd_outfile *file, const char *path, struct ntd_error **err)
{
	int fd = ntd_outfile_create(path, O_TRUNC, err);

	if (fd < 0)
		return -1;
	*file = (struct ntd_outfile){.fd = fd, .path = ntd_strdup(path)};
	return 0;
}

void ntd_outfile_write(struct ntd_outfile *file, const void *bytes, size_t len)
{
	if (!file->failed && ntd_fd_write_all(file->fd, bytes, len) < 0)
		file->failed = errno;
}

int ntd_outfile_close(struct ntd_outfile *file, struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_steal(&file->path);

	if (close(ntd_steal_fd(&file->fd)) < 0 && !file->failed)
		file->failed = errno;
	return file->failed ? ntd_error_sys(err, file->failed, "cannot write %s", path) : 0;
}

/* Always reports success to libxml2, which would print a message of its own at each failure. */
static int write_xml(void *context, const char *bytes, int len)
{
	ntd_outfile_write(context, bytes, (size_t)len);
	return len;
}

xmlTextWriterPtr ntd_outfile_xml(struct ntd_outfile *file)
{
	xmlOutputBufferPtr buffer = xmlOutputBufferCreateIO(write_xml, NULL, file, NULL);
	xmlTextWriterPtr writer = buffer ? xmlNewTextWriter(buffer) : NULL;

	if (!writer)
		abort(); /* out of memory is the only reason */
	return writer;
}

void ntd_outfile_complain(struct ntd_error *error)
{
	if (error)
		dprintf(STDERR_FILENO, "nixos-test-driver: %s\n", error->message);
	ntd_error_free(error);
}

/* The character that a valid UTF-8 sequence of `len` bytes encodes. */
static uint32_t decode(const char *bytes, size_t len)
{
	static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (unsigned char)bytes[0] & first_bits[len];

	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((unsigned char)bytes[i] & 0x3f);
	return c;
}

static bool kept(uint32_t c, enum ntd_controls controls)
{
	bool control = c < 0x20 || (c >= 0x7f && c <= 0x9f);

	if (c == 0 || c == 0xfffe || c == 0xffff)
		return false;
	if (!control || controls == NTD_CONTROLS_ALL)
		return true;
	return controls == NTD_CONTROLS_LAYOUT && (c == '\n' || c == '\t');
}

char *ntd_outfile_text(const char *bytes, size_t len, enum ntd_controls controls)
{
	struct ntd_buf text = {0};

	for (size_t i = 0; i < len;) {
		size_t step = ntd_utf8_sequence(bytes + i, len - i);

		if (!step)
			ntd_buf_puts(&text, "\xef\xbf\xbd");
		else if (kept(decode(bytes + i, step), controls))
			ntd_buf_append(&text, bytes + i, step);
		i += step ? step : 1;
	}
	return ntd_buf_take_string(&text);
}
