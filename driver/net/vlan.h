/* One VLAN: a directory with a control socket, at which VDE clients (QEMU's -netdev vde, vde_plug,
 * vde_plug2tap) plug into a hub of its own.
 */
#pragma once

#include "loop/loop.h"
#include "net/switch.h"
#include "report/report.h"

enum {
	/* The longest directory, in bytes: a socket path has at most 107, of which libvdeplug
	 * needs up to 15 for "/.PID-NUMBER". */
	NTD_VLAN_DIRECTORY_MAX = 92,
	NTD_VLAN_CLIENTS_MAX = 256
};

struct ntd_vlan;

/* Any thread: makes `directory` (absolute; mode 0700) and serves DIRECTORY/ctl on the loop from
 * then on. A directory that a killed process left is taken over. NULL with NTD_E_VALUE for a path
 * that cannot be used, or a directory that another process uses; or with NTD_E_SYS. Logs "start
 * vlan" and "running vlan (pid P; ctl DIRECTORY)" as upstream does; P is this process. */
struct ntd_vlan *ntd_vlan_new(struct ntd_loop *loop, struct ntd_report *report, int number,
			      const char *directory, struct ntd_error **err);
/* Any thread: logs "kill vlan (pid P)", disconnects every client, removes the sockets and the
 * directory. */
void ntd_vlan_free(struct ntd_vlan *vlan);

/* Any thread: connects the VLAN to this system's network by a tap interface, vde-tapN for VLAN N,
 * down as every new one. A second call fails, for the name is taken. The kernel removes the
 * interface with the VLAN, and however the driver ends. Without an interface, containers at this
 * VLAN cannot reach virtual machines. Errors: those of ntd_tap_open(). Logs "creating tap interface
 * vde-tapN" as upstream does.
 */
int ntd_vlan_add_tap(struct ntd_vlan *vlan, struct ntd_error **err);

int ntd_vlan_number(const struct ntd_vlan *vlan);
const char *ntd_vlan_directory(const struct ntd_vlan *vlan);
/* Any thread: the counts of the hub so far. */
struct ntd_switch_counts ntd_vlan_counts(struct ntd_vlan *vlan);

/* Any thread: the hub drops all frames from now on, until ntd_vlan_join(); net/switch.h says what
 * for. Clients can come and go meanwhile. Cuts nest: each is ended by one call of ntd_vlan_join().
 */
void ntd_vlan_cut(struct ntd_vlan *vlan);
/* Any thread: ends a cut. Frames that wait at the ports are dropped first; one that comes while
 * this function runs may pass or be dropped. */
void ntd_vlan_join(struct ntd_vlan *vlan);
/* Any thread: varies when frames pass, by a generator that begins with the seed, or not any more if
 * that is 0; ntd_switch_vary() says how. */
void ntd_vlan_vary(struct ntd_vlan *vlan, unsigned long seed);
