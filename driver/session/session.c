#include "session/failure.h"

#include "base/forked.h"
#include "base/text.h"
#include "base/tree.h"
#include "guest/retry.h"
#include "session/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* ---- opening */

static int add_sink(struct ntd_session *session, struct ntd_sink *sink)
{
	if (!sink)
		return -1;
	ntd_report_add(session->report, sink);
	return 0;
}

static int open_events(struct ntd_session *session, struct ntd_error **err)
{
	const char *path = session->config->events;
	_cleanup_fd_ int fd = -1;
	struct stat info;

	if (add_sink(session, ntd_events_sink(path, err)) < 0)
		return -1;
	if (stat(path, &info) == 0 && S_ISREG(info.st_mode))
		fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		ntd_keeper_cut(session->keeper, fd);
	return 0;
}

static int open_sinks(struct ntd_session *session, struct ntd_error **err)
{
	const struct ntd_config *config = session->config;

	session->terminal = ntd_terminal_sink(STDERR_FILENO, config->log_level);
	if (config->quiet)
		ntd_terminal_be_quiet(session->terminal);
	ntd_report_add(session->report, session->terminal);
	if (config->log_file && add_sink(session, ntd_xml_sink(config->log_file, err)) < 0)
		return -1;
	if (config->junit_xml &&
	    add_sink(session, session->junit = ntd_junit_sink(config->junit_xml, err)) < 0)
		return -1;
	return config->events ? open_events(session, err) : 0;
}

static void save_terminal(struct ntd_session *session)
{
	session->has_terminal = tcgetattr(STDIN_FILENO, &session->terminal_mode) == 0;
}

/* In the run-time directory itself, or in a part of it while other runs use that, too. State that
 * is kept is where it was left, or is another run's. */
static int find_place(struct ntd_session *session, struct ntd_error **err)
{
	const struct ntd_config *config = session->config;
	_cleanup_strv_ char **machines = ntd_config_machine_names(config);
	_cleanup_free_ char *base = ntd_runtime_base(err), *place = NULL;

	if (!base || ntd_claim_open(&session->claim, base, err) < 0)
		return -1;
	for (char **name = machines; config->keep_state && name && *name; name++)
		if (ntd_claim_state(&session->claim, *name, err) < 0)
			return -1;
	place = ntd_claim_place(&session->claim, config->keep_state ? NULL : machines,
				&session->elsewhere, err);
	if (!place || ntd_socket_directory(&session->sockets, place,
					   ntd_config_longest_name(config), err) < 0)
		return -1;
	session->tmp_dir = ntd_steal(config->keep_state ? &base : &place);
	return 0;
}

int ntd_session_open(struct ntd_session *session, const struct ntd_config *config,
		     struct ntd_keeper *keeper, struct ntd_error **err)
{
	*session = (struct ntd_session){
		.config = config,
		.keeper = keeper,
		.gone_by = NTD_FOREVER,
		.deadline = {.session = session, .seconds = config->global_timeout},
		.claim = {.fd = -1},
		.out_fd = -1};
	pthread_mutex_init(&session->mutex, NULL);
	session->environment = ntd_environment_new(environ);
	if (config->output_given)
		session->out_fd = open(config->output_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	save_terminal(session);
	if (find_place(session, err) < 0)
		return -1;
	if (session->sockets.temporary)
		ntd_keeper_sweep(keeper, session->sockets.path);
	session->report = ntd_report_new(err);
	if (!session->report || open_sinks(session, err) < 0)
		return -1;
	session->loop = ntd_loop_new(err);
	if (!session->loop)
		return -1;
	session->children = ntd_children_new(session->loop, keeper, err);
	return session->children ? 0 : -1;
}

void ntd_session_close(struct ntd_session *session)
{
	for (size_t i = 0; i < session->machines.count; i++)
		ntd_machine_free(session->machines.items[i]);
	ntd_vec_free(&session->machines);
	ntd_close_fd(&session->out_fd);
	ntd_vec_free(&session->vlans);
	ntd_children_free(session->children);
	ntd_loop_free(session->loop);
	ntd_report_free(session->report);
	for (size_t i = 0; i < session->reports.count; i++)
		ntd_report_free(session->reports.items[i]);
	ntd_vec_free(&session->reports);
	if (session->sockets.temporary)
		ntd_tree_remove(session->sockets.path, NULL);
	ntd_claim_leave(&session->claim);
	free(session->sockets.path);
	free(session->tmp_dir);
	ntd_environment_free(session->environment);
	free(session->elsewhere);
	ntd_claim_close(&session->claim);
	pthread_mutex_destroy(&session->mutex);
}

/* ---- VLANs and machines */

/* Without it containers still reach each other, which may be all that a test needs. */
static void add_tap(struct ntd_session *session, struct ntd_vlan *vlan, struct ntd_report *report)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	if (session->taps && ntd_vlan_add_tap(vlan, &error) < 0)
		ntd_log(report, NTD_LEVEL_WARNING, NULL, "vlan %d: %s", ntd_vlan_number(vlan),
			error->message);
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
	pthread_mutex_lock(&session->mutex);
	ntd_vec_push(&session->vlans, vlan);
	pthread_mutex_unlock(&session->mutex);
	return vlan;
}

struct ntd_vlan *ntd_session_take_vlan(struct ntd_session *session, const struct ntd_vlan *vlan)
{
	struct ntd_vlan *found = NULL;

	pthread_mutex_lock(&session->mutex);
	for (size_t i = session->vlans.count; i-- > 0 && !found;)
		if (!vlan || session->vlans.items[i] == vlan) {
			found = session->vlans.items[i];
			ntd_vec_remove(&session->vlans, i);
		}
	pthread_mutex_unlock(&session->mutex);
	return found;
}

void ntd_session_remove_vlan(struct ntd_session *session, struct ntd_vlan *vlan)
{
	if (vlan && ntd_session_take_vlan(session, vlan))
		ntd_vlan_free(vlan);
}

static int start_vlans(struct ntd_session *session, struct ntd_error **err)
{
	const struct ntd_numbers *numbers = &session->config->vlans;
	struct ntd_nest nest =
		ntd_nest_begin(session->report, NTD_STEP_START, NULL, "start all VLans");
	int result = 0;

	for (size_t i = 0; result == 0 && i < numbers->count; i++)
		result = ntd_session_add_vlan(session, numbers->items[i], NULL, NULL, err) ? 0 : -1;
	ntd_nest_end(&nest, result < 0);
	return result;
}

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
		.time_scale = session->config->time_scale};
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
	pthread_mutex_lock(&session->mutex);
	ntd_vec_push(&session->machines, machine);
	pthread_mutex_unlock(&session->mutex);
	return machine;
}

struct ntd_machine **ntd_session_machines(struct ntd_session *session, size_t *count)
{
	struct ntd_machine **copy;

	pthread_mutex_lock(&session->mutex);
	*count = session->machines.count;
	copy = ntd_calloc(*count + 1, sizeof *copy);
	for (size_t i = 0; i < *count; i++)
		copy[i] = session->machines.items[i];
	pthread_mutex_unlock(&session->mutex);
	return copy;
}

struct ntd_report *ntd_session_new_report(struct ntd_session *session, struct ntd_error **err)
{
	struct ntd_report *report = ntd_report_new(err);

	if (!report)
		return NULL;
	pthread_mutex_lock(&session->mutex);
	ntd_vec_push(&session->reports, report);
	pthread_mutex_unlock(&session->mutex);
	return report;
}

/* The run's, and then the others; NULL when there is no such. */
static struct ntd_report *report_at(struct ntd_session *session, size_t i)
{
	struct ntd_report *report = NULL;

	if (!i)
		return session->report;
	pthread_mutex_lock(&session->mutex);
	if (i <= session->reports.count)
		report = session->reports.items[i - 1];
	pthread_mutex_unlock(&session->mutex);
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

static int start_ssh_backdoor(struct ntd_session *session, struct ntd_error **err)
{
	struct ntd_ssh_backdoor_context context = {.loop = session->loop,
						   .children = session->children,
						   .keeper = session->keeper,
						   .report = session->report,
						   .environment = session->environment,
						   .socket_dir = session->sockets.path};
	size_t count;
	_cleanup_free_ struct ntd_machine **machines = ntd_session_machines(session, &count);

	session->ssh_backdoor = ntd_ssh_backdoor_start(&context, machines, count, err);
	return session->ssh_backdoor ? 0 : -1;
}

static int add_machines(struct ntd_session *session, const struct ntd_machine_kind *kind,
			const struct ntd_machine_configs *machines, struct ntd_error **err)
{
	for (size_t i = 0; i < machines->count; i++) {
		struct ntd_new_machine new = {.kind = kind,
					      .name = machines->items[i].name,
					      .script = machines->items[i].start_script,
					      .keep_state = session->config->keep_state};

		if (!ntd_session_add_machine(session, &new, err))
			return -1;
	}
	return 0;
}

static int by_name(const void *left, const void *right)
{
	struct ntd_machine *const *a = left, *const *b = right;

	return strcmp(ntd_machine_name(*a), ntd_machine_name(*b));
}

static void sort_machines(struct ntd_session *session)
{
	pthread_mutex_lock(&session->mutex);
	if (session->machines.count)
		qsort(session->machines.items, session->machines.count,
		      sizeof *session->machines.items, by_name);
	pthread_mutex_unlock(&session->mutex);
}

int ntd_session_set_up(struct ntd_session *session, struct ntd_error **err)
{
	const struct ntd_config *config = session->config;

	if (config->containers.count && ntd_sandbox_prepare(session->environment, err) < 0)
		return -1;
	if (!config->keep_state)
		ntd_log(session->report, NTD_LEVEL_INFO, NULL,
			"Machine state will be reset. To keep it, pass --keep-machine-state");
	if (session->elsewhere)
		ntd_log(session->report, NTD_LEVEL_INFO, NULL, "%s; this run is in %s",
			session->elsewhere, session->sockets.path);
	ntd_session_forget_last_run(session);
	session->taps = config->containers.count;
	if (start_vlans(session, err) < 0)
		return -1;
	/* The backdoor is for virtual machines only, so it comes before there are others. */
	if (add_machines(session, &ntd_qemu_kind, &config->vms, err) < 0 ||
	    (config->enable_ssh_backdoor && config->vms.count &&
	     start_ssh_backdoor(session, err) < 0) ||
	    add_machines(session, &ntd_container_kind, &config->containers, err) < 0)
		return -1;
	sort_machines(session);
	return 0;
}
