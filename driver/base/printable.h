/* Text of guests and scripts as a terminal may get it. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

/* Appends `text` so that a terminal only shows characters: without escape and control sequences,
 * without control characters other than newline, tab and the carriage return before a newline, and
 * without characters that change the order in which others are shown.
 * Each byte that is not UTF-8 becomes U+FFFD. With `colours`, sequences that set colours and
 * weights (SGR) stay, and their effect ends with the line. */
void ntd_printable(struct ntd_buf *out, const char *text, size_t len, bool colours);
/* The same as a new string, without colours. */
char *ntd_printable_text(const char *text);
/* The same as one line: white space, line ends included, becomes single spaces. What is longer than
 * `most` bytes ends with dots. */
char *ntd_printable_line(const char *text, size_t most);
