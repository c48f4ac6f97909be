#include "machine/screen_text.h"

#include "machine/internal.h"
#include "machine/screen.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { FILE_LIMIT = 256 << 20, READ_SIZE = 64 << 10 };

/* A picture of a few megapixels takes seconds; others may be in the queue before it. */
#define READING_PATIENCE (900 * NTD_SECOND)

/* ---- a picture of the screen */

static int read_fd(int fd, struct ntd_buf *bytes)
{
	ssize_t got;

	while ((got = read(fd, ntd_buf_reserve(bytes, READ_SIZE), READ_SIZE)) > 0) {
		ntd_buf_added(bytes, (size_t)got);
		if (bytes->len > FILE_LIMIT) {
			errno = EFBIG;
			return -1;
		}
	}
	return (int)got;
}

static int take_picture_at(struct ntd_machine *machine, const char *path, struct ntd_buf *picture,
			   struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_fd_ int fd = -1;

	if (ntd_machine_screenshot(machine, path, waiter, err) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC); /* QEMU may have made another file of that name */
	if (fd < 0 || read_fd(fd, picture) < 0)
		return ntd_error_sys(err, errno, "machine '%s': cannot read %s", machine->name,
				     path);
	return 0;
}

static int take_picture(struct ntd_machine *machine, struct ntd_buf *picture,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/screen-XXXXXX.png", machine->state_dir);
	_cleanup_fd_ int reserved = -1;
	int result;

	if (machine->hooks.before_command &&
	    machine->hooks.before_command(machine->hooks.owner, waiter, err) < 0)
		return -1;
	reserved = mkostemps(path, (int)strlen(".png"), O_CLOEXEC);
	if (reserved < 0)
		return ntd_error_sys(err, errno, "machine '%s': cannot make %s", machine->name,
				     path);
	result = take_picture_at(machine, path, picture, waiter, err);
	unlink(path);
	return result;
}

/* ---- memory */

static const struct ntd_seen *recall(const struct ntd_screen_memory *memory,
				     const struct ntd_buf *picture,
				     enum ntd_picture_variant variant)
{
	for (size_t i = 0; i < sizeof memory->seen / sizeof *memory->seen; i++) {
		const struct ntd_seen *seen = &memory->seen[i];

		if (seen->text && seen->variant == variant && seen->picture.len == picture->len &&
		    !memcmp(ntd_buf_bytes(&seen->picture), ntd_buf_bytes(picture), picture->len))
			return seen;
	}
	return NULL;
}

static void forget(struct ntd_seen *seen)
{
	ntd_buf_free(&seen->picture);
	free(ntd_steal(&seen->text));
}

/* Takes the picture. */
static void remember(struct ntd_screen_memory *memory, struct ntd_buf *picture,
		     const struct ntd_screen_text *text)
{
	struct ntd_seen *seen = &memory->seen[memory->next++];

	memory->next %= sizeof memory->seen / sizeof *memory->seen;
	forget(seen);
	*seen = (struct ntd_seen){
		.variant = text->variant, .picture = *picture, .text = ntd_strdup(text->text)};
	*picture = (struct ntd_buf){0};
}

void ntd_screen_memory_free(struct ntd_screen_memory *memory)
{
	for (size_t i = 0; i < sizeof memory->seen / sizeof *memory->seen; i++)
		forget(&memory->seen[i]);
}
