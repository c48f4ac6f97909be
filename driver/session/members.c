/* VLANs, machines and reports of a run. Any thread may call these functions; they change the lists
 * under the mutex of the lists, and do all that may take long before or after that.
 */
#include "session/session.h"

#include "base/forked.h"
#include "session/directories.h"

#include <string.h>

/* ---- VLANs */

/* Connects the VLAN to this system's network. Without that, containers still reach each other,
 * which may be all that a test needs. */
static void add_tap(struct ntd_session *session, struct ntd_vlan *vlan, struct ntd_report *report)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	if (session->members.taps && ntd_vlan_add_tap(vlan, &error) < 0)
		ntd_log(report, NTD_LEVEL_WARNING, NULL, "vlan %d: %s", ntd_vlan_number(vlan),
			error->message);
}

/* Each VLAN has numbers of its own. */
static void vary(struct ntd_vlan *vlan, unsigned long seed)
{
	ntd_vlan_vary(vlan, seed ? seed + ((unsigned long)ntd_vlan_number(vlan) << 32) : 0);
}

void ntd_session_own_vlan(struct ntd_session *session, struct ntd_vlan *vlan)
{
	vary(vlan, session->members.seed);
	pthread_mutex_lock(&session->members.mutex);
	ntd_vec_push(&session->members.vlans, vlan);
	pthread_mutex_unlock(&session->members.mutex);
}

void ntd_session_vary(struct ntd_session *session, unsigned long seed)
{
	size_t count;
	_cleanup_free_ struct ntd_vlan **vlans = ntd_session_vlans(session, &count);

	session->members.seed = seed;
	for (size_t i = 0; i < count; i++)
		vary(vlans[i], seed);
}

struct ntd_vlan *ntd_session_add_vlan(struct ntd_session *session, int number, const char *base,
				      struct ntd_report *report, struct ntd_error **err)
{
	_cleanup_free_ char *directory =
		ntd_asprintf("%s/vde%d.ctl", base ? base : session->sockets.path, number);
	_cleanup_free_ char *variable = ntd_asprintf("QEMU_VDE_SOCKET_%d", number);
	struct ntd_vlan *vlan;

	ntd_keeper_sweep(session->keeper, directory); /* which leaves one that is in use */
	vlan = ntd_vlan_new(session->loop, report ? report : session->report, number, directory,
			    err);
	if (!vlan) {
		ntd_error_wrap(err, "vlan %d", number);
		return NULL;
	}
	add_tap(session, vlan, report ? report : session->report);
	ntd_environment_export(session->environment, variable, directory);
	ntd_session_own_vlan(session, vlan);
	return vlan;
}

struct ntd_vlan *ntd_session_take_vlan(struct ntd_session *session, const struct ntd_vlan *vlan)
{
	struct ntd_vlan *found = NULL;

	pthread_mutex_lock(&session->members.mutex);
	for (size_t i = session->members.vlans.count; i-- > 0 && !found;)
		if (!vlan || session->members.vlans.items[i] == vlan) {
			found = session->members.vlans.items[i];
			ntd_vec_remove(&session->members.vlans, i);
		}
	pthread_mutex_unlock(&session->members.mutex);
	return found;
}

void ntd_session_remove_vlan(struct ntd_session *session, struct ntd_vlan *vlan)
{
	if (vlan && ntd_session_take_vlan(session, vlan))
		ntd_vlan_free(vlan);
}

struct ntd_vlan **ntd_session_vlans(struct ntd_session *session, size_t *count)
{
	struct ntd_vlan **copy;

	pthread_mutex_lock(&session->members.mutex);
	*count = session->members.vlans.count;
	copy = ntd_calloc(*count + 1, sizeof *copy);
	for (size_t i = 0; i < *count; i++)
		copy[i] = session->members.vlans.items[i];
	pthread_mutex_unlock(&session->members.mutex);
	return copy;
}

/* ---- machines */

/* Sockets are made beside the state directory unless their paths would be too long there. */
static const char *socket_directory(const struct ntd_session *session,
				    const struct ntd_new_machine *new)
{
	if (!new->tmp_dir ||
	    strlen(new->tmp_dir) + strlen("/vm-state-") + strlen(new->name) + strlen("/monitor") >
		    NTD_SOCKET_PATH_MAX)
		return session->sockets.path;
	return new->tmp_dir;
}

struct ntd_machine *ntd_session_add_machine(struct ntd_session *session,
					    const struct ntd_new_machine *new,
					    struct ntd_error **err)
{
	struct ntd_machine_context context = {
		.loop = session->loop,
		.children = session->children,
		.report = new->report ? new->report : session->report,
		.environment = session->environment,
		.tmp_dir = new->tmp_dir ? new->tmp_dir : session->tmp_dir,
		.socket_dir = socket_directory(session, new),
		.out_dir = new->out_dir ? new->out_dir : session->config->output_dir,
		.keeper = session->out_fd < 0 ? NULL : session->keeper,
		.out_fd = session->out_fd,
		.boot_timeout = session->config->boot_timeout,
		.boot_silence = NTD_BOOT_SILENCE,
		.time_scale = session->config->time_scale,
		.no_agent = session->config->no_agent};
	const struct ntd_machine_kind *kind = new->kind ? new->kind : &ntd_qemu_kind;
	struct ntd_machine *machine;

	if (!new->bare && !strcmp(context.tmp_dir, session->claim.base) &&
	    ntd_claim_state(&session->claim, new->name, err) < 0)
		return NULL;
	machine = new->bare ? ntd_machine_new_bare(&context, kind, new->name, new->script)
			    : ntd_machine_new(&context, kind, new->name, new->script,
					      new->keep_state, err);

	if (!machine)
		return NULL;
	ntd_machine_sweep_sockets(machine, session->keeper);
	pthread_mutex_lock(&session->members.mutex);
	ntd_vec_push(&session->members.machines, machine);
	pthread_mutex_unlock(&session->members.mutex);
	return machine;
}

struct ntd_machine **ntd_session_machines(struct ntd_session *session, size_t *count)
{
	struct ntd_machine **copy;

	pthread_mutex_lock(&session->members.mutex);
	*count = session->members.machines.count;
	copy = ntd_calloc(*count + 1, sizeof *copy);
	for (size_t i = 0; i < *count; i++)
		copy[i] = session->members.machines.items[i];
	pthread_mutex_unlock(&session->members.mutex);
	return copy;
}

struct ntd_machine *ntd_session_machine(struct ntd_session *session, const char *name)
{
	size_t count;
	_cleanup_free_ struct ntd_machine **machines = ntd_session_machines(session, &count);

	for (size_t i = 0; i < count; i++)
		if (!strcmp(ntd_machine_name(machines[i]), name))
			return machines[i];
	return NULL;
}

void ntd_session_discard_machine(struct ntd_session *session, struct ntd_machine *machine)
{
	struct ntd_members *members = &session->members;

	pthread_mutex_lock(&members->mutex);
	for (size_t i = members->machines.count; i-- > 0;)
		if (members->machines.items[i] == machine) {
			ntd_vec_remove(&members->machines, i);
			ntd_vec_push(&members->discarded, machine);
		}
	pthread_mutex_unlock(&members->mutex);
}

static int by_name(const void *left, const void *right)
{
	struct ntd_machine *const *a = left, *const *b = right;

	return strcmp(ntd_machine_name(*a), ntd_machine_name(*b));
}

void ntd_session_sort_machines(struct ntd_session *session)
{
	pthread_mutex_lock(&session->members.mutex);
	if (session->members.machines.count)
		qsort(session->members.machines.items, session->members.machines.count,
		      sizeof *session->members.machines.items, by_name);
	pthread_mutex_unlock(&session->members.mutex);
}

/* ---- reports */

struct ntd_report *ntd_session_new_report(struct ntd_session *session, struct ntd_error **err)
{
	struct ntd_report *report = ntd_report_new(err);

	if (!report)
		return NULL;
	pthread_mutex_lock(&session->members.mutex);
	ntd_vec_push(&session->members.reports, report);
	pthread_mutex_unlock(&session->members.mutex);
	return report;
}

struct ntd_report *ntd_session_quiet_report(struct ntd_session *session, struct ntd_error **err)
{
	struct ntd_members *members = &session->members;
	struct ntd_report *report;

	pthread_mutex_lock(&members->mutex);
	report = members->quiet;
	pthread_mutex_unlock(&members->mutex);
	if (report)
		return report;
	report = ntd_session_new_report(session, err);
	/* Of two threads that have made one, either may win. */
	pthread_mutex_lock(&members->mutex);
	members->quiet = report;
	pthread_mutex_unlock(&members->mutex);
	return report;
}

/* The session's own report is the first, at 0. NULL when there are not so many. */
static struct ntd_report *report_at(struct ntd_session *session, size_t i)
{
	struct ntd_report *report = NULL;

	if (!i)
		return session->report;
	pthread_mutex_lock(&session->members.mutex);
	if (i <= session->members.reports.count)
		report = session->members.reports.items[i - 1];
	pthread_mutex_unlock(&session->members.mutex);
	return report;
}

bool ntd_session_is_settled(struct ntd_session *session)
{
	struct ntd_report *report;
	bool settled = true;

	for (size_t i = 0; settled && (report = report_at(session, i)); i++)
		settled = ntd_report_is_settled(report);
	return settled;
}

void ntd_session_settle(struct ntd_session *session)
{
	struct ntd_report *report;

	for (size_t i = 0; !ntd_is_forked() && (report = report_at(session, i)); i++)
		ntd_report_settle(report);
}

/* ---- the end */

void ntd_members_free_machines(struct ntd_members *members)
{
	for (size_t i = 0; i < members->machines.count; i++)
		ntd_machine_free(members->machines.items[i]);
	for (size_t i = 0; i < members->discarded.count; i++)
		ntd_machine_free(members->discarded.items[i]);
	ntd_vec_free(&members->machines);
	ntd_vec_free(&members->discarded);
	ntd_vec_free(&members->vlans); /* all were stopped */
}

void ntd_members_free_reports(struct ntd_members *members)
{
	for (size_t i = 0; i < members->reports.count; i++)
		ntd_report_free(members->reports.items[i]);
	ntd_vec_free(&members->reports);
}
