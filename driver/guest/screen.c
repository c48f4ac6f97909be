/* Keys, by QEMU's monitor; text consoles, by a command in the guest; and pictures of the screen, by
 * QMP. On script threads.
 */
#include "guest/screen.h"

#include "base/text.h"
#include "machine/qemu.h"

#include <ctype.h>
#include <string.h>

#define SCREENDUMP_PATIENCE (60 * NTD_SECOND)

/* ---- keys */

/* Characters by the scan code of their key on a US keyboard, plain and with shift. */
static const struct {
	const char *plain, *shifted;
	int first_code;
} rows[] = {
	{"", "!@#$%^&*()", 0x02}, {"-=", "_+", 0x0c}, {"[]", "{}", 0x1a},
	{";'`", ":\"~", 0x27},    {"\\", "|", 0x2b},  {",./", "<>?", 0x33},
};

static char *key_of_character(char c)
{
	if (c == ' ')
		return ntd_strdup("spc");
	if (c == '\n')
		return ntd_strdup("ret");
	if (isupper((unsigned char)c))
		return ntd_asprintf("shift-%c", tolower((unsigned char)c));
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *plain = strchr(rows[i].plain, c), *shifted = strchr(rows[i].shifted, c);

		if (c && plain)
			return ntd_asprintf("0x%02X",
					    rows[i].first_code + (int)(plain - rows[i].plain));
		if (c && shifted)
			return ntd_asprintf("shift-0x%02X",
					    rows[i].first_code + (int)(shifted - rows[i].shifted));
	}
	return ntd_asprintf("%c", c);
}

char *ntd_key_name(const char *key)
{
	return strlen(key) == 1 ? key_of_character(*key) : ntd_strdup(key);
}

/* What QEMU's monitor says of a key that it does not know, of length *len; NULL: it knows the
 * key. */
static const char *find_refusal(const struct ntd_buf *reply, size_t *len)
{
	const char *bytes = ntd_buf_bytes(reply);
	const char *refusal = ntd_find(bytes, reply->len, "invalid parameter");
	const char *end;

	if (!refusal)
		refusal = ntd_find(bytes, reply->len, "unknown key");
	if (!refusal)
		return NULL;
	*len = reply->len - (size_t)(refusal - bytes);
	end = memchr(refusal, '\r', *len);
	if (end)
		*len = (size_t)(end - refusal);
	return refusal;
}

/* Presses a key and waits. A key that QEMU does not know is a warning only: scripts that send one
 * have always passed. */
static int press(struct ntd_machine *machine, const char *name, double delay,
		 struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *line = ntd_asprintf("sendkey %s", name);
	_cleanup_buf_ struct ntd_buf reply = {0};
	const char *refusal;
	size_t len;

	if (ntd_machine_monitor_command(machine, line, &reply, waiter, err) < 0)
		return -1;
	refusal = find_refusal(&reply, &len);
	if (refusal)
		ntd_log(ntd_machine_report(machine), NTD_LEVEL_WARNING, ntd_machine_name(machine),
			"QEMU refuses key '%s', which was not sent: %.*s", name, (int)len, refusal);
	return delay > 0 ? ntd_wait_until(ntd_after(ntd_span(delay)), waiter, err) : 0;
}

int ntd_machine_send_key(struct ntd_machine *machine, const char *key, double delay, bool log,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *name = ntd_key_name(key);
	struct ntd_nest nest = {0};
	int result;

	if (log)
		nest = ntd_nest_begin(ntd_machine_report(machine), NTD_STEP_KEYS,
				      ntd_machine_name(machine), "sending key '%s'", name);
	result = press(machine, name, delay, waiter, err);
	ntd_nest_end(&nest, result < 0);
	return result;
}

static int press_each(struct ntd_machine *machine, const char *text, double delay,
		      struct ntd_waiter *waiter, struct ntd_error **err)
{
	while (*text) {
		size_t step = ntd_utf8_sequence(text, strlen(text));
		_cleanup_free_ char *character = ntd_strndup(text, step ? step : 1);
		_cleanup_free_ char *name = ntd_key_name(character);

		if (press(machine, name, delay, waiter, err) < 0)
			return -1;
		text += step ? step : 1;
	}
	return 0;
}

int ntd_machine_send_chars(struct ntd_machine *machine, const char *text, const char *shown,
			   double delay, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_nest nest = ntd_nest_begin(ntd_machine_report(machine), NTD_STEP_KEYS,
					      ntd_machine_name(machine), "sending keys %s", shown);
	int result = press_each(machine, text, delay, waiter, err);

	ntd_nest_end(&nest, result < 0);
	return result;
}

/* ---- text consoles */

int ntd_machine_tty_text(struct ntd_machine *machine, const char *tty, struct ntd_buf *text,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *command = ntd_asprintf(
		"fold -w$(stty -F /dev/tty%s size | awk '{print $2}') /dev/vcs%s", tty, tty);
	struct ntd_bytes bytes = {.data = command, .len = strlen(command)};

	return ntd_machine_status_of(machine, bytes, text, waiter, err);
}

/* ---- pictures */

int ntd_machine_screenshot(struct ntd_machine *machine, const char *path, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *arguments = cJSON_CreateObject(), *reply = NULL;
	struct ntd_qmp *qmp = ntd_machine_qmp(machine);
	const cJSON *error, *text;

	if (!qmp)
		return ntd_machine_error(err, machine, NTD_E_MACHINE, "it has no screen");
	cJSON_AddStringToObject(arguments, "filename", path);
	cJSON_AddStringToObject(arguments, "format", "png");
	reply = ntd_qmp_execute(qmp, "screendump", arguments, ntd_after(SCREENDUMP_PATIENCE),
				waiter, err);
	if (!reply)
		return -1;
	error = cJSON_GetObjectItemCaseSensitive(reply, "error");
	text = cJSON_GetObjectItemCaseSensitive(error, "desc");
	if (error)
		return ntd_machine_error(err, machine, NTD_E_MACHINE, "no screenshot: %s",
					 cJSON_IsString(text) ? text->valuestring : "?");
	return 0;
}
