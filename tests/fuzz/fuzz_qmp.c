/* Fuzzes the bytes of a QMP connection, which are split into messages: all at once, and with a
 * second part that arrives later, split where the first byte says. A message that is written as
 * text reads back the same. Listeners get the events with their name and no others, and words from
 * an event are short and plain.
 */
#include "qemu/qmp.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* ---- listeners */

static const char *const names[] = {"SHUTDOWN", "RESET", "STOP", "RESUME", "GUEST_PANICKED"};
static const char *const members[] = {"reason", "action", "guest"};
enum { NAMES = sizeof names / sizeof *names, MEMBERS = sizeof members / sizeof *members };

struct hearing {
	struct ntd_qmp_listener listener;
	struct ntd_buf *transcript;
	size_t count;
};

static void heard(void *owner, const cJSON *event)
{
	struct hearing *hearing = owner;

	hearing->count++;
	for (size_t i = 0; i < MEMBERS; i++) {
		const char *word = ntd_qmp_event_word(event, members[i]);

		require(!word || (*word && strlen(word) <= 64));
		for (const char *c = word; c && *c; c++)
			require(*c > ' ' && *c < 127);
		ntd_buf_puts(hearing->transcript, word ? word : "-");
	}
}

static void tell(const cJSON *message, struct ntd_buf *transcript)
{
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(message, "event");
	struct ntd_list listeners = {0};
	struct hearing hearings[NAMES];

	for (size_t i = 0; i < NAMES; i++) {
		hearings[i] = (struct hearing){
			.listener = {.name = names[i], .heard = heard, .owner = &hearings[i]},
			.transcript = transcript};
		ntd_list_append(&listeners, &hearings[i].listener.link);
	}
	ntd_qmp_tell(&listeners, message);
	for (size_t i = 0; i < NAMES; i++)
		require(hearings[i].count ==
			(cJSON_IsString(name) && !strcmp(name->valuestring, names[i])));
}

/* ---- messages */

static void check(const cJSON *message, struct ntd_buf *transcript)
{
	char *text = cJSON_PrintUnformatted(message), *again;
	_cleanup_cjson_ cJSON *copy = NULL;

	require(cJSON_IsObject(message) && text && !strchr(text, '\n'));
	copy = cJSON_ParseWithLength(text, strlen(text));
	again = cJSON_PrintUnformatted(copy);
	require(again && !strcmp(text, again));
	ntd_buf_puts(transcript, text);
	cJSON_free(text);
	cJSON_free(again);
}

static void take_all(struct ntd_buf *in, struct ntd_buf *transcript)
{
	size_t before = in->len;
	cJSON *message = NULL;

	while (ntd_qmp_take_message(in, &message)) {
		require(in->len < before);
		before = in->len;
		if (message) {
			check(message, transcript);
			tell(message, transcript);
		}
		ntd_buf_puts(transcript, "\n");
		cJSON_Delete(message);
		message = NULL;
	}
	require(!message && in->len == before);
	require(!in->len || !memchr(ntd_buf_bytes(in), '\n', in->len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct ntd_buf in = {0}, whole = {0}, parts = {0};
	size_t split = size ? data[0] : 0, rest;

	if (!size)
		return 0;
	data++;
	size--;
	split = split < size ? split : size;
	ntd_buf_append(&in, data, size);
	take_all(&in, &whole);
	rest = in.len;
	ntd_buf_clear(&in);
	ntd_buf_append(&in, data, split);
	take_all(&in, &parts);
	ntd_buf_append(&in, data + split, size - split);
	take_all(&in, &parts);
	require(in.len == rest && whole.len == parts.len);
	require(!memcmp(ntd_buf_bytes(&whole), ntd_buf_bytes(&parts), whole.len));
	return 0;
}
