/* Making clones of a machine: the machines, their networks and the mould. On a script thread.
 *
 * Clones have the addresses of their template, those of their network cards, too. So each has
 * networks of its own, with the numbers of the session's: its start script finds their switches by
 * the variables in its environment. They are part of the session, but no script gets them, and
 * their messages go to a report that nobody reads.
 */
#include "session/clones.h"

#include "guest/clones.h"
#include "session/session.h"

#include <string.h>

/* What a call has made, and takes back when it fails. */
struct cloning {
	struct ntd_session *session;
	const struct ntd_clone_order *order;
	struct ntd_report *quiet;
	struct ntd_mould mould;
	struct ntd_machine **clones;
	size_t made;
	ntd_vec(struct ntd_vlan *) vlans;
};

/* ---- names */

static int check_name(const struct cloning *cloning, const char *name, struct ntd_error **err)
{
	if (!ntd_session_machine(cloning->session, name))
		return 0;
	return ntd_error_set(err, NTD_E_VALUE, "there is a machine '%s' already", name);
}

/* Before the template is booted for clones that there cannot be. */
static int check_names(const struct cloning *cloning, struct ntd_error **err)
{
	const struct ntd_clone_order *order = cloning->order;

	for (size_t i = 0; order->names && i < order->count; i++)
		if (check_name(cloning, order->names[i], err) < 0)
			return -1;
	return 0;
}

/* A new string: the name of the next clone; NULL with an error. */
static char *next_name(const struct cloning *cloning, unsigned *number, struct ntd_error **err)
{
	const struct ntd_clone_order *order = cloning->order;

	if (order->names) {
		const char *name = order->names[cloning->made];

		return check_name(cloning, name, err) < 0 ? NULL : ntd_strdup(name);
	}
	for (;;) {
		char *name = ntd_asprintf("%s-%u", ntd_machine_name(order->machine), ++*number);

		if (!ntd_session_machine(cloning->session, name))
			return name;
		free(name);
	}
}

/* ---- networks */

static bool is_first(struct ntd_vlan *const *vlans, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (ntd_vlan_number(vlans[i]) == ntd_vlan_number(vlans[index]))
			return false;
	return true;
}

static int add_network(struct cloning *cloning, int number, struct ntd_machine *machine,
		       struct ntd_error **err)
{
	struct ntd_session *session = cloning->session;
	_cleanup_free_ char *variable = ntd_asprintf("QEMU_VDE_SOCKET_%d", number);
	_cleanup_free_ char *directory = NULL;
	struct ntd_vlan *vlan;

	directory = ntd_asprintf("%s/vde%d-%u.ctl", session->sockets.path, number,
				 atomic_fetch_add(&session->members.private_vlans, 1));
	ntd_keeper_sweep(session->keeper, directory);
	vlan = ntd_vlan_new(session->loop, cloning->quiet, number, directory, err);
	if (!vlan)
		return ntd_error_wrap(err, "vlan %d of '%s'", number, ntd_machine_name(machine));
	ntd_session_own_vlan(session, vlan);
	ntd_vec_push(&cloning->vlans, vlan);
	ntd_machine_set_variable(machine, variable, directory);
	return 0;
}

static int add_networks(struct cloning *cloning, struct ntd_machine *machine,
			struct ntd_error **err)
{
	size_t count;
	_cleanup_free_ struct ntd_vlan **vlans = ntd_session_vlans(cloning->session, &count);

	for (size_t i = 0; i < count; i++)
		if (is_first(vlans, i) &&
		    add_network(cloning, ntd_vlan_number(vlans[i]), machine, err) < 0)
			return -1;
	return 0;
}

/* Of machines that do not run any more. */
static void remove_networks(struct cloning *cloning)
{
	for (size_t i = 0; i < cloning->vlans.count; i++)
		ntd_session_remove_vlan(cloning->session, cloning->vlans.items[i]);
	ntd_vec_free(&cloning->vlans);
}

/* ---- machines */

static struct ntd_new_machine like(const struct cloning *cloning, const char *name)
{
	const struct ntd_machine *template = cloning->order->machine;
	const struct ntd_machine_context *context = ntd_machine_context(template);
	bool is_usual = !strcmp(context->tmp_dir, cloning->session->tmp_dir);

	return (struct ntd_new_machine){.kind = ntd_machine_kind(template),
					.name = name,
					.script = ntd_machine_script(template),
					.tmp_dir = is_usual ? NULL : context->tmp_dir,
					.out_dir = context->out_dir,
					.report = ntd_machine_report(template)};
}

static int add_clone(struct cloning *cloning, unsigned *number, struct ntd_error **err)
{
	const struct ntd_clone_order *order = cloning->order;
	_cleanup_free_ char *name = next_name(cloning, number, err);
	struct ntd_new_machine new;
	struct ntd_machine *clone;

	if (!name)
		return -1;
	new = like(cloning, name);
	clone = ntd_session_add_machine(cloning->session, &new, err);
	if (!clone)
		return -1;
	cloning->clones[cloning->made++] = clone;
	ntd_machine_mute(clone, true);
	if (order->shares_networks)
		ntd_machine_copy_variables(clone, order->machine);
	else if (add_networks(cloning, clone, err) < 0)
		return -1;
	return ntd_mould_outfit(&cloning->mould, order->machine, clone, err);
}

static int add_clones(struct cloning *cloning, struct ntd_error **err)
{
	unsigned number = 0;

	for (size_t i = 0; i < cloning->order->count; i++)
		if (add_clone(cloning, &number, err) < 0)
			return -1;
	return 0;
}

/* The caster is no machine of the session's: nobody sees it. Its disks are beside the clones',
 * since the scratch directory may be memory. It has networks of its own, since a QEMU that has
 * loaded a state tells the switches that the guest's cards are there. */
static struct ntd_machine *make_caster(struct cloning *cloning, struct ntd_error **err)
{
	struct ntd_machine *template = cloning->order->machine;
	struct ntd_machine_context context = *ntd_machine_context(template);
	_cleanup_free_ char *name = ntd_asprintf("%s-caster", ntd_machine_name(template));
	struct ntd_machine *caster;

	context.tmp_dir = cloning->mould.directory;
	context.report = cloning->quiet;
	context.keeper = NULL;
	caster = ntd_machine_new(&context, ntd_machine_kind(template), name,
				 ntd_machine_script(template), false, err);
	if (caster)
		ntd_machine_sweep_sockets(caster, cloning->session->keeper);
	return caster;
}

static int cast_memory(struct cloning *cloning, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_machine *caster = make_caster(cloning, err);
	int result;

	if (!caster)
		return -1;
	result = add_networks(cloning, caster, err);
	if (result == 0)
		result = ntd_mould_cast_memory(&cloning->mould, cloning->order->machine, caster,
					       waiter, err);
	ntd_machine_cleanup_state_dir(caster);
	ntd_machine_free(caster);
	remove_networks(cloning);
	return result;
}

/* ---- all of it */

static int clone_all(struct cloning *cloning, struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct ntd_clone_order *order = cloning->order;

	if (check_names(cloning, err) < 0 ||
	    ntd_clones_fill(&cloning->mould, order->machine, order->timeout, waiter, err) < 0 ||
	    cast_memory(cloning, waiter, err) < 0 || add_clones(cloning, err) < 0)
		return -1;
	return ntd_clones_cast(&cloning->mould, cloning->clones, cloning->made, waiter, err);
}

static void take_back(struct cloning *cloning)
{
	remove_networks(cloning);
	for (size_t i = 0; i < cloning->made; i++) {
		struct ntd_machine *clone = cloning->clones[i];

		ntd_machine_cleanup_state_dir(clone);
		if (ntd_machine_wait_gone(clone, ntd_after(NTD_SECOND)))
			ntd_session_discard_machine(cloning->session, clone);
	}
}

/* Says what is to be done about what clones have in common, and QEMU refuses. */
static void explain(struct ntd_error *error, struct ntd_error **err)
{
	if (strstr(error->message, "host forwarding rule"))
		ntd_error_add(error,
			      "\n    a port of the host leads to one guest only: have the start "
			      "script forward the port 0, for which the kernel takes a free one "
			      "(ssh_port tells it)");
	ntd_error_move(err, error);
}

static int run(struct cloning *cloning, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_error *error = NULL;
	int result = clone_all(cloning, waiter, &error);

	if (result < 0) {
		explain(error, err);
		take_back(cloning);
	}
	for (size_t i = 0; result == 0 && i < cloning->made; i++)
		ntd_machine_mute(cloning->clones[i], false);
	ntd_mould_free(&cloning->mould, result < 0);
	ntd_vec_free(&cloning->vlans);
	return result;
}

struct ntd_machine **ntd_session_clone(struct ntd_session *session,
				       const struct ntd_clone_order *order,
				       struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct ntd_machine *machine = order->machine;
	struct cloning cloning = {
		.session = session,
		.order = order,
		.quiet = ntd_session_quiet_report(session, err),
		.mould = ntd_mould_new(session->keeper, ntd_machine_context(machine)->tmp_dir),
		.clones = ntd_calloc(order->count, sizeof(struct ntd_machine *))};
	struct ntd_nest nest;
	int result = -1;

	if (cloning.quiet) {
		nest = ntd_nest_begin(ntd_machine_report(machine), NTD_STEP_SNAPSHOT,
				      ntd_machine_name(machine), "cloning it %zu times",
				      order->count);
		if (order->shares_networks)
			ntd_log(ntd_machine_report(machine), NTD_LEVEL_WARNING,
				ntd_machine_name(machine),
				"its clones are on its own networks, where they have the same "
				"addresses as it has until they are given others");
		result = run(&cloning, waiter, err);
		ntd_nest_end(&nest, result < 0);
	}
	if (result < 0)
		free(ntd_steal(&cloning.clones));
	return cloning.clones;
}
