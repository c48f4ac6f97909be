/* Scripts have few threads and few steps in each other, so the open steps of all threads are in one
 * array, which is searched from its end.
 */
#include "report/places.h"

#include <stdatomic.h>

/* The number of the calling thread, which is the same in all reports. No other thread of the
 * process ever gets it. */
static unsigned this_thread(void)
{
	static atomic_uint count;
	static _Thread_local unsigned number;

	if (!number)
		number = ++count;
	return number;
}

/* Where the calling thread is in the test's sources. */
static _Thread_local uint16_t this_source;
static _Thread_local uint32_t this_line;

void ntd_report_at(uint16_t source, uint32_t line)
{
	this_source = source;
	this_line = line;
}

/* A detail may have a place of its own. */
static void assign_line(struct ntd_event *event)
{
	if (event->source || event->kind == NTD_EVENT_SERIAL)
		return;
	event->source = this_source;
	event->line = this_line;
}

/* Console lines have no parent: guests print them, whatever a thread is doing. */
static uint64_t parent_of(const struct ntd_places *places, const struct ntd_event *event)
{
	size_t i = places->open.count;

	if (event->kind == NTD_EVENT_SERIAL)
		return 0;
	while (i && places->open.items[i - 1].thread != event->thread)
		i--;
	return i ? places->open.items[i - 1].id : 0;
}

/* A step may end on another thread than the one that has begun it. */
static void close_step(struct ntd_places *places, struct ntd_event *event)
{
	size_t i = places->open.count;

	while (i && places->open.items[i - 1].id != event->id)
		i--;
	if (!i)
		return;
	event->parent = places->open.items[i - 1].parent;
	event->step = places->open.items[i - 1].step;
	ntd_vec_remove(&places->open, i - 1);
}

void ntd_places_assign(struct ntd_places *places, struct ntd_event *event)
{
	event->thread = this_thread();
	assign_line(event);
	if (ntd_event_ends_step(event->kind)) {
		close_step(places, event);
		return;
	}
	event->id = ++places->last_id;
	event->parent = parent_of(places, event);
	if (ntd_event_begins_step(event->kind))
		ntd_vec_push(&places->open, (struct ntd_open_step){.id = event->id,
								   .parent = event->parent,
								   .thread = event->thread,
								   .step = event->step});
}

void ntd_places_free(struct ntd_places *places)
{
	ntd_vec_free(&places->open);
}
