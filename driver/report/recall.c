/* The last events, in a ring of entries; the oldest entries make room for new ones. The report
 * calls the sink on one thread at a time, but a script's thread may recall events meanwhile: hence
 * the mutex.
 */
#include "report/recall.h"

#include <pthread.h>
#include <string.h>

enum { FIRST_CAPACITY = 1024 };

struct entry {
	char *machine; /* NULL: the event is about the whole run */
	char *text;
	size_t len;
	bool serial;
};

struct recall {
	struct ntd_sink sink;
	pthread_mutex_t mutex; /* guards the members below */
	struct entry *entries; /* a ring; entry number n is at n % capacity */
	size_t capacity, first, next;
	size_t bytes, limit;
};

static struct entry *entry_at(struct recall *recall, size_t number)
{
	return &recall->entries[number % recall->capacity];
}

static size_t cost(const struct entry *entry)
{
	return entry->len + NTD_RECALL_OVERHEAD;
}

static void drop_first(struct recall *recall)
{
	struct entry *entry = entry_at(recall, recall->first++);

	recall->bytes -= cost(entry);
	free(ntd_steal(&entry->machine));
	free(ntd_steal(&entry->text));
}

static void grow(struct recall *recall)
{
	size_t capacity = 2 * recall->capacity;
	struct entry *entries = ntd_calloc(capacity, sizeof *entries);

	for (size_t number = recall->first; number < recall->next; number++)
		entries[number % capacity] = *entry_at(recall, number);
	free(recall->entries);
	recall->entries = entries;
	recall->capacity = capacity;
}

static void add(struct recall *recall, const struct ntd_event *event, char *text)
{
	struct entry *entry;

	if (recall->next - recall->first == recall->capacity)
		grow(recall);
	entry = entry_at(recall, recall->next++);
	*entry = (struct entry){
		.machine = event->machine ? ntd_strdup(event->machine) : NULL,
		.text = text,
		.len = strlen(text),
		.serial = event->kind == NTD_EVENT_SERIAL,
	};
	recall->bytes += cost(entry);
	while (recall->bytes > recall->limit && recall->first < recall->next)
		drop_first(recall);
}

/* The event as a new string; NULL: the report of a test does not repeat such events. */
static char *text_of(const struct ntd_event *event)
{
	const char *colon = event->machine ? ": " : "";
	const char *machine = event->machine ? event->machine : "";

	switch (event->kind) {
	case NTD_EVENT_SERIAL:
		return ntd_strndup(event->text, event->text_len);
	case NTD_EVENT_NEST_END:
		return event->failed ? NULL
				     : ntd_asprintf("%s%s(finished: %s, in %.2f seconds)", machine,
						    colon, event->text, event->seconds);
	case NTD_EVENT_MESSAGE:
	case NTD_EVENT_NEST_BEGIN:
		return ntd_asprintf("%s%s%s", machine, colon, event->text);
	case NTD_EVENT_SUBTEST_BEGIN:
	case NTD_EVENT_SUBTEST_END:
	case NTD_EVENT_TEST_ERROR:
	case NTD_EVENT_RUN_END:
	case NTD_EVENT_STATE:
	case NTD_EVENT_COMMAND_END:
	case NTD_EVENT_OUTPUT:
	case NTD_EVENT_BUSY:
	case NTD_EVENT_IDLE:
	case NTD_EVENT_DETAIL:
	case NTD_EVENT_KIND_COUNT:
	default:
		return NULL;
	}
}

static void recall_event(struct ntd_sink *sink, const struct ntd_event *event)
{
	struct recall *recall = ntd_container_of(sink, struct recall, sink);
	char *text = text_of(event);

	if (!text)
		return;
	pthread_mutex_lock(&recall->mutex);
	add(recall, event, text);
	pthread_mutex_unlock(&recall->mutex);
}

static void recall_close(struct ntd_sink *sink)
{
	struct recall *recall = ntd_container_of(sink, struct recall, sink);

	while (recall->first < recall->next)
		drop_first(recall);
	free(recall->entries);
	pthread_mutex_destroy(&recall->mutex);
	free(recall);
}

struct ntd_sink *ntd_recall_sink(size_t limit)
{
	struct recall *recall = ntd_calloc(1, sizeof *recall);

	recall->sink = (struct ntd_sink){.event = recall_event, .close = recall_close};
	recall->capacity = FIRST_CAPACITY;
	recall->entries = ntd_calloc(recall->capacity, sizeof *recall->entries);
	recall->limit = limit;
	pthread_mutex_init(&recall->mutex, NULL);
	return &recall->sink;
}

size_t ntd_recall_position(struct ntd_sink *sink)
{
	struct recall *recall = ntd_container_of(sink, struct recall, sink);
	size_t next;

	pthread_mutex_lock(&recall->mutex);
	next = recall->next;
	pthread_mutex_unlock(&recall->mutex);
	return next;
}

static bool wanted(const struct entry *entry, const char *console)
{
	if (!console)
		return !entry->serial;
	return entry->serial && entry->machine && !strcmp(entry->machine, console);
}

void ntd_recall(struct ntd_sink *sink, size_t from, const char *console, struct ntd_buf *out)
{
	struct recall *recall = ntd_container_of(sink, struct recall, sink);

	pthread_mutex_lock(&recall->mutex);
	for (size_t number = from > recall->first ? from : recall->first; number < recall->next;
	     number++) {
		const struct entry *entry = entry_at(recall, number);

		if (!wanted(entry, console))
			continue;
		ntd_buf_append(out, entry->text, entry->len);
		ntd_buf_puts(out, "\n");
	}
	pthread_mutex_unlock(&recall->mutex);
}
