/* The places of events among each other: their ids, and which step contains them. Not thread-safe;
 * the report calls these functions with its queue's mutex. Files of this folder only.
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

/* Memory of zeros is the start. */
struct ntd_places {
	uint64_t last_id;
	ntd_vec(struct ntd_open_step) open; /* in the order of their beginnings */
};

/* Fills in id, parent and thread of an event that the calling thread emits; of an end, whose id
 * says which step it ends, what that step's beginning had. */
void ntd_places_assign(struct ntd_places *places, struct ntd_event *event);
void ntd_places_free(struct ntd_places *places);
