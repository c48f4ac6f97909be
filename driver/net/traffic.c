/* Samples of the switch's counts. A second in which nothing was carried is not told. Which machine
 * a client is, this room does not know: it tells the client's process and those that have started
 * it, and machines tell theirs. */
#include "net/traffic.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/parent.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How many processes are told: QEMU, a shell or two, and the driver's guard. */
enum { PIDS_MOST = 6 };

/* ---- processes */

static char *pids_of(int control)
{
	struct ucred peer = {0};
	socklen_t size = sizeof peer;
	struct ntd_buf pids = {0};
	int pid;

	if (getsockopt(control, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return ntd_strdup("");
	pid = peer.pid;
	for (int i = 0; i < PIDS_MOST && pid > 1 && pid != getpid(); i++, pid = ntd_parent_of(pid))
		ntd_buf_printf(&pids, "%s%d", i ? " " : "", pid);
	return ntd_buf_take_string(&pids);
}

/* ---- samples */

static void tell(const struct ntd_traffic *traffic, uint64_t frames, uint64_t dropped,
		 const char *pids, double seconds)
{
	char text[32], count[24], drops[24], span[32];
	char *attributes[] = {
		"frames",     count, "dropped", drops, "seconds", span, pids ? "pids" : NULL,
		(char *)pids, NULL};

	if (!frames && !dropped)
		return;
	snprintf(text, sizeof text, "VLAN %d", traffic->number);
	snprintf(count, sizeof count, "%" PRIu64, frames);
	snprintf(drops, sizeof drops, "%" PRIu64, dropped);
	snprintf(span, sizeof span, "%.3f", seconds);
	ntd_log_detail(traffic->report, NTD_DETAIL_NETWORK, NULL, text, attributes);
}

static double elapsed(const struct ntd_traffic *traffic)
{
	return ntd_seconds(ntd_now() - traffic->since);
}

static void tell_client(struct ntd_traffic_client *client)
{
	uint64_t received = ntd_port_received(client->port);

	tell(client->traffic, received - client->told, 0, client->pids, elapsed(client->traffic));
	client->told = received;
}

static void sample(struct ntd_traffic *traffic)
{
	struct ntd_switch_counts counts = ntd_switch_counts(traffic->hub);

	tell(traffic, counts.received - traffic->told.received,
	     counts.dropped - traffic->told.dropped, NULL, elapsed(traffic));
	ntd_list_each (struct ntd_traffic_client, client, &traffic->clients, link)
		tell_client(client);
	traffic->told = counts;
	traffic->since = ntd_now();
}

static void timer_expired(struct ntd_timer *timer)
{
	struct ntd_traffic *traffic = ntd_container_of(timer, struct ntd_traffic, timer);

	sample(traffic);
	ntd_timer_set(traffic->loop, timer, ntd_after(NTD_SECOND));
}

/* ---- public */

void ntd_traffic_begin(struct ntd_traffic *traffic, struct ntd_loop *loop,
		       struct ntd_report *report, const struct ntd_switch *hub, int number)
{
	*traffic = (struct ntd_traffic){.loop = loop,
					.report = report,
					.hub = hub,
					.number = number,
					.timer.expired = timer_expired,
					.since = ntd_now()};
	if (ntd_report_has_timeline(report))
		ntd_timer_set(loop, &traffic->timer, ntd_after(NTD_SECOND));
}

void ntd_traffic_end(struct ntd_traffic *traffic)
{
	if (!traffic->loop)
		return;
	sample(traffic);
	ntd_timer_cancel(&traffic->timer);
}

void ntd_traffic_join(struct ntd_traffic *traffic, struct ntd_traffic_client *client,
		      const struct ntd_port *port, int control)
{
	if (!ntd_report_has_timeline(traffic->report))
		return;
	*client = (struct ntd_traffic_client){
		.traffic = traffic, .port = port, .pids = pids_of(control)};
	ntd_list_append(&traffic->clients, &client->link);
}

void ntd_traffic_leave(struct ntd_traffic_client *client)
{
	if (!client->traffic)
		return;
	tell_client(client);
	ntd_list_unlink(&client->link);
	free(client->pids);
	client->traffic = NULL;
}
