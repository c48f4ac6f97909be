/* What a VLAN carries, told once a second for a timeline: frames and drops of the whole, and frames
 * of each client. All functions are for the loop's thread. Nothing happens unless a sink wants a
 * timeline.
 */
#pragma once

#include "base/list.h"
#include "net/switch.h"
#include "report/report.h"

struct ntd_traffic {
	struct ntd_loop *loop;
	struct ntd_report *report;
	const struct ntd_switch *hub;
	int number; /* of the VLAN */
	struct ntd_timer timer;
	struct ntd_list clients;
	struct ntd_switch_counts told;
	int64_t since;
};

/* A client of the VLAN. Memory of zeros is none. */
struct ntd_traffic_client {
	struct ntd_list_link link;
	struct ntd_traffic *traffic;
	const struct ntd_port *port;
	uint64_t told;
	char *pids; /* of its process, and of the processes above it, up to this one */
};

/* Begins to tell. What `traffic` is about must outlive it. */
void ntd_traffic_begin(struct ntd_traffic *traffic, struct ntd_loop *loop,
		       struct ntd_report *report, const struct ntd_switch *hub, int number);
/* Tells the rest. The clients must have left. */
void ntd_traffic_end(struct ntd_traffic *traffic);
/* Adds a client, whose process is at the other end of the socket `control`. */
void ntd_traffic_join(struct ntd_traffic *traffic, struct ntd_traffic_client *client,
		      const struct ntd_port *port, int control);
/* Tells the rest of a client and removes it. No-op for one that has not joined. */
void ntd_traffic_leave(struct ntd_traffic_client *client);
