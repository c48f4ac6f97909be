#include "machine/inbox.h"

enum { INBOX_LIMIT = 16 << 20 };

struct ntd_inbox_wait {
	struct ntd_request request;
	struct ntd_inbox *inbox;
	struct ntd_buf *bytes;
	size_t limit;
	struct ntd_inbox_wait *next;
};

static void serve(struct ntd_inbox_wait *wait)
{
	struct ntd_buf *from = &wait->inbox->bytes;
	size_t len = from->len < wait->limit ? from->len : wait->limit;

	ntd_buf_append(wait->bytes, ntd_buf_bytes(from), len);
	ntd_buf_consume(from, len);
	ntd_request_complete(&wait->request, NULL);
}

static void serve_waits(struct ntd_inbox *inbox)
{
	while (inbox->waits && (inbox->bytes.len || !inbox->open)) {
		struct ntd_inbox_wait *wait = inbox->waits;

		inbox->waits = wait->next;
		serve(wait);
	}
}

void ntd_inbox_open(struct ntd_inbox *inbox)
{
	ntd_buf_clear(&inbox->bytes);
	inbox->open = true;
}

void ntd_inbox_close(struct ntd_inbox *inbox)
{
	inbox->open = false;
	serve_waits(inbox);
}

void ntd_inbox_add(struct ntd_inbox *inbox, const char *bytes, size_t len)
{
	ntd_buf_append(&inbox->bytes, bytes, len);
	if (inbox->bytes.len > INBOX_LIMIT)
		ntd_buf_consume(&inbox->bytes, inbox->bytes.len - INBOX_LIMIT / 2);
	serve_waits(inbox);
}

void ntd_inbox_free(struct ntd_inbox *inbox)
{
	ntd_buf_free(&inbox->bytes);
}

/* ---- script threads */

static void begin(struct ntd_request *request)
{
	struct ntd_inbox_wait *wait = ntd_container_of(request, struct ntd_inbox_wait, request);
	struct ntd_inbox_wait **link = &wait->inbox->waits;

	while (*link)
		link = &(*link)->next;
	*link = wait;
	serve_waits(wait->inbox);
}

static void abandon(struct ntd_request *request)
{
	struct ntd_inbox_wait *wait = ntd_container_of(request, struct ntd_inbox_wait, request);
	struct ntd_inbox_wait **link = &wait->inbox->waits;

	while (*link && *link != wait)
		link = &(*link)->next;
	if (*link)
		*link = wait->next;
}

int ntd_inbox_take(struct ntd_inbox *inbox, size_t limit, struct ntd_buf *bytes, int64_t deadline,
		   struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_inbox_wait wait = {.request = {.begin = begin, .abandon = abandon},
				      .inbox = inbox,
				      .bytes = bytes,
				      .limit = limit};

	return ntd_request_run(inbox->loop, &wait.request, deadline, waiter, err);
}
