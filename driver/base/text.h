/* Text: quoting for shells, names, and bytes as text. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

/* Appends `text` quoted for a POSIX shell, byte for byte as Python's shlex.quote would: unchanged
 * when it holds only safe characters, otherwise in single quotes with each ' written as '"'"'. */
void ntd_shell_quote(struct ntd_buf *out, const char *text, size_t len);
/* The same as a new string. */
char *ntd_shell_quoted(const char *text);

/* A machine's name as a Python identifier: every character outside [A-Za-z0-9_], and a leading
 * character that is not a letter or _, replaced by _. */
char *ntd_python_name(const char *name);

/* One line of console output as it is logged: invalid UTF-8 dropped, carriage returns removed,
 * white space at the end removed. Returns a new string of *text_len bytes (a guest may print NUL
 * bytes). */
char *ntd_console_text(const char *bytes, size_t len, size_t *text_len);

/* Length of the valid UTF-8 sequence at `bytes` (1 to 4), or 0 if there is none. */
size_t ntd_utf8_sequence(const char *bytes, size_t len);

/* Bytes as Python's repr() shows them, b'...'; a new string. */
char *ntd_bytes_repr(const char *bytes, size_t len);

/* Bytes as a new string for people to read: a NUL among them becomes the two characters \0. */
char *ntd_shown(const char *bytes, size_t len);

/* Whether `text` begins, or ends, with the other string. */
bool ntd_has_prefix(const char *text, const char *prefix);
bool ntd_has_suffix(const char *text, const char *suffix);
/* The part of a path after its last slash; the path itself when it has none. */
const char *ntd_file_name(const char *path);
/* The first occurrence of the string `needle` in `len` bytes, or NULL. */
const char *ntd_find(const char *bytes, size_t len, const char *needle);
