/* The places of events in a run: their ids, and the steps that contain them. For files of this room
 * only. The functions take no lock: the report calls them with its queue's mutex.
 */
#pragma once

#include "base/vec.h"
#include "report/report.h"

/* A step that has begun and not ended. */
struct ntd_open_step {
	uint64_t id, parent;
	unsigned thread;
	enum ntd_step step;
};

/* Memory of zeros is ready for the first event. */
struct ntd_places {
	uint64_t last_id;
	ntd_vec(struct ntd_open_step) open; /* in the order of their beginnings */
};

/* Fills in the id, the parent and the thread of an event that the calling thread emits. The end of
 * a step comes with the id of its beginning, and gets the beginning's parent and kind of step. */
void ntd_places_assign(struct ntd_places *places, struct ntd_event *event);
void ntd_places_free(struct ntd_places *places);
