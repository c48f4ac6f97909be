/* Fuzzes --report-from: the reader of lines that --events has written, and the page that is made of
 * them. Whatever the lines are, behind its head the page has no other tags than those that the
 * writer makes, and it is whole. Without its first byte, which says whether a first line that is
 * right goes before, the input is such a file.
 */
#include "report/event_json.h"
#include "report/page.h"
#include "report/sinks.h"

#include "base/fd.h"
#include "base/memfd.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FORMAT                                                                                     \
	"{\"monotonic\":1.5,\"wall\":\"2026-01-01T00:00:00.000000Z\",\"kind\":\"format\","         \
	"\"format\":\"nixos-test-driver-events\",\"version\":1}\n"

static const char *const tags[] = {
	"<script type=\"text/x-ntd-lines\">",
	"<script type=\"text/x-ntd-picture\">",
	"<script type=\"text/x-ntd-end\">{}</script>\n</body></html>\n",
	"</script>\n",
	"<noscript><ul class=\"plain\">\n<li class=\"",
	"<li class=\"",
	"</ul></noscript>\n",
	"<noscript><p class=\"verdict ",
	"</noscript>\n",
};
enum { TAGS = sizeof tags / sizeof *tags };

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* The length of the tags at `at`; 0: these are no tags of the writer's. */
static size_t tag_length(const char *at, const char *end)
{
	for (size_t i = 0; i < TAGS; i++)
		if ((size_t)(end - at) >= strlen(tags[i]) && !memcmp(at, tags[i], strlen(tags[i])))
			return strlen(tags[i]);
	return 0;
}

static void check_page(int fd)
{
	_cleanup_buf_ struct ntd_buf page = {0};
	const char *at, *end;

	require(lseek(fd, 0, SEEK_SET) == 0 && ntd_fd_read_all(fd, &page, 256 << 20) == 0);
	require(page.len > ntd_page_head_len);
	at = ntd_buf_bytes(&page) + ntd_page_head_len;
	end = ntd_buf_bytes(&page) + page.len;
	require(!memcmp(end - strlen(tags[2]), tags[2], strlen(tags[2])));
	while ((at = memchr(at, '<', (size_t)(end - at)))) {
		size_t len = tag_length(at, end);

		require(len);
		at += len;
	}
}

/* What is read as an event is one that can be written and read again. */
static void check_line(const char *line, size_t len)
{
	struct ntd_parsed_event parsed, again;
	_cleanup_cjson_ cJSON *object = NULL;
	_cleanup_free_ char *text = NULL;

	if (ntd_event_parse(&parsed, line, len)) {
		object = ntd_event_object(&parsed.event);
		text = cJSON_PrintUnformatted(object);
		require(text && ntd_event_parse(&again, text, strlen(text)));
		require(again.event.kind == parsed.event.kind && again.event.id == parsed.event.id);
		ntd_parsed_event_free(&again);
	}
	ntd_parsed_event_free(&parsed);
}

static void check_lines(const char *bytes, size_t len)
{
	const char *end;

	for (; (end = memchr(bytes, '\n', len)); bytes = end + 1) {
		check_line(bytes, (size_t)(end - bytes));
		len -= (size_t)(end - bytes) + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct ntd_buf bytes = {0};
	_cleanup_fd_ int events = -1, page = -1;
	_cleanup_error_ struct ntd_error *error = NULL;
	char events_path[64], page_path[64];

	if (!size)
		return 0;
	if (data[0] & 1)
		ntd_buf_puts(&bytes, FORMAT);
	ntd_buf_append(&bytes, data + 1, size - 1);
	events = ntd_memory_file(ntd_buf_bytes(&bytes), bytes.len, NULL);
	page = ntd_memory_file("", 0, NULL);
	require(events >= 0 && page >= 0);
	snprintf(events_path, sizeof events_path, "/proc/self/fd/%d", events);
	snprintf(page_path, sizeof page_path, "/proc/self/fd/%d", page);
	if (ntd_page_from_events(events_path, page_path, &error) == 0)
		check_page(page);
	else
		require(error && error->code == NTD_E_USAGE);
	check_lines(ntd_buf_bytes(&bytes), bytes.len);
	return 0;
}
