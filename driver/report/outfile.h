/* What the sinks that write files share: the file, XML on top of it, and text fit to be put in. */
#pragma once

#include "base/error.h"

#include <libxml/xmlwriter.h>

/* A file being written. A write that fails (disk full, reader gone) must not disturb the run: the
 * first error is kept, what follows is dropped, and closing reports it. */
struct ntd_outfile {
	int fd;
	int failed; /* errno of the first failed write */
	char *path;
};

/* Creates or empties `path`. */
int ntd_outfile_open(struct ntd_outfile *file, const char *path, struct ntd_error **err);
void ntd_outfile_write(struct ntd_outfile *file, const void *bytes, size_t len);
/* Closes the file; -1 when a write had failed. */
int ntd_outfile_close(struct ntd_outfile *file, struct ntd_error **err);
/* An XML writer on the file. Free it with xmlFreeTextWriter(), before the file is closed. */
xmlTextWriterPtr ntd_outfile_xml(struct ntd_outfile *file);
/* The last word of a sink whose file is incomplete: one line on stderr. Frees `error`, if any. */
void ntd_outfile_complain(struct ntd_error *error);

/* Which control characters (Unicode Cc) ntd_outfile_text() leaves in. NUL always goes. */
enum ntd_controls {
	NTD_CONTROLS_NONE,   /* XML, one line */
	NTD_CONTROLS_LAYOUT, /* XML, newline and tab stay */
	NTD_CONTROLS_ALL,    /* not for XML */
};

/* The bytes as valid UTF-8: what is not UTF-8 becomes U+FFFD, characters that no XML 1.0 file may
 * hold and control characters not asked for are removed. The string belongs to the caller. */
char *ntd_outfile_text(const char *bytes, size_t len, enum ntd_controls controls);
