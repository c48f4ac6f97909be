/* The text on a machine's screen. */
#pragma once

#include "machine/machine.h"
#include "ocr/ocr.h"

/* What one variant of a picture of the screen says. */
struct ntd_screen_text {
	enum ntd_picture_variant variant;
	const char *text; /* UTF-8 */
	double seconds;   /* that it took to read; 0 when the picture had been read before */
};

/* Is given the texts one by one: 1 ends the reading, 0 does not, -1 ends it with an error. */
typedef int ntd_screen_reader(void *arg, const struct ntd_screen_text *text,
			      struct ntd_waiter *waiter, struct ntd_error **err);

/* Pictures that have been read, so that a screen that does not change costs nothing. Zero: none. */
struct ntd_screen_memory {
	struct ntd_seen {
		struct ntd_buf picture;
		char *text;                   /* NULL: none yet */
	} seen[NTD_PICTURE_VARIANT_COUNT][2]; /* the last two of each: a cursor may blink */
};

void ntd_screen_memory_free(struct ntd_screen_memory *memory);

struct ntd_screen_look {
	struct ntd_ocr *ocr;
	size_t variants;                  /* the first so many */
	bool one_picture;                 /* else each variant is of a picture of its own */
	struct ntd_screen_memory *memory; /* NULL: none */
	const char *file;                 /* a picture in place of the screen; NULL: the screen */
	ntd_screen_reader *reader;
	void *arg; /* for it */
};

/* Reads the variants of the screen in turn, on pictures that are taken when the turn comes; as many
 * turns come at once as there are workers. Blocking. Returns what the reader returned last; also -1
 * when the machine has no screen, is not running, or ends meanwhile. */
int ntd_machine_read_screen(struct ntd_machine *machine, const struct ntd_screen_look *look,
			    struct ntd_waiter *waiter, struct ntd_error **err);
