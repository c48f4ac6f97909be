/* QMP messages as such, without a connection: taking them off what QEMU has written, and telling
 * listeners of events. The functions run on the thread of their caller, which for a connection is
 * the loop thread. QEMU's bytes are not trusted: members may be missing or have any type.
 */
#include "qemu/qmp.h"

#include <string.h>

/* QAPI's names of values consist of these. */
static const char word_characters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum { WORD_LIMIT = 64 };

bool ntd_qmp_take_message(struct ntd_buf *in, cJSON **message)
{
	const char *bytes = ntd_buf_bytes(in);
	const char *end = in->len ? memchr(bytes, '\n', in->len) : NULL;

	if (!end)
		return false;
	*message = cJSON_ParseWithLength(bytes, (size_t)(end - bytes));
	if (cJSON_IsObject(*message)) {
		/* cJSON does not use this member of an object, and frees it with the object. */
		(*message)->valuestring = ntd_strndup(bytes, (size_t)(end - bytes));
	} else {
		cJSON_Delete(*message);
		*message = NULL;
	}
	ntd_buf_consume(in, (size_t)(end - bytes) + 1);
	return true;
}

const char *ntd_qmp_text(const cJSON *message)
{
	return message->valuestring;
}

const char *ntd_qmp_event_word(const cJSON *event, const char *member)
{
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(event, "data");
	const char *word = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, member));
	size_t len = word ? strlen(word) : 0;

	return len && len <= WORD_LIMIT && strspn(word, word_characters) == len ? word : NULL;
}

bool ntd_qmp_tell(const struct ntd_list *listeners, const cJSON *event)
{
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "event"));
	bool is_private = false;

	if (!name)
		return false;
	ntd_list_each (struct ntd_qmp_listener, listener, listeners, link) {
		if (strcmp(listener->name, name) != 0)
			continue;
		if (listener->is_private && listener->is_private(listener->owner, event))
			is_private = true;
		listener->heard(listener->owner, event);
	}
	return is_private;
}
