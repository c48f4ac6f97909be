/* The sink that writes the page, as page_from.c uses it, too. For files of this room only. */
#pragma once

#include "base/json.h"
#include "report/report.h"

/* `format`: the first line of the events, which the function takes. `pictures`: the directory below
 * which the files of pictures are, whatever their paths say; NULL: they are where the paths say. */
struct ntd_sink *ntd_page_sink_new(const char *path, cJSON *format, const char *pictures,
				   struct ntd_error **err);
/* Closes the sink as its `close` does, and returns -1 when the page could not be written. */
int ntd_page_sink_end(struct ntd_sink *sink, struct ntd_error **err);
