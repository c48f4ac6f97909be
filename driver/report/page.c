/* Writing the file of a report that people look at; page.h has its format. The thread that calls
 * the sink writes.
 */
#include "report/page.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

/* Lines that become one piece. Larger ones are not packed better, and take longer to begin with in
 * the browser. */
enum { PIECE_SIZE = 256 << 10 };

/* Measured on console lines, with the time of one core: level 1 packs to 15 %, 3 to 13 %, 6 to 11 %
 * in three times as long as 1. */
enum { LEVEL = 3, GZIP_WINDOW = 15 + 16, MEMORY = 8 };

#define TAIL_BEGIN "<noscript class=\"tail\"><ul class=\"plain\">\n"
#define TAIL_LINES_BEGIN "<!--\n"
#define TAIL_LINES_END "-->\n"
/* Hides what the tail leaves behind if the driver is killed at the wrong moment. No text in the
 * tail ends it. */
#define REST_BEGIN "<script type=\"text/x-rest\">"

/* ---- lines */

void ntd_page_line(struct ntd_page *page, const char *json, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t plain = i;

		while (plain < len && !strchr("<>&", json[plain]))
			plain++;
		ntd_buf_append(&page->lines, json + i, plain - i);
		if (plain < len)
			ntd_buf_printf(&page->lines, "\\u%04x", json[plain]);
		i = plain + 1;
	}
	ntd_buf_append(&page->lines, "\n", 1);
}

void ntd_page_item(struct ntd_page *page, const char *css_class, const char *text, size_t len)
{
	ntd_buf_printf(&page->list, "<li class=\"%s\">", css_class);
	ntd_page_html(&page->list, text, len);
	ntd_buf_puts(&page->list, "\n");
}

/* ---- pieces */

/* Appends the gzipped bytes to `packed`. */
static void pack(struct ntd_buf *packed, const struct ntd_buf *bytes)
{
	z_stream stream = {.next_in = (Bytef *)ntd_buf_bytes(bytes), .avail_in = (uInt)bytes->len};
	uLong most;

	if (deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		abort(); /* out of memory */
	most = deflateBound(&stream, bytes->len);
	stream.next_out = (Bytef *)ntd_buf_reserve(packed, most);
	stream.avail_out = (uInt)most;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		abort(); /* the bound is one */
	ntd_buf_added(packed, stream.total_out);
	deflateEnd(&stream);
}

/* Makes the lines a piece of `body`, and the items a list. */
static void add_piece(struct ntd_page *page)
{
	_cleanup_buf_ struct ntd_buf packed = {0};

	pack(&packed, &page->lines);
	ntd_buf_puts(&page->body, "<script type=\"text/x-ntd-lines\">");
	ntd_page_base64(&page->body, ntd_buf_bytes(&packed), packed.len);
	ntd_buf_puts(&page->body, "</script>\n");
	if (page->list.len) {
		ntd_buf_puts(&page->body, "<noscript><ul class=\"plain\">\n");
		ntd_buf_append(&page->body, ntd_buf_bytes(&page->list), page->list.len);
		ntd_buf_puts(&page->body, "</ul></noscript>\n");
	}
	ntd_buf_clear(&page->lines);
	ntd_buf_clear(&page->list);
	page->in_tail = page->listed = 0;
}

/* Writes at the present place. */
static void put(struct ntd_page *page, const struct ntd_buf *bytes)
{
	ntd_outfile_write(&page->file, ntd_buf_bytes(bytes), bytes->len);
	if (!page->file.failed)
		page->written += (off_t)bytes->len;
}

static void fail(struct ntd_page *page)
{
	if (!page->file.failed)
		page->file.failed = errno;
}

/* Goes back to the beginning of the tail, which is written over. */
static void leave_tail(struct ntd_page *page)
{
	if (!page->has_tail)
		return;
	if (lseek(page->file.fd, page->tail_at, SEEK_SET) < 0)
		fail(page);
	page->written = page->tail_at;
	ntd_buf_puts(&page->body, REST_BEGIN);
}

/* Cuts off what is left of the tail behind the bytes that were written over it, and the mark that
 * hid it. */
static void cut_tail(struct ntd_page *page)
{
	page->written -= (off_t)strlen(REST_BEGIN);
	if (ftruncate(page->file.fd, page->written) < 0 ||
	    lseek(page->file.fd, page->written, SEEK_SET) < 0)
		fail(page);
	page->has_tail = false;
}

/* Writes the complete elements in `body`. */
static void write_body(struct ntd_page *page)
{
	if (page->file.failed || !page->body.len)
		return ntd_buf_clear(&page->body);
	leave_tail(page);
	put(page, &page->body);
	if (page->has_tail && !page->file.failed)
		cut_tail(page);
	if (!page->file.failed)
		page->tail_at = page->written;
	ntd_buf_clear(&page->body);
}

static void write_tail(struct ntd_page *page)
{
	_cleanup_buf_ struct ntd_buf added = {0};

	if (!page->can_seek || page->lines.len == page->in_tail)
		return;
	if (!page->has_tail)
		ntd_buf_puts(&added, TAIL_BEGIN);
	ntd_buf_puts(&added, TAIL_LINES_BEGIN);
	ntd_buf_append(&added, ntd_buf_bytes(&page->lines) + page->in_tail,
		       page->lines.len - page->in_tail);
	ntd_buf_puts(&added, TAIL_LINES_END);
	ntd_buf_append(&added, ntd_buf_bytes(&page->list) + page->listed,
		       page->list.len - page->listed);
	put(page, &added);
	page->has_tail = true;
	page->in_tail = page->lines.len;
	page->listed = page->list.len;
}

void ntd_page_flush(struct ntd_page *page)
{
	if (page->lines.len >= PIECE_SIZE)
		add_piece(page);
	/* What is complete goes before the tail, whose lines follow once more. */
	if (page->body.len) {
		page->in_tail = page->listed = 0;
		write_body(page);
	}
	write_tail(page);
}

void ntd_page_picture(struct ntd_page *page, const char *name, const struct ntd_buf *png)
{
	ntd_buf_puts(&page->body, "<script type=\"text/x-ntd-picture\">");
	ntd_page_json_string(&page->body, name, strlen(name));
	ntd_buf_puts(&page->body, "\n");
	ntd_page_base64(&page->body, ntd_buf_bytes(png), png->len);
	ntd_buf_puts(&page->body, "</script>\n");
}

void ntd_page_verdict(struct ntd_page *page, bool failed, const char *text)
{
	ntd_buf_printf(&page->body, "<noscript><p class=\"verdict %s\">", failed ? "bad" : "good");
	ntd_page_html(&page->body, text, strlen(text));
	ntd_buf_puts(&page->body, "</noscript>\n");
}

/* ---- the whole */

int ntd_page_open(struct ntd_page *page, const char *path, struct ntd_error **err)
{
	struct stat status;

	*page = (struct ntd_page){0};
	if (ntd_outfile_open(&page->file, path, err) < 0)
		return -1;
	page->can_seek = fstat(page->file.fd, &status) == 0 && S_ISREG(status.st_mode);
	ntd_buf_append(&page->body, ntd_page_head, ntd_page_head_len);
	write_body(page);
	return 0;
}

/* Ends the file behind its first so many bytes, after a write has failed. */
static bool end_broken(struct ntd_page *page, off_t len)
{
	static const char end[] =
		NTD_PAGE_BROKEN("unwritten", "This page could not be written to its end");
	int fd = page->file.fd;

	return ftruncate(fd, len) == 0 && lseek(fd, len, SEEK_SET) == len &&
	       ntd_fd_write_all(fd, end, strlen(end)) == 0;
}

int ntd_page_close(struct ntd_page *page, const char *end, struct ntd_error **err)
{
	int result;

	if (page->lines.len || page->list.len)
		add_piece(page);
	ntd_buf_printf(&page->body, "<script type=\"text/x-ntd-end\">%s</script>\n" NTD_PAGE_LAST,
		       end);
	write_body(page);
	/* A disk that is full has room again without the tail. */
	if (page->file.failed && page->can_seek && !end_broken(page, page->written))
		end_broken(page, page->tail_at);
	result = ntd_outfile_close(&page->file, err);
	ntd_buf_free(&page->body);
	ntd_buf_free(&page->lines);
	ntd_buf_free(&page->list);
	return result;
}
