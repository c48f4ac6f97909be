/* Reading the text on a machine's screen. For script threads. */
#pragma once

#include "machine/machine.h"
#include "ocr/ocr.h"

/* The text of one variant of a picture of the screen. */
struct ntd_screen_text {
	enum ntd_picture_variant variant;
	const char *text; /* UTF-8 */
	double seconds;   /* how long the reading took; 0: the picture had been read before */
};

/* Called with the texts one by one, on the thread that reads the screen. Returns 1 to end the
 * reading, 0 to go on, -1 to end it with an error. */
typedef int ntd_screen_reader(void *arg, const struct ntd_screen_text *text,
			      struct ntd_waiter *waiter, struct ntd_error **err);

/* The texts of pictures that have been read, so that a screen that does not change costs nothing.
 * All zero: none. */
struct ntd_screen_memory {
	struct ntd_seen {
		struct ntd_buf picture;
		char *text;                   /* NULL: none yet */
	} seen[NTD_PICTURE_VARIANT_COUNT][2]; /* of each variant the last two: a cursor may blink */
};

/* Frees what the memory holds. */
void ntd_screen_memory_free(struct ntd_screen_memory *memory);

/* What is to be read, and who gets the texts. */
struct ntd_screen_look {
	struct ntd_ocr *ocr;
	size_t variants; /* how many of the variants, from the first */
	/* All variants are of one picture; else each is of a picture of its own. */
	bool one_picture;
	struct ntd_screen_memory *memory; /* NULL: none */
	const char *file;                 /* a picture in place of the screen; NULL: the screen */
	ntd_screen_reader *reader;
	void *arg; /* for `reader` */
};

/* Reads the variants in turn and gives each text to the reader. As many variants are worked on at
 * once as the OCR has workers; a picture is taken when the work on it begins. Blocks. Returns what
 * the reader returned last; -1 also when the machine has no screen, does not run, or ends
 * meanwhile. */
int ntd_machine_read_screen(struct ntd_machine *machine, const struct ntd_screen_look *look,
			    struct ntd_waiter *waiter, struct ntd_error **err);
