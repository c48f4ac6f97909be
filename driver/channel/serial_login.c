/* Logging in on a serial console, on the script thread whose turn it is.
 *
 * A console shows a prompt once, and other things may follow it, cut it in two, or scroll it away.
 * So nothing is taken for granted from the order of what comes: each prompt that stands at the end
 * of the text for a moment has its reaction in a table. Where nothing stands there for a while, a
 * newline asks again: a getty repeats its prompt and a shell its own, and a guest that still boots
 * does not mind.
 *
 * Whether there is a shell is found out by a line that prints a word which the line itself does not
 * have in one piece, so that the terminal's echo of it is not taken for an answer. The line is
 * typed only where a shell seems to be: after something that looks like a prompt, and where a
 * newline was answered by nothing but its echo. What is typed where there is no shell yet may
 * become the name of a user for a getty; then it asks for a password unasked, and that one is
 * answered by a newline.
 */
#include "channel/serial_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* For how long a prompt must stand at the end to be one. */
#define SETTLE (200 * NTD_MS)
/* The first newline, and the longest time between two. */
#define FIRST_PAUSE (2 * NTD_SECOND)
#define LONGEST_PAUSE (15 * NTD_SECOND)
/* How long the answer to a name or a password may take. */
#define LOGIN_PAUSE (15 * NTD_SECOND)
/* How often a login prompt is answered. */
enum { ATTEMPTS = 5 };

struct dialogue {
	struct ntd_serial *serial;
	const struct ntd_serial_login *login;
	const char *password; /* the present one */
	int names;            /* how often the user's name was typed */
	bool named;           /* it was typed last, or the password that belongs to it */
	bool answered;        /* the password was typed for that name */
	bool changed;         /* the new password was typed */
	bool asked;       /* a newline was typed, and nothing has come since that was not there */
	size_t begun_len; /* of the line that has begun, without the kernel's messages */
	int64_t begun_since; /* when it last changed */
	char *begun;         /* the line that had begun when it was typed */
	int64_t pause,
		next; /* when nothing is recognized: the time until the next newline, and when */
};

/* ---- reactions; each returns 0, or -1 with an error that ends the login */

static int type(const struct dialogue *dialogue, const char *text, struct ntd_error **err)
{
	_cleanup_free_ char *line = ntd_asprintf("%s\n", text);

	return ntd_serial_type(dialogue->serial, line, err);
}

static int refused(const struct dialogue *dialogue, const char *how, struct ntd_error **err)
{
	_cleanup_free_ char *tail = ntd_serial_tail(dialogue->serial);

	return ntd_error_set(err, NTD_E_ASSERTION,
			     "machine '%s': the login of '%s' on the serial console %s%s",
			     dialogue->serial->machine, dialogue->login->user, how, tail);
}

static int name_wanted(struct dialogue *dialogue, struct ntd_error **err)
{
	if (dialogue->answered && !dialogue->changed)
		return refused(dialogue,
			       "was refused: after the password, the guest asks again for "
			       "a name",
			       err);
	if (++dialogue->names > ATTEMPTS)
		return refused(dialogue, "failed: the guest asks for the name again and again",
			       err);
	dialogue->named = true;
	dialogue->answered = dialogue->changed = false;
	return type(dialogue, dialogue->login->user, err);
}

static int password_wanted(struct dialogue *dialogue, struct ntd_error **err)
{
	if (!dialogue->named)
		return type(dialogue, "", err);
	if (!dialogue->password)
		return refused(dialogue, "needs a password, and login() was given none", err);
	if (dialogue->answered)
		return refused(dialogue, "was refused: the guest asks again for the password", err);
	dialogue->answered = true;
	return type(dialogue, dialogue->password, err);
}

static int change_wanted(struct dialogue *dialogue, struct ntd_error **err)
{
	if (!dialogue->login->new_password)
		return refused(dialogue,
			       "needs a change of the password, and login() was given no "
			       "new_password",
			       err);
	return 0;
}

static int current_wanted(struct dialogue *dialogue, struct ntd_error **err)
{
	if (change_wanted(dialogue, err) < 0)
		return -1;
	return type(dialogue, dialogue->password ? dialogue->password : "", err);
}

static int new_wanted(struct dialogue *dialogue, struct ntd_error **err)
{
	if (change_wanted(dialogue, err) < 0)
		return -1;
	if (dialogue->changed)
		return refused(dialogue, "failed: the guest does not accept the new password", err);
	dialogue->changed = true;
	dialogue->password = dialogue->login->new_password;
	return type(dialogue, dialogue->password, err);
}

static int retype_wanted(struct dialogue *dialogue, struct ntd_error **err)
{
	if (change_wanted(dialogue, err) < 0)
		return -1;
	return type(dialogue, dialogue->login->new_password, err);
}

static int name_refused(struct dialogue *dialogue, struct ntd_error **err)
{
	if (dialogue->answered)
		return refused(dialogue,
			       "was refused: the password is wrong, or the user may not "
			       "log in there",
			       err);
	if (dialogue->named)
		return refused(dialogue, "was refused", err);
	return 0; /* of what is no user's name */
}

static int change_refused(struct dialogue *dialogue, struct ntd_error **err)
{
	return dialogue->changed ? refused(dialogue,
					   "failed: the guest does not accept the new "
					   "password",
					   err)
				 : 0;
}

static int ask_shell(struct dialogue *dialogue, struct ntd_error **err)
{
	_cleanup_free_ char *line =
		ntd_asprintf("echo \"%s\"\" shell\" | cat", dialogue->serial->identity);

	return type(dialogue, line, err);
}

static int (*const reactions[])(struct dialogue *dialogue, struct ntd_error **err) = {
	[NTD_SERIAL_LOGIN] = name_wanted,      [NTD_SERIAL_PASSWORD] = password_wanted,
	[NTD_SERIAL_CURRENT] = current_wanted, [NTD_SERIAL_NEW] = new_wanted,
	[NTD_SERIAL_RETYPE] = retype_wanted,   [NTD_SERIAL_SHELL] = ask_shell,
	[NTD_SERIAL_REFUSED] = name_refused,   [NTD_SERIAL_UNACCEPTABLE] = change_refused,
};

static int react(struct dialogue *dialogue, enum ntd_serial_seen seen, struct ntd_error **err)
{
	int result = reactions[seen](dialogue, err);

	dialogue->pause = FIRST_PAUSE;
	dialogue->next = ntd_after(dialogue->named ? LOGIN_PAUSE : FIRST_PAUSE);
	dialogue->asked = false;
	return result;
}

/* ---- what comes */

/* Whether the line is from the loop of an earlier login. */
static bool is_old_loop(const char *line)
{
	const char *at = strstr(line, "ntd");

	return at && strspn(at + 3, "0123456789abcdef") == 8 && strstr(at, " bad");
}

/* A line has come: 1 when it is the shell's answer. */
static int hear_line(struct dialogue *dialogue, struct ntd_error **err)
{
	struct ntd_serial *serial = dialogue->serial;
	_cleanup_free_ char *line =
		ntd_strndup(ntd_buf_bytes(&serial->lines.line), serial->lines.line.len);
	_cleanup_free_ char *answer = ntd_asprintf("%s shell", serial->identity);
	enum ntd_serial_seen seen = ntd_serial_verdict(line, strlen(line));

	dialogue->asked &= !*line || !strcmp(line, dialogue->begun);
	if (strstr(line, answer))
		return 1;
	if (is_old_loop(line))
		return ntd_serial_type(serial, "0 q 0 \n", err);
	return seen ? react(dialogue, seen, err) : 0;
}

/* A prompt has stood at the end for a moment. */
static int hear_prompt(struct dialogue *dialogue, struct ntd_error **err)
{
	enum ntd_serial_seen seen = ntd_serial_begun(dialogue->serial);

	ntd_serial_lines_clear(&dialogue->serial->lines);
	return react(dialogue, seen, err);
}

/* A copy of the line that has begun. */
static char *begun_line(const struct ntd_serial *serial)
{
	const char *line = ntd_buf_bytes(&serial->lines.line);
	size_t len = serial->lines.complete ? 0 : ntd_serial_lines_begun(&serial->lines);

	return ntd_strndup(line, len);
}

/* Nothing is recognized for a while. What a newline is answered with by itself, or by nothing, may
 * be a shell. */
static int ask_again(struct dialogue *dialogue, struct ntd_error **err)
{
	char *begun = begun_line(dialogue->serial);
	bool is_shell = dialogue->asked && (!*begun || !strcmp(begun, dialogue->begun));

	dialogue->pause = dialogue->pause * 2 < LONGEST_PAUSE ? dialogue->pause * 2 : LONGEST_PAUSE;
	dialogue->next = ntd_after(dialogue->pause);
	dialogue->asked = !is_shell;
	free(dialogue->begun);
	dialogue->begun = begun;
	ntd_serial_lines_clear(&dialogue->serial->lines);
	if (is_shell)
		return ask_shell(dialogue, err);
	/* where a password is asked for, this is a wrong one */
	dialogue->named = false;
	return type(dialogue, "", err);
}

static int not_in_time(const struct dialogue *dialogue, struct ntd_error **err)
{
	_cleanup_free_ char *tail = ntd_serial_tail(dialogue->serial);

	return ntd_error_set(
		err, NTD_E_TIMEOUT,
		"machine '%s': no login of '%s' on the serial console in time; is there "
		"a getty on it?%s",
		dialogue->serial->machine, dialogue->login->user, tail);
}

/* Since when the line that has begun stands as it is; what the kernel prints in it does not count.
 */
static int64_t stands_since(struct dialogue *dialogue)
{
	const struct ntd_serial_lines *lines = &dialogue->serial->lines;
	size_t len = lines->complete ? 0 : ntd_serial_lines_begun(lines);

	if (len != dialogue->begun_len)
		dialogue->begun_since = ntd_now();
	dialogue->begun_len = len;
	return dialogue->begun_since;
}

/* One thing that happens: 1 when there is a shell. */
static int step(struct dialogue *dialogue, int64_t deadline, struct ntd_waiter *waiter,
		struct ntd_error **err)
{
	int64_t settled = stands_since(dialogue) + SETTLE;
	bool prompts = ntd_serial_begun(dialogue->serial) != NTD_SERIAL_NOTHING;
	int64_t until = prompts ? settled : dialogue->next;
	int result;

	if (ntd_now() >= deadline)
		return not_in_time(dialogue, err);
	if (ntd_now() >= until)
		return prompts ? hear_prompt(dialogue, err) : ask_again(dialogue, err);
	result = ntd_serial_line(dialogue->serial, ntd_earlier(until, deadline), waiter, err);
	if (result == NTD_SERIAL_LINE)
		return hear_line(dialogue, err);
	return result < 0 ? -1 : 0;
}

int ntd_serial_find_shell(struct ntd_serial *serial, const struct ntd_serial_login *login,
			  int64_t deadline, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct dialogue dialogue = {.serial = serial,
				    .login = login,
				    .password = login->password,
				    .begun = ntd_strdup(""),
				    .pause = FIRST_PAUSE,
				    .next = ntd_after(FIRST_PAUSE)};
	int found = 0;

	ntd_serial_skip(serial);
	while (!found)
		found = step(&dialogue, deadline, waiter, err);
	free(dialogue.begun);
	return found < 0 ? -1 : 0;
}
