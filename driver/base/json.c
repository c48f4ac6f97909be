/* cJSON builds the tree, but it accepts more than JSON (raw control characters, bytes that are not
 * UTF-8, 01), turns \u0000 into a string that ends early, and where an object's key is wrong it
 * points one character too far. So the text is checked against the grammar of RFC 8259 first; what
 * passes is parsed. The check also keeps the nesting below cJSON's limit.
 */
#include "base/json.h"

#include "base/fd.h"
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Keys made of these are shown in a path as they are. */
#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

/* The place that the check has come to; at a fault `at` points to it and `what` names it. */
struct scan {
	const char *at, *end;
	const char *what;
	int depth;
};

static bool scan_value(struct scan *s);

static bool fault(struct scan *s, const char *at, const char *what)
{
	s->at = at;
	s->what = what;
	return false;
}

/* The next character, '\0' at the end. */
static char peek(const struct scan *s)
{
	return s->at < s->end ? *s->at : '\0';
}

static bool accept(struct scan *s, const char *set)
{
	if (!peek(s) || !strchr(set, *s->at))
		return false;
	s->at++;
	return true;
}

static char after_space(struct scan *s)
{
	while (accept(s, " \t\r\n"))
		;
	return peek(s);
}

static bool digits(struct scan *s)
{
	if (!isdigit((unsigned char)peek(s)))
		return fault(s, s->at, "expected a digit");
	while (isdigit((unsigned char)peek(s)))
		s->at++;
	return true;
}

static bool scan_number(struct scan *s)
{
	accept(s, "-");
	if (!accept(s, "0") && !digits(s))
		return false;
	if (accept(s, ".") && !digits(s))
		return false;
	if (accept(s, "eE")) {
		accept(s, "+-");
		return digits(s);
	}
	return true;
}

/* The four digits of \uXXXX at `at`; -1 if they are not there. */
static int code_unit(const struct scan *s, const char *at)
{
	int unit = 0;

	if (s->end - at < 6 || at[0] != '\\' || at[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		char digit = (char)tolower((unsigned char)at[i]);

		if (!isxdigit((unsigned char)digit))
			return -1;
		unit = unit * 16 + (digit <= '9' ? digit - '0' : digit - 'a' + 10);
	}
	return unit;
}

static bool scan_escape(struct scan *s)
{
	const char *start = s->at++;
	int unit;

	if (accept(s, "\"\\/bfnrt"))
		return true;
	unit = code_unit(s, start);
	if (unit < 0)
		return fault(s, start, "an escape that JSON does not have");
	if (!unit)
		return fault(s, start, "a NUL character inside a string");
	s->at = start + 6;
	if (unit < 0xd800 || unit > 0xdfff)
		return true;
	if (unit > 0xdbff || (code_unit(s, s->at) & 0xfc00) != 0xdc00)
		return fault(s, start, "half of a surrogate pair");
	s->at += 6;
	return true;
}

static bool scan_string(struct scan *s)
{
	s->at++;
	while (s->at < s->end && *s->at != '"') {
		size_t step = ntd_utf8_sequence(s->at, (size_t)(s->end - s->at));

		if (!step)
			return fault(s, s->at, "invalid UTF-8");
		if ((unsigned char)*s->at < 0x20)
			return fault(s, s->at, "a control character inside a string");
		if (*s->at != '\\')
			s->at += step;
		else if (!scan_escape(s))
			return false;
	}
	return accept(s, "\"") || fault(s, s->at, "expected the closing quote of a string");
}

static bool scan_word(struct scan *s, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(s->end - s->at) < len || memcmp(s->at, text, len) != 0)
		return fault(s, s->at, "expected a value");
	s->at += len;
	return true;
}

static bool scan_key(struct scan *s)
{
	if (after_space(s) != '"')
		return fault(s, s->at, "expected a key in double quotes");
	if (!scan_string(s))
		return false;
	after_space(s);
	return accept(s, ":") || fault(s, s->at, "expected ':'");
}

/* An object or array, after its opening bracket. */
static bool scan_members(struct scan *s, bool object)
{
	const char *close = object ? "}" : "]";

	if (++s->depth >= CJSON_NESTING_LIMIT)
		return fault(s, s->at - 1, "nested too deeply");
	after_space(s);
	if (!accept(s, close)) {
		do {
			if ((object && !scan_key(s)) || !scan_value(s))
				return false;
			after_space(s);
		} while (accept(s, ","));
		if (!accept(s, close))
			return fault(s, s->at,
				     object ? "expected ',' or '}'" : "expected ',' or ']'");
	}
	s->depth--;
	return true;
}

static bool scan_value(struct scan *s)
{
	switch (after_space(s)) {
	case '"':
		return scan_string(s);
	case '{':
	case '[':
		return scan_members(s, *s->at++ == '{');
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	case '-':
	case '0' ... '9':
		return scan_number(s);
	default:
		return fault(s, s->at, "expected a value");
	}
}

static bool scan_document(struct scan *s)
{
	if (!scan_value(s))
		return false;
	after_space(s);
	return s->at == s->end || fault(s, s->at, "expected the end of the text");
}

/* Line and column count from 1; a column is a character, as editors count. */
static void locate(const char *text, const char *at, size_t *line, size_t *column)
{
	*line = *column = 1;
	for (const char *c = text; c < at; c++) {
		if (*c == '\n') {
			++*line;
			*column = 1;
		} else if ((*c & 0xc0) != 0x80) {
			++*column;
		}
	}
}

/* The character at the fault, in words; a new string. */
static char *found(const struct scan *s)
{
	if (s->at == s->end)
		return ntd_strdup("the end of the text");
	if ((unsigned char)*s->at <= ' ' || !ntd_utf8_sequence(s->at, (size_t)(s->end - s->at)))
		return ntd_asprintf("byte 0x%02x", (unsigned char)*s->at);
	return ntd_asprintf("'%.*s'", (int)ntd_utf8_sequence(s->at, (size_t)(s->end - s->at)),
			    s->at);
}

static int check(const char *text, size_t len, const char *name, struct ntd_error **err)
{
	struct scan s = {.at = text, .end = text + len};
	_cleanup_free_ char *there = NULL;
	size_t line, column;

	if (scan_document(&s))
		return 0;
	locate(text, s.at, &line, &column);
	if (ntd_has_prefix(s.what, "expected"))
		there = found(&s);
	return ntd_error_set(err, NTD_E_USAGE, "%s:%zu:%zu: %s%s%s", name, line, column, s.what,
			     there ? ", found " : "", there ? there : "");
}

cJSON *ntd_json_parse(const char *text, size_t len, const char *name, struct ntd_error **err)
{
	cJSON *tree;

	if (check(text, len, name, err) < 0)
		return NULL;
	tree = cJSON_ParseWithLength(text, len);
	if (!tree)
		ntd_error_set(err, NTD_E_USAGE, "%s: cannot be parsed", name);
	return tree;
}

cJSON *ntd_json_load(const char *path, struct ntd_error **err)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct ntd_buf text = {0};

	if (fd < 0 || ntd_fd_read_all(fd, &text, NTD_JSON_MAX) < 0) {
		if (errno == EFBIG)
			ntd_error_set(err, NTD_E_USAGE, "%s: larger than %zu MiB", path,
				      NTD_JSON_MAX >> 20);
		else
			ntd_error_set(err, NTD_E_USAGE, "cannot read %s: %s", path,
				      strerror(errno));
		return NULL;
	}
	return ntd_json_parse(ntd_buf_bytes(&text), text.len, path, err);
}

const cJSON *ntd_json_member(const cJSON *object, const char *key)
{
	const cJSON *member, *last = NULL;

	cJSON_ArrayForEach (member, object)
		if (member->string && !strcmp(member->string, key))
			last = member;
	return last;
}

/* Other keys are shown as ["..."], escaped, so that the path stays readable. */
static void add_step(struct ntd_buf *path, const struct ntd_json *step)
{
	_cleanup_cjson_ cJSON *name = NULL;
	_cleanup_free_ char *quoted = NULL;

	if (!step->key) {
		ntd_buf_printf(path, "[%zu]", step->index);
	} else if (*step->key && !step->key[strspn(step->key, WORD)]) {
		ntd_buf_printf(path, "%s%s", path->len ? "." : "", step->key);
	} else {
		name = cJSON_CreateString(step->key);
		quoted = cJSON_PrintUnformatted(name);
		ntd_buf_printf(path, "[%s]", quoted ? quoted : "");
	}
}

static void add_path(struct ntd_buf *path, const struct ntd_json *place)
{
	if (!place->parent)
		return;
	add_path(path, place->parent);
	add_step(path, place);
}

int ntd_json_error(const struct ntd_json *place, struct ntd_error **err, const char *fmt, ...)
{
	_cleanup_buf_ struct ntd_buf path = {0};
	_cleanup_free_ char *text = ntd_formatted(fmt);

	add_path(&path, place);
	if (path.len)
		ntd_buf_puts(&path, ": ");
	return ntd_error_set(err, NTD_E_USAGE, "%.*s%s", (int)path.len, ntd_buf_bytes(&path), text);
}

static const struct {
	int types;
	const char *name;
} type_names[] = {
	{cJSON_String, "a string"},
	{cJSON_Number, "a number"},
	{cJSON_Object, "an object"},
	{cJSON_Array, "an array"},
	{cJSON_True | cJSON_False, "true or false"},
	{cJSON_NULL, "null"},
};

static void describe(struct ntd_buf *out, int types)
{
	for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++)
		if (types & type_names[i].types)
			ntd_buf_printf(out, "%s%s", out->len ? " or " : "", type_names[i].name);
}

int ntd_json_expect(const struct ntd_json *place, int types, struct ntd_error **err)
{
	_cleanup_free_ char *expected = NULL, *there = NULL;
	struct ntd_buf text = {0};

	if (place->value->type & types)
		return 0;
	describe(&text, types);
	expected = ntd_buf_take_string(&text);
	describe(&text, place->value->type);
	there = ntd_buf_take_string(&text);
	return ntd_json_error(place, err, "expected %s, found %s", expected, there);
}

int ntd_json_optional(const struct ntd_json *object, const char *key, int types,
		      struct ntd_json *member, struct ntd_error **err)
{
	*member = (struct ntd_json){
		.value = ntd_json_member(object->value, key),
		.parent = object,
		.key = key,
	};
	if (!member->value)
		return 0;
	return ntd_json_expect(member, types, err) < 0 ? -1 : 1;
}

int ntd_json_require(const struct ntd_json *object, const char *key, int types,
		     struct ntd_json *member, struct ntd_error **err)
{
	int there = ntd_json_optional(object, key, types, member, err);

	if (!there)
		return ntd_json_error(object, err, "missing required key \"%s\"", key);
	return there < 0 ? -1 : 0;
}
