/* JSON from files, through cJSON, with errors that say where.
 *
 * Syntax errors name file, line and column; wrong values name the path of the key, such as
 * vms.server.start_script. All errors are NTD_E_USAGE: the input is a configuration somebody wrote.
 * Of equal keys in one object the last counts, as in Python. Strings hold valid UTF-8 and no NUL.
 */
#pragma once

#include "base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* The largest file that ntd_json_load() reads, in bytes. */
#define NTD_JSON_MAX ((size_t)64 << 20)

/* Parses `len` bytes. `name`, of a file, begins the message of a syntax error. The tree belongs to
 * the caller; NULL on error. */
cJSON *ntd_json_parse(const char *text, size_t len, const char *name, struct ntd_error **err);
/* The same with the contents of a file, which may be a pipe. */
cJSON *ntd_json_load(const char *path, struct ntd_error **err);

/* A value and the way to it from the root, for messages. It lives on the stack of whoever walks the
 * tree and must not outlive its parent. */
struct ntd_json {
	const cJSON *value;
	const struct ntd_json *parent; /* NULL: the root */
	const char *key;               /* its key in the parent, NULL in an array */
	size_t index;                  /* its place in the array */
};

/* Checks that the value at `place` is of one of `types`: cJSON_String and the like, combined with
 * |. Returns 0 or -1. */
int ntd_json_expect(const struct ntd_json *place, int types, struct ntd_error **err);
/* Finds the member `key` of `object`, of one of `types`, and sets *member. Returns 0, or -1 when it
 * is absent or of another type. */
int ntd_json_require(const struct ntd_json *object, const char *key, int types,
		     struct ntd_json *member, struct ntd_error **err);
/* The same, but the member may be absent: returns 1 if it is there, 0 if absent, -1 on error. */
int ntd_json_optional(const struct ntd_json *object, const char *key, int types,
		      struct ntd_json *member, struct ntd_error **err);
/* The member of `object` that counts for `key`, NULL if there is none. */
const cJSON *ntd_json_member(const cJSON *object, const char *key);

/* Sets an error about the value at `place`: its path, ": " and the text. Returns -1. */
int ntd_json_error(const struct ntd_json *place, struct ntd_error **err, const char *fmt, ...)
	ntd_printf(3, 4);

static inline void ntd_cleanup_cjson(cJSON **tree)
{
	cJSON_Delete(*tree);
}

#define _cleanup_cjson_ _cleanup_(ntd_cleanup_cjson)
