/* Error values. Any thread: an error belongs to one function at a time. */
#include "base/error.h"

#include <assert.h>
#include <string.h>

static const char *const names[] = {
	[NTD_E_SYS] = "system",          [NTD_E_USAGE] = "usage",
	[NTD_E_VALUE] = "value",         [NTD_E_ASSERTION] = "assertion",
	[NTD_E_MACHINE] = "machine",     [NTD_E_DEAD] = "dead",
	[NTD_E_TIMEOUT] = "timeout",     [NTD_E_PROTOCOL] = "protocol",
	[NTD_E_CANCELLED] = "cancelled",
};
static_assert(sizeof names / sizeof *names == NTD_E_COUNT, "every code has a name");

const char *ntd_errc_name(enum ntd_errc code)
{
	return code < NTD_E_COUNT ? names[code] : "unknown";
}

static struct ntd_error *make(enum ntd_errc code, int sys_errno, char *message)
{
	struct ntd_error *error = ntd_malloc(sizeof *error);

	*error = (struct ntd_error){.code = code, .sys_errno = sys_errno, .message = message};
	return error;
}

void ntd_error_add(struct ntd_error *error, const char *text)
{
	_cleanup_free_ char *before = error->message;

	error->message = ntd_asprintf("%s%s", before, text);
}

void ntd_error_note(struct ntd_error *error, const char *fmt, ...)
{
	free(error->note);
	error->note = ntd_formatted(fmt);
}

int ntd_error_move(struct ntd_error **err, struct ntd_error *from)
{
	if (err) {
		assert(!*err);
		*err = from;
	} else {
		ntd_error_free(from);
	}
	return -1;
}

int ntd_error_set(struct ntd_error **err, enum ntd_errc code, const char *fmt, ...)
{
	return err ? ntd_error_move(err, make(code, 0, ntd_formatted(fmt))) : -1;
}

int ntd_error_sys(struct ntd_error **err, int sys_errno, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;

	if (!err)
		return -1;
	what = ntd_formatted(fmt);
	return ntd_error_move(
		err, make(NTD_E_SYS, sys_errno, ntd_asprintf("%s: %s", what, strerror(sys_errno))));
}

int ntd_error_wrap(struct ntd_error **err, const char *fmt, ...)
{
	_cleanup_free_ char *context = NULL;
	char *message;

	if (!err || !*err)
		return -1;
	context = ntd_formatted(fmt);
	message = ntd_asprintf("%s: %s", context, (*err)->message);
	free((*err)->message);
	(*err)->message = message;
	return -1;
}

struct ntd_error *ntd_error_new(enum ntd_errc code, const char *fmt, ...)
{
	return make(code, 0, ntd_formatted(fmt));
}

struct ntd_error *ntd_error_copy(const struct ntd_error *error)
{
	struct ntd_error *copy =
		error ? make(error->code, error->sys_errno, ntd_strdup(error->message)) : NULL;

	if (copy && error->note)
		copy->note = ntd_strdup(error->note);
	return copy;
}

void ntd_error_free(struct ntd_error *error)
{
	if (!error)
		return;
	free(error->message);
	free(error->note);
	free(error);
}
