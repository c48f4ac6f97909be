/* What other threads have a VLAN do while it runs: each function has the loop thread do it, and
 * waits for that.
 */
#include "net/vlan_internal.h"

#include "net/tap.h"

/* ---- the tap */

struct plug_tap {
	struct ntd_vlan *vlan;
	int fd;
	struct ntd_error **err;
	bool done;
};

static void run_plug_tap(void *arg)
{
	struct plug_tap *plug = arg;

	plug->done = ntd_switch_plug(plug->vlan->hub, plug->fd, &ntd_tap_link, plug->err);
}

/* The calling thread makes the interface, and not the loop thread, since the kernel may take its
 * time. */
int ntd_vlan_add_tap(struct ntd_vlan *vlan, struct ntd_error **err)
{
	struct plug_tap plug = {.vlan = vlan, .err = err};
	_cleanup_fd_ int fd = -1;
	char name[IFNAMSIZ];

	if (ntd_tap_name(vlan->number, name, err) < 0)
		return -1;
	ntd_log(vlan->report, NTD_LEVEL_INFO, NULL, "creating tap interface %s", name);
	fd = plug.fd = ntd_tap_open(name, err);
	if (fd < 0)
		return -1;
	ntd_loop_call(vlan->loop, run_plug_tap, &plug);
	if (!plug.done)
		return -1;
	ntd_steal_fd(&fd);
	return 0;
}

struct counts {
	const struct ntd_vlan *vlan;
	struct ntd_switch_counts counts;
};

static void run_counts(void *arg)
{
	struct counts *counts = arg;

	counts->counts = ntd_switch_counts(counts->vlan->hub);
}

struct ntd_switch_counts ntd_vlan_counts(struct ntd_vlan *vlan)
{
	struct counts counts = {.vlan = vlan};

	ntd_loop_call(vlan->loop, run_counts, &counts);
	return counts.counts;
}

/* ---- cuts */

static void run_cut(void *arg)
{
	ntd_switch_cut(arg);
}

void ntd_vlan_cut(struct ntd_vlan *vlan)
{
	ntd_loop_call(vlan->loop, run_cut, vlan->hub);
}

static void run_join(void *arg)
{
	ntd_switch_join(arg);
}

void ntd_vlan_join(struct ntd_vlan *vlan)
{
	ntd_loop_call(vlan->loop, run_join, vlan->hub);
}

/* ---- variation */

struct variation {
	struct ntd_switch *hub;
	unsigned long seed;
};

static void run_vary(void *arg)
{
	const struct variation *variation = arg;

	ntd_switch_vary(variation->hub, variation->seed);
}

void ntd_vlan_vary(struct ntd_vlan *vlan, unsigned long seed)
{
	ntd_loop_call(vlan->loop, run_vary, &(struct variation){.hub = vlan->hub, .seed = seed});
}
