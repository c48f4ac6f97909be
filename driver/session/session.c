/* The beginning and the last end of a run, on the main thread: places, report and sinks, loop; then
 * VLANs and machines as the configuration has them.
 */
#include "session/session.h"

#include "base/tree.h"
#include "report/failed_step.h"
#include "session/failure.h"
#include "session/keep.h"
#include "session/sandbox.h"

#include <fcntl.h>
#include <sys/stat.h>

/* How long the sinks may take for the end of their files. */
#define REPORT_PATIENCE (10 * NTD_SECOND)

/* How long the name of a machine may be that a script makes later, such as test-vm-0123456789, so
 * that its sockets' paths still fit. */
enum { MADE_NAME = 24 };

/* ---- opening */

static int add_sink(struct ntd_session *session, struct ntd_sink *sink)
{
	if (!sink)
		return -1;
	ntd_report_add(session->report, sink);
	return 0;
}

/* A file that a sink has made, for the keeper; -1: it is no regular file. */
static int open_again(const char *path)
{
	struct stat info;

	if (stat(path, &info) < 0 || !S_ISREG(info.st_mode))
		return -1;
	return open(path, O_RDWR | O_CLOEXEC);
}

/* Adds a sink of a file that the keeper ends when the driver is gone: by `end`, or (NULL) with its
 * last whole line. */
static int add_kept_sink(struct ntd_session *session, struct ntd_sink *sink, const char *path,
			 const char *end)
{
	_cleanup_fd_ int fd = -1;

	if (add_sink(session, sink) < 0)
		return -1;
	fd = open_again(path);
	if (fd >= 0 && end)
		ntd_keeper_complete(session->keeper, fd, end);
	else if (fd >= 0)
		ntd_keeper_cut(session->keeper, fd);
	return 0;
}

static bool is_same_file(const char *path, const char *other)
{
	struct stat info, others;

	return stat(path, &info) == 0 && stat(other, &others) == 0 && S_ISREG(info.st_mode) &&
	       info.st_dev == others.st_dev && info.st_ino == others.st_ino;
}

/* Fails if two sinks write one file, which would be neither's. Names differ, by links for one, so
 * the files are compared, which are there by now. */
static int check_files(const struct ntd_config *config, struct ntd_error **err)
{
	const struct {
		const char *option, *path;
	} files[] = {
		{"LOGFILE", config->log_file},
		{"--junit-xml", config->junit_xml},
		{"--report", config->report},
		{"--events", config->events},
	};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		for (size_t j = 0; files[i].path && j < i; j++)
			if (files[j].path && is_same_file(files[i].path, files[j].path))
				return ntd_error_set(err, NTD_E_USAGE, "%s and %s are one file, %s",
						     files[j].option, files[i].option,
						     files[i].path);
	return 0;
}

static int open_sinks(struct ntd_session *session, struct ntd_error **err)
{
	const struct ntd_config *config = session->config;

	session->terminal = ntd_terminal_sink(STDERR_FILENO, config->log_level);
	if (config->quiet)
		ntd_terminal_be_quiet(session->terminal);
	ntd_report_add(session->report, session->terminal);
	if (session->summary)
		ntd_report_add(session->report,
			       ntd_failed_step_sink(&session->summary->failed_step));
	if (config->log_file && add_sink(session, ntd_xml_sink(config->log_file, err)) < 0)
		return -1;
	if (config->junit_xml &&
	    add_sink(session, session->junit = ntd_junit_sink(config->junit_xml, err)) < 0)
		return -1;
	if (config->report && add_kept_sink(session, ntd_page_sink(config->report, err),
					    config->report, ntd_page_killed) < 0)
		return -1;
	if (config->events &&
	    add_kept_sink(session, ntd_events_sink(config->events, err), config->events, NULL) < 0)
		return -1;
	return check_files(config, err);
}

/* Finds the directories of sockets and state: the run-time directory itself, or a part of it while
 * another run uses that. State that is kept stays where it was left, unless another run has it. */
static int find_place(struct ntd_session *session, struct ntd_error **err)
{
	const struct ntd_config *config = session->config;
	_cleanup_strv_ char **machines = ntd_config_machine_names(config);
	_cleanup_free_ char *base = ntd_directories_runtime_base(err), *place = NULL;
	size_t longest = ntd_config_longest_name(config);

	if (!base || ntd_claim_open(&session->claim, base, err) < 0)
		return -1;
	for (char **name = machines; config->keep_state && name && *name; name++)
		if (ntd_claim_state(&session->claim, *name, err) < 0)
			return -1;
	place = ntd_claim_place(&session->claim, config->keep_state ? NULL : machines,
				&session->elsewhere, err);
	if (!place ||
	    ntd_directories_for_sockets(&session->sockets, place,
					longest > MADE_NAME ? longest : MADE_NAME, err) < 0)
		return -1;
	session->tmp_dir = ntd_steal(config->keep_state ? &base : &place);
	return 0;
}

int ntd_session_open(struct ntd_session *session, const struct ntd_config *config,
		     struct ntd_keeper *keeper, struct ntd_summary *summary, struct ntd_error **err)
{
	*session = (struct ntd_session){
		.config = config,
		.keeper = keeper,
		.summary = summary,
		.deadline = {.session = session, .seconds = config->global_timeout},
		.claim = {.fd = -1},
		.out_fd = -1};
	ntd_ending_init(&session->ending);
	pthread_mutex_init(&session->members.mutex, NULL);
	session->environment = ntd_environment_new(environ);
	if (config->output_given)
		session->out_fd = open(config->output_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
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

/* Frees what only calls into the core use. */
static void free_parts(struct ntd_session *session)
{
	ntd_members_free_machines(&session->members);
	ntd_close_fd(&session->out_fd);
	ntd_children_free(session->children);
	ntd_loop_free(session->loop);
	ntd_report_free(session->report);
	ntd_members_free_reports(&session->members);
}

static void end_reports(struct ntd_session *session)
{
	int64_t deadline = ntd_after(REPORT_PATIENCE);

	if (session->report)
		ntd_report_end(session->report, deadline);
	for (size_t i = 0; i < session->members.reports.count; i++)
		ntd_report_end(session->members.reports.items[i], deadline);
}

bool ntd_session_close(struct ntd_session *session)
{
	bool unused = session->calls == 0;

	if (unused)
		free_parts(session);
	else
		end_reports(session);
	if (session->sockets.temporary)
		ntd_tree_remove(session->sockets.path, NULL);
	ntd_claim_leave(&session->claim);
	if (!unused)
		return false;
	free(session->sockets.path);
	free(session->tmp_dir);
	ntd_environment_free(session->environment);
	free(session->elsewhere);
	ntd_claim_close(&session->claim);
	pthread_mutex_destroy(&session->members.mutex);
	return true;
}

/* ---- setting up */

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
	if (config->output_given && !ntd_config_begins_here(config))
		ntd_failure_forget(config->output_dir);
	session->members.taps = config->containers.count;
	session->members.seed = (unsigned long)config->seed;
	if (start_vlans(session, err) < 0)
		return -1;
	/* The backdoor is for virtual machines only, so it comes before there are others. */
	if (add_machines(session, &ntd_qemu_kind, &config->vms, err) < 0 ||
	    (config->enable_ssh_backdoor && config->vms.count &&
	     start_ssh_backdoor(session, err) < 0) ||
	    add_machines(session, &ntd_container_kind, &config->containers, err) < 0)
		return -1;
	ntd_session_sort_machines(session);
	return ntd_reopen_prepare(session, err);
}
