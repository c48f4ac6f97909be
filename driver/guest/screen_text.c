/* Reads the text on the screen: takes pictures on a script thread, which then waits for OCR's
 * workers. QEMU writes a picture to a file in the state directory, which the driver reads and
 * removes at once. A reading is one variant of one picture: a job for a worker, or the text of an
 * equal picture that is remembered.
 */
#include "guest/screen_text.h"

#include "base/fd.h"
#include "guest/screen.h"
#include "machine/life_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { FILE_LIMIT = 256 << 20 };

/* A picture of a few megapixels takes seconds; others may be in the queue before it. */
#define READING_PATIENCE (900 * NTD_SECOND)

/* ---- a picture of the screen */

static int read_picture(const struct ntd_machine *machine, const char *path,
			struct ntd_buf *picture, struct ntd_error **err)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || ntd_fd_read_all(fd, picture, FILE_LIMIT) < 0)
		return ntd_error_sys(err, errno, "machine '%s': cannot read %s",
				     ntd_machine_name(machine), path);
	return 0;
}

/* Takes and reads a picture, by its path both times: QEMU may put another file there. */
static int take_picture_at(struct ntd_machine *machine, const char *path, struct ntd_buf *picture,
			   struct ntd_waiter *waiter, struct ntd_error **err)
{
	if (ntd_machine_screenshot(machine, path, waiter, err) < 0)
		return -1;
	return read_picture(machine, path, picture, err);
}

static int take_picture(struct ntd_machine *machine, struct ntd_buf *picture,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *path =
		ntd_asprintf("%s/screen-XXXXXX.png", ntd_machine_state_dir(machine));
	_cleanup_fd_ int reserved = -1;
	int result;

	if (ntd_machine_before_command(machine, waiter, err) < 0)
		return -1;
	reserved = mkostemps(path, (int)strlen(".png"), O_CLOEXEC);
	if (reserved < 0)
		return ntd_error_sys(err, errno, "machine '%s': cannot make %s",
				     ntd_machine_name(machine), path);
	result = take_picture_at(machine, path, picture, waiter, err);
	unlink(path);
	return result;
}

/* ---- memory */

static const char *recall(const struct ntd_screen_memory *memory, const struct ntd_buf *picture,
			  enum ntd_picture_variant variant)
{
	const struct ntd_seen *seen = memory ? memory->seen[variant] : NULL;

	for (size_t i = 0; seen && i < 2; i++)
		if (seen[i].text && seen[i].picture.len == picture->len &&
		    !memcmp(ntd_buf_bytes(&seen[i].picture), ntd_buf_bytes(picture), picture->len))
			return seen[i].text;
	return NULL;
}

static void forget(struct ntd_seen *seen)
{
	ntd_buf_free(&seen->picture);
	free(ntd_steal(&seen->text));
}

/* Remembers the text of a picture, whose bytes it takes. */
static void remember(struct ntd_screen_memory *memory, struct ntd_buf *picture,
		     const struct ntd_screen_text *text)
{
	struct ntd_seen *seen = memory->seen[text->variant];

	forget(&seen[1]);
	seen[1] = seen[0];
	seen[0] = (struct ntd_seen){.picture = *picture, .text = ntd_strdup(text->text)};
	*picture = (struct ntd_buf){0};
}

void ntd_screen_memory_free(struct ntd_screen_memory *memory)
{
	for (size_t i = 0; i < NTD_PICTURE_VARIANT_COUNT; i++) {
		forget(&memory->seen[i][0]);
		forget(&memory->seen[i][1]);
	}
}

/* ---- one variant */

struct reading {
	struct ntd_buf picture;
	int64_t taken;     /* when the picture was got, a time of ntd_now() */
	const char *known; /* its text, from the memory; NULL: it is to be read */
	struct ntd_ocr_job *job;
};

/* Takes the picture of a variant and begins its job, unless its text is remembered. */
static int begin(struct ntd_machine *machine, const struct ntd_screen_look *look,
		 struct reading *readings, size_t index, struct ntd_waiter *waiter,
		 struct ntd_error **err)
{
	struct reading *reading = &readings[index];
	const struct ntd_buf *first = &readings[0].picture;

	if (index && look->one_picture)
		ntd_buf_append(&reading->picture, ntd_buf_bytes(first), first->len);
	else if (look->file) {
		if (read_picture(machine, look->file, &reading->picture, err) < 0)
			return -1;
	} else if (take_picture(machine, &reading->picture, waiter, err) < 0)
		return -1;
	reading->taken = index && look->one_picture ? readings[0].taken : ntd_now();
	reading->known = recall(look->memory, &reading->picture, index);
	if (!reading->known)
		reading->job = ntd_ocr_begin(look->ocr, &reading->picture, index);
	return 0;
}

static int fail_without_machine(struct ntd_machine *machine, struct ntd_error **err)
{
	struct ntd_error *death = ntd_machine_death(machine);

	if (death)
		return ntd_error_move(err, death);
	return ntd_error_set(err, NTD_E_DEAD, "machine '%s' was shut down in the meantime",
			     ntd_machine_name(machine));
}

/* Waits until the job or the machine has ended: one request is completed by either. */
static int wait_for_job(struct ntd_machine *machine, struct ntd_ocr_job *job,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_life_wait either = {.kind = NTD_WAIT_GONE};
	int result;

	ntd_life_begin(machine, &either);
	ntd_ocr_tell(job, &either.request);
	result = ntd_request_wait(&either.request, ntd_after(READING_PATIENCE), waiter, err);
	ntd_ocr_tell(job, NULL);
	if (result < 0)
		return ntd_error_wrap(err, "machine '%s': reading the screen",
				      ntd_machine_name(machine));
	return ntd_ocr_has_ended(job) ? 0 : fail_without_machine(machine, err);
}

/* Reading takes seconds: the report gets told how many have passed since the picture. */
static void tell(const struct ntd_machine *machine, const struct reading *reading, const char *text)
{
	_cleanup_free_ char *seconds =
		ntd_asprintf("%.3f", ntd_seconds(ntd_now() - reading->taken));
	char *attributes[] = {"seconds", seconds, NULL};

	ntd_log_detail(ntd_machine_report(machine), NTD_DETAIL_SCREEN_TEXT,
		       ntd_machine_name(machine), text, attributes);
}

/* Waits for the text and gives it to the reader. */
static int finish(struct ntd_machine *machine, const struct ntd_screen_look *look,
		  struct reading *reading, enum ntd_picture_variant variant,
		  struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_screen_text text = {.variant = variant, .text = reading->known};
	int result;

	if (reading->job) {
		if (wait_for_job(machine, reading->job, waiter, err) < 0)
			return -1;
		text.text = ntd_ocr_text(reading->job, &text.seconds, err);
	}
	if (!text.text)
		return ntd_error_wrap(err, "machine '%s'", ntd_machine_name(machine));
	if (reading->job)
		tell(machine, reading, text.text);
	result = look->reader(look->arg, &text, waiter, err);
	if (reading->job && look->memory)
		remember(look->memory, &reading->picture, &text);
	return result;
}

/* ---- all of them */

static int read_each(struct ntd_machine *machine, const struct ntd_screen_look *look,
		     struct reading *readings, struct ntd_waiter *waiter, struct ntd_error **err)
{
	size_t begun = 0, workers = ntd_ocr_workers(look->ocr);
	int result = 0;

	for (size_t i = 0; result == 0 && i < look->variants; i++) {
		for (; begun < look->variants && begun < i + workers; begun++)
			if (begin(machine, look, readings, begun, waiter, err) < 0)
				return -1;
		result = finish(machine, look, &readings[i], i, waiter, err);
	}
	return result;
}

int ntd_machine_read_screen(struct ntd_machine *machine, const struct ntd_screen_look *look,
			    struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct reading readings[NTD_PICTURE_VARIANT_COUNT] = {0};
	int result = read_each(machine, look, readings, waiter, err);

	for (size_t i = 0; i < NTD_PICTURE_VARIANT_COUNT; i++) {
		ntd_ocr_drop(readings[i].job);
		ntd_buf_free(&readings[i].picture);
	}
	return result;
}
