/* What the files of a VLAN share. Members are for the loop's thread, but for those that never
 * change. */
#pragma once

#include "net/socket_dir.h"
#include "net/traffic.h"
#include "net/vlan.h"

struct ntd_vlan {
	int number;
	struct ntd_loop *loop;
	struct ntd_report *report;
	struct ntd_socket_dir directory;
	struct ntd_switch *hub;
	struct ntd_traffic traffic;
	struct ntd_source listener;
	struct ntd_timer resume;                      /* accepting, after a pause */
	struct client *clients[NTD_VLAN_CLIENTS_MAX]; /* by slot; NULL: free */
	unsigned complaints;
};
