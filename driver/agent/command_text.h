/* The text of a command, as bash gets it: an argument, or what an argument has bash read when the
 * text is too long for one.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct ntd_agent_text {
	uint64_t missing; /* bytes that are to come */
	struct ntd_buf bytes;
	int fd; /* a file without a name that has the text; -1: it is in `bytes` */
};

/* Prepares for a text of that many bytes. Returns 0 or an errno. */
int ntd_agent_text_open(struct ntd_agent_text *text, uint64_t len);
/* Takes bytes that are missing, at most `len`. Returns how many, or the negative of an errno. */
ssize_t ntd_agent_text_take(struct ntd_agent_text *text, const char *bytes, size_t len);
/* The argument for `bash -c`, a new string, with what precedes the text; NULL: the text has a NUL
 * in it. */
char *ntd_agent_text_argument(const struct ntd_agent_text *text, const char *prologue);
void ntd_agent_text_free(struct ntd_agent_text *text);
