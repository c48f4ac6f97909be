/* The service MOUNT of the agent: mounts by mount(2) what mount(8) would mount, which takes a
 * process and its libraries for each. A guest that has just gone back to an earlier state is
 * slowest at just that, since an emulator has to translate everything anew.
 */
#include "agent/mount.h"

#include <string.h>
#include <sys/mount.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

/* The words of /proc/mounts that are not the file system's. */
static const struct {
	const char *word;
	unsigned long flag;
} flags[] = {
	{"rw", 0},
	{"ro", MS_RDONLY},
	{"nosuid", MS_NOSUID},
	{"nodev", MS_NODEV},
	{"noexec", MS_NOEXEC},
	{"sync", MS_SYNCHRONOUS},
	{"dirsync", MS_DIRSYNC},
	{"mand", MS_MANDLOCK},
	{"lazytime", MS_LAZYTIME},
	{"noatime", MS_NOATIME},
	{"nodiratime", MS_NODIRATIME},
	{"relatime", MS_RELATIME},
	{"nosymfollow", MS_NOSYMFOLLOW},
};

/* ---- a line of the list */

/* Takes the next word off a line. Returns false when there is none. */
static bool next_word(const char **at, const char *end, const char **word, size_t *len)
{
	while (*at < end && **at == ' ')
		++*at;
	*word = *at;
	while (*at < end && **at != ' ')
		++*at;
	*len = (size_t)(*at - *word);
	return *len;
}

static bool is_octal(const char *digits, size_t len)
{
	return len >= 3 && digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0' &&
	       digits[1] <= '7' && digits[2] >= '0' && digits[2] <= '7';
}

/* Appends a word with its escapes, such as \040, resolved, and a NUL. Returns its place. */
static char *resolve(char **to, const char *word, size_t len)
{
	char *text = *to;

	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\\' && is_octal(word + i + 1, len - i - 1)) {
			*(*to)++ = (char)((word[i + 1] - '0') * 64 + (word[i + 2] - '0') * 8 +
					  (word[i + 3] - '0'));
			i += 3;
		} else {
			*(*to)++ = word[i];
		}
	}
	*(*to)++ = '\0';
	return text;
}

static bool read_flag(const char *word, size_t len, unsigned long *flag)
{
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (strlen(flags[i].word) != len || memcmp(flags[i].word, word, len) != 0)
			continue;
		*flag |= flags[i].flag;
		return true;
	}
	return false;
}

static void read_options(struct ntd_mount *mount, const char *options, size_t len)
{
	const char *end = options + len;

	while (options < end) {
		const char *comma = memchr(options, ',', (size_t)(end - options));
		size_t word = (size_t)((comma ? comma : end) - options);

		if (!read_flag(options, word, &mount->flags)) {
			if (mount->options.len)
				ntd_buf_append(&mount->options, ",", 1);
			ntd_buf_append(&mount->options, options, word);
		}
		options += word + 1;
	}
}

bool ntd_mount_read(const char *line, size_t len, struct ntd_mount *mount)
{
	const char *end = line + len, *words[4];
	size_t lens[4];
	char *to = ntd_malloc(len + 3);

	*mount = (struct ntd_mount){.tag = to};
	for (size_t i = 0; i < 4; i++)
		if (!next_word(&line, end, &words[i], &lens[i]))
			return false;
	resolve(&to, words[0], lens[0]);
	mount->directory = resolve(&to, words[1], lens[1]);
	mount->type = resolve(&to, words[2], lens[2]);
	read_options(mount, words[3], lens[3]);
	return true;
}

void ntd_mount_free(struct ntd_mount *mount)
{
	free(mount->tag);
	ntd_buf_free(&mount->options);
}

/* ---- the service */

static void mount_line(const char *line, size_t len, struct ntd_buf *failures)
{
	_cleanup_mount_ struct ntd_mount mount;
	_cleanup_free_ char *options = NULL;
	bool is_mount = ntd_mount_read(line, len, &mount);
	int error = 0;

	options = ntd_buf_take_string(&mount.options);
	if (is_mount)
		error = ntd_agent_mount_share(&mount, options);
	if (!is_mount)
		ntd_buf_printf(failures, "%snot a mount: %.*s", failures->len ? "; " : "", (int)len,
			       line);
	else if (error)
		ntd_buf_printf(failures, "%scannot mount %s at %s: %s", failures->len ? "; " : "",
			       mount.tag, mount.directory, strerror(error));
}

static char *serve(const char *payload, size_t len)
{
	const char *end = payload + len;
	struct ntd_buf failures = {0};

	while (payload < end) {
		const char *newline = memchr(payload, '\n', (size_t)(end - payload));
		size_t line = (size_t)((newline ? newline : end) - payload);

		mount_line(payload, line, &failures);
		payload += line + 1;
	}
	return failures.len ? ntd_buf_take_string(&failures) : NULL;
}

const struct ntd_agent_service ntd_agent_mount = {.kind = NTD_FRAME_MOUNT, .serve = serve};
