/* What the sinks that write files share: the file, XML on top of it, and text that may be put into
 * it. The thread that calls a sink calls these functions. */
#pragma once

#include "base/error.h"

#include <libxml/xmlwriter.h>

/* A file being written. A write that fails (the disk is full, the reader is gone) must not disturb
 * the run: the file keeps the first error, drops all later bytes, and reports the error when it is
 * closed. */
struct ntd_outfile {
	int fd;
	int failed; /* errno of the first failed write */
	char *path;
};

/* Creates the file, or empties it. */
int ntd_outfile_open(struct ntd_outfile *file, const char *path, struct ntd_error **err);
/* Opens `path` for writing, made if need be, with more `flags` of open(); returns the descriptor.
 * Does not wait for the reader of a pipe, for there may never be one: without, that is an error. */
int ntd_outfile_create(const char *path, int flags, struct ntd_error **err);
void ntd_outfile_write(struct ntd_outfile *file, const void *bytes, size_t len);
/* Closes the file; -1 with an error when this or a write before has failed. */
int ntd_outfile_close(struct ntd_outfile *file, struct ntd_error **err);
/* An XML writer on the file. Free it with xmlFreeTextWriter(), before the file is closed. */
xmlTextWriterPtr ntd_outfile_xml(struct ntd_outfile *file);
/* Says on standard error, in one line, why a sink's file is incomplete. Frees `error`; no-op for
 * NULL. */
void ntd_outfile_complain(struct ntd_error *error);

/* Which control characters (Unicode Cc) ntd_outfile_text() leaves in. It always removes NUL. */
enum ntd_controls {
	NTD_CONTROLS_NONE,   /* for XML, as one line */
	NTD_CONTROLS_LAYOUT, /* for XML: newline and tab */
	NTD_CONTROLS_ALL,    /* all but NUL, which XML does not allow */
};

/* The bytes as valid UTF-8, in a new string. Each byte that is not UTF-8 becomes U+FFFD. Characters
 * that no XML 1.0 file may hold, and control characters that `controls` does not leave in, are
 * removed. */
char *ntd_outfile_text(const char *bytes, size_t len, enum ntd_controls controls);
