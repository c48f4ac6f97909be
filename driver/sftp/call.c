/* What both sides of the SFTP client are made of: requests, judging their answers, and the failure
 * of a copy. On the loop thread.
 */
#include "sftp/internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* ---- the end of a copy */

void ntd_sftp_fail(struct ntd_sftp *sftp, struct ntd_error *error)
{
	if (ntd_sftp_is_over(sftp)) {
		ntd_error_free(error);
		return;
	}
	sftp->error = error;
	sftp->phase = sftp->phase == NTD_SFTP_COPYING && sftp->side->clean ? NTD_SFTP_CLEANING
									   : NTD_SFTP_DONE;
}

void ntd_sftp_fail_sys(struct ntd_sftp *sftp, const char *fmt, ...)
{
	int number = errno;
	_cleanup_free_ char *text = NULL;
	struct ntd_error *error = NULL;
	va_list args;

	va_start(args, fmt);
	text = ntd_vasprintf(fmt, args);
	va_end(args);
	ntd_error_sys(&error, number, "%s", text);
	ntd_sftp_fail(sftp, error);
}

void ntd_sftp_fail_protocol(struct ntd_sftp *sftp, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = ntd_vasprintf(fmt, args);
	va_end(args);
	ntd_sftp_fail(sftp,
		      ntd_error_new(NTD_E_PROTOCOL, "cannot copy %s to %s: the SFTP server sent %s",
				    sftp->source, sftp->target, text));
	sftp->phase = NTD_SFTP_DONE;
}

void ntd_sftp_succeed(struct ntd_sftp *sftp)
{
	if (!ntd_sftp_is_over(sftp))
		sftp->phase = NTD_SFTP_DONE;
}

/* ---- requests */

static bool has_room(const struct ntd_sftp *sftp)
{
	return sftp->in_flight < NTD_SFTP_CALLS && sftp->output.len < NTD_SFTP_OUTPUT_SIZE;
}

bool ntd_sftp_may_call(const struct ntd_sftp *sftp)
{
	return sftp->phase == NTD_SFTP_COPYING && has_room(sftp);
}

bool ntd_sftp_may_clean(const struct ntd_sftp *sftp)
{
	return sftp->phase == NTD_SFTP_CLEANING && has_room(sftp);
}

/* The number of a request is its place among the calls plus a multiple of their number, which is
 * another one for each request. */
struct ntd_sftp_call *ntd_sftp_call(struct ntd_sftp *sftp, enum ntd_sftp_type type,
				    ntd_sftp_answered *answered, void *item)
{
	uint32_t place = 0;

	while (place < NTD_SFTP_CALLS && sftp->calls[place].answered)
		place++;
	assert(place < NTD_SFTP_CALLS);
	sftp->calls[place] = (struct ntd_sftp_call){
		.id = sftp->serial++ * NTD_SFTP_CALLS + place,
		.answered = answered,
		.item = item,
		.cleaning = sftp->phase == NTD_SFTP_CLEANING,
	};
	sftp->in_flight++;
	sftp->packet = ntd_sftp_put_begin(&sftp->output, type, sftp->calls[place].id);
	return &sftp->calls[place];
}

void ntd_sftp_send(struct ntd_sftp *sftp)
{
	ntd_sftp_put_end(&sftp->output, sftp->packet);
}

void ntd_sftp_put_text(struct ntd_buf *out, const char *text)
{
	ntd_sftp_put_string(out, text, strlen(text));
}

void ntd_sftp_call_path(struct ntd_sftp *sftp, enum ntd_sftp_type type, const char *path,
			ntd_sftp_answered *answered, void *item)
{
	ntd_sftp_call(sftp, type, answered, item);
	ntd_sftp_put_text(&sftp->output, path);
	ntd_sftp_send(sftp);
}

void ntd_sftp_call_rename(struct ntd_sftp *sftp, const char *from, const char *to,
			  ntd_sftp_answered *answered, void *item)
{
	bool posix = sftp->offer.posix_rename;

	ntd_sftp_call(sftp, posix ? NTD_SFTP_EXTENDED : NTD_SFTP_RENAME, answered, item);
	if (posix)
		ntd_sftp_put_text(&sftp->output, "posix-rename@openssh.com");
	ntd_sftp_put_text(&sftp->output, from);
	ntd_sftp_put_text(&sftp->output, to);
	ntd_sftp_send(sftp);
}

static void closed(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		   const struct ntd_sftp_answer *answer)
{
}

void ntd_sftp_call_close(struct ntd_sftp *sftp, struct ntd_sftp_string handle)
{
	ntd_sftp_call(sftp, NTD_SFTP_CLOSE, closed, NULL);
	ntd_sftp_put_string(&sftp->output, handle.bytes, handle.len);
	ntd_sftp_send(sftp);
}

/* ---- answers */

bool ntd_sftp_is_status(const struct ntd_sftp_answer *answer, enum ntd_sftp_code code)
{
	return answer->type == NTD_SFTP_STATUS && answer->code == code;
}

/* Fails because of an answer that is not the one that was wanted. */
static ntd_printf(3, 0) void refuse(struct ntd_sftp *sftp, const struct ntd_sftp_answer *answer,
				    const char *fmt, va_list args)
{
	_cleanup_free_ char *what = ntd_vasprintf(fmt, args), *words = NULL;

	if (answer->type != NTD_SFTP_STATUS || answer->code == NTD_SFTP_OK) {
		ntd_sftp_fail_protocol(sftp, "an answer of type %d and no reason: %s",
				       (int)answer->type, what);
		return;
	}
	words = ntd_sftp_words(answer);
	ntd_sftp_fail(sftp, ntd_error_new(NTD_E_MACHINE, "%s: %s", what, words));
}

bool ntd_sftp_expect(struct ntd_sftp *sftp, const struct ntd_sftp_answer *answer,
		     enum ntd_sftp_type type, const char *fmt, ...)
{
	va_list args;

	if (answer->type == type)
		return true;
	va_start(args, fmt);
	refuse(sftp, answer, fmt, args);
	va_end(args);
	return false;
}

bool ntd_sftp_expect_ok(struct ntd_sftp *sftp, const struct ntd_sftp_answer *answer,
			const char *fmt, ...)
{
	va_list args;

	if (ntd_sftp_is_status(answer, NTD_SFTP_OK))
		return true;
	va_start(args, fmt);
	refuse(sftp, answer, fmt, args);
	va_end(args);
	return false;
}
