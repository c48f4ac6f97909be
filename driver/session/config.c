/* The configuration from the command line and the environment; from a JSON file: config_json.c. */
#include "session/config.h"

#include "base/json.h"
#include "session/directories.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_TIMEOUT 3600  /* seconds */
#define SESSION_TIMEOUT 86400 /* seconds, of a session of pytest */

void ntd_config_free(struct ntd_config *config)
{
	ntd_machine_configs_free(&config->vms);
	ntd_machine_configs_free(&config->containers);
	ntd_numbers_free(&config->vlans);
	free(config->test_script);
	free(config->output_dir);
	free(config->junit_xml);
	free(config->events);
	free(config->report);
	free(config->log_file);
	free(config->debug_hook_attach);
	ntd_strv_free(config->pytest_arguments);
	ntd_kept_free(config->kept);
	free(config->save_boot);
	*config = (struct ntd_config){0};
}

static size_t longest(const struct ntd_machine_configs *machines, size_t least)
{
	for (size_t i = 0; i < machines->count; i++)
		if (strlen(machines->items[i].name) > least)
			least = strlen(machines->items[i].name);
	return least;
}

static void add_names(char ***names, const struct ntd_machine_configs *machines)
{
	for (size_t i = 0; i < machines->count; i++)
		ntd_strv_add(names, machines->items[i].name);
}

char **ntd_config_machine_names(const struct ntd_config *config)
{
	char **names = NULL;

	add_names(&names, &config->vms);
	add_names(&names, &config->containers);
	return names;
}

size_t ntd_config_longest_name(const struct ntd_config *config)
{
	return longest(&config->containers, longest(&config->vms, strlen("machine")));
}

bool ntd_config_begins_here(const struct ntd_config *config)
{
	_cleanup_free_ char *here = ntd_asprintf("%s/" NTD_KEPT_FAILURE, config->output_dir);
	_cleanup_free_ char *real = realpath(here, NULL);
	_cleanup_free_ char *kept = config->kept ? realpath(config->kept->directory, NULL) : NULL;

	return real && kept && !strcmp(real, kept);
}

/* Adds the machines of one kind from the command line; `kind` is the first word of its options. */
static int add_machines(struct ntd_machine_configs *machines, char **scripts, char **names,
			const char *kind, const char *suffix, struct ntd_error **err)
{
	size_t count = ntd_strv_count(scripts);

	if (names && ntd_strv_count(names) != count)
		return ntd_error_set(err, NTD_E_USAGE,
				     "%zu names (--%s-names) for %zu start scripts "
				     "(--%s-start-scripts)",
				     ntd_strv_count(names), kind, count, kind);
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *name =
			names ? ntd_strdup(names[i]) : ntd_machine_configs_name(scripts[i], suffix);
		const char *fault = ntd_machine_configs_add(machines, name, scripts[i]);

		if (fault)
			return ntd_error_set(err, NTD_E_USAGE, "start script '%s': %s", scripts[i],
					     fault);
	}
	return 0;
}

static int from_options(struct ntd_config *config, const struct ntd_options *options,
			struct ntd_error **err)
{
	if (!config->test_script && (options->reopen || options->save_boot))
		config->test_script = ntd_strdup("/dev/null"); /* for test_script() at the prompt */
	if (!config->test_script)
		return ntd_error_set(err, NTD_E_USAGE,
				     "no test script given: name it after the other options (with "
				     "-- before it if the last takes several words), or use "
				     "--config FILE");
	if (add_machines(&config->vms, options->vm_start_scripts, options->vm_names, "vm", "-vm",
			 err) < 0 ||
	    add_machines(&config->containers, options->container_start_scripts,
			 options->container_names, "container", "-nspawn", err) < 0)
		return -1;
	for (size_t i = 0; i < options->vlans.count; i++)
		ntd_numbers_add(&config->vlans, options->vlans.items[i]);
	return ntd_machine_configs_check(&config->vms, &config->containers, err);
}

static int from_file(struct ntd_config *config, const char *path, struct ntd_error **err)
{
	_cleanup_cjson_ cJSON *tree = ntd_json_load(path, err);

	return tree ? ntd_config_from_json(config, tree, path, err) : -1;
}

/* Of a start script that is a path and nothing else, whether the file is there. */
static int check_start_script(const struct ntd_kept_machine *machine, struct ntd_error **err)
{
	const char *script = machine->start_script;

	if (*script != '/' || strpbrk(script, " \t'\"$\\;&|<>()`*?[#~=%!{}\n") ||
	    access(script, X_OK) == 0)
		return 0;
	return ntd_error_set(err, NTD_E_USAGE,
			     "machine '%s': its start script %s: %s; if it is a store path that "
			     "was deleted, build it again, or name another that starts the same "
			     "QEMU: --vm-start-scripts SCRIPT --vm-names %s",
			     machine->name, script, strerror(errno), machine->name);
}

/* Adds the machines and VLANs of a kept state, for which nothing else has been said. */
static int add_kept(struct ntd_config *config, const char *path, struct ntd_error **err)
{
	config->kept = ntd_kept_open(path, err);
	if (!config->kept)
		return -1;
	for (size_t i = 0; i < config->kept->machines.count; i++) {
		const struct ntd_kept_machine *machine = &config->kept->machines.items[i];
		const char *fault;

		if (ntd_machine_configs_has(&config->vms, machine->name))
			continue;
		if (check_start_script(machine, err) < 0)
			return -1;
		fault = ntd_machine_configs_add(&config->vms, machine->name, machine->start_script);
		if (fault)
			return ntd_error_set(err, NTD_E_USAGE, "%s/" NTD_KEPT_LIST ": %s",
					     config->kept->directory, fault);
	}
	for (size_t i = 0; i < config->kept->vlans.count; i++)
		ntd_numbers_add(&config->vlans, config->kept->vlans.items[i]);
	return ntd_machine_configs_check(&config->vms, &config->containers, err);
}

/* The machines of a configuration are to begin with a kept state: all of them, and no others. */
static int begin_with_kept(struct ntd_config *config, const char *path, struct ntd_error **err)
{
	config->kept = ntd_kept_open(path, err);
	if (!config->kept)
		return -1;
	for (size_t i = 0; i < config->kept->machines.count; i++) {
		const struct ntd_kept_machine *machine = &config->kept->machines.items[i];

		if (!machine->running || !ntd_machine_configs_has(&config->vms, machine->name))
			return ntd_error_set(err, NTD_E_USAGE, "machine '%s' of %s %s",
					     machine->name, config->kept->directory,
					     machine->running ? "is none of this run's"
							      : "was off");
	}
	for (size_t i = 0; i < config->vms.count; i++)
		if (!ntd_kept_find(config->kept, config->vms.items[i].name))
			return ntd_error_set(err, NTD_E_USAGE, "machine '%s' is not in %s",
					     config->vms.items[i].name, config->kept->directory);
	return 0;
}

/* Machines whose state is saved or restored cannot be containers. */
static int refuse_containers(const struct ntd_config *config, struct ntd_error **err)
{
	if (!config->containers.count)
		return 0;
	return ntd_error_set(err, NTD_E_USAGE,
			     "machine '%s' is a container, and containers have no state that could "
			     "be saved",
			     config->containers.items[0].name);
}

/* A directory that is made, or that has what an earlier run has kept, which goes. */
static int set_save_boot(struct ntd_config *config, const struct ntd_options *options,
			 struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_directories_absolute(options->save_boot);
	_cleanup_free_ char *parent = ntd_strdup(path);
	bool there = access(path, F_OK) == 0;

	if (refuse_containers(config, err) < 0 ||
	    ntd_directories_check(there ? path : dirname(parent), err) < 0)
		return -1;
	if (there && !ntd_kept_replaceable(path))
		return ntd_error_set(err, NTD_E_USAGE,
				     "%s has files, but no complete state of machines, in whose "
				     "place another could be kept: name a new directory",
				     path);
	if (!config->vms.count)
		return ntd_error_set(err, NTD_E_USAGE, "there are no machines to boot");
	free(config->test_script);
	config->test_script = ntd_strdup(options->boot_script ? options->boot_script : "/dev/null");
	config->save_boot = ntd_steal(&path);
	return 0;
}

static int set_kept_state(struct ntd_config *config, const struct ntd_options *options,
			  struct ntd_error **err)
{
	if (options->reopen && add_kept(config, options->reopen, err) < 0)
		return ntd_error_wrap(err, "argument --reopen");
	if (options->boot_from && (refuse_containers(config, err) < 0 ||
				   begin_with_kept(config, options->boot_from, err) < 0))
		return ntd_error_wrap(err, "argument --boot-from");
	if (options->save_boot && set_save_boot(config, options, err) < 0)
		return ntd_error_wrap(err, "argument --save-boot");
	return 0;
}

static char *copy(const char *text)
{
	return text && *text ? ntd_strdup(text) : NULL;
}

static int check_script(char **script, struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_steal(script);
	struct stat info;
	const char *fault = NULL;

	if (stat(path, &info) < 0 || access(path, R_OK) < 0)
		fault = strerror(errno);
	/* The script may change the directory, and is read again for tracebacks. */
	*script = ntd_directories_absolute(path);
	return fault ? ntd_error_set(err, NTD_E_USAGE, "cannot read the test script %s: %s", path,
				     fault)
		     : 0;
}

/* The absolute path of a report; `given` is relative to the output directory, or NULL. */
static int set_report(const struct ntd_config *config, const char *given, const char *option,
		      char **path, struct ntd_error **err)
{
	if (!given)
		return 0;
	*path = *given == '/' ? ntd_strdup(given)
			      : ntd_asprintf("%s/%s", config->output_dir, given);
	if (ntd_directories_check_file(*path, err) < 0)
		return ntd_error_wrap(err, "argument %s", option);
	return 0;
}

static int set_output(struct ntd_config *config, const struct ntd_options *options,
		      struct ntd_error **err)
{
	const char *path = options->output_dir ? options->output_dir : ".";

	if (ntd_directories_check(path, err) < 0)
		return ntd_error_wrap(err, options->output_dir ? "argument -o/--output_directory"
							       : "output directory");
	config->output_given = options->output_dir;
	config->output_dir = realpath(path, NULL);
	if (!config->output_dir)
		return ntd_error_set(err, NTD_E_USAGE, "output directory: %s", strerror(errno));
	if (set_report(config, options->junit_xml, "--junit-xml", &config->junit_xml, err) < 0)
		return -1;
	if (set_report(config, options->events, "--events", &config->events, err) < 0)
		return -1;
	return set_report(config, options->report, "--report", &config->report, err);
}

static int set_log_file(struct ntd_config *config, struct ntd_error **err)
{
	config->log_file = copy(getenv("LOGFILE"));
	if (config->log_file && ntd_directories_check_file(config->log_file, err) < 0)
		return ntd_error_wrap(err, "environment variable LOGFILE");
	return 0;
}

int ntd_config_load(struct ntd_config *config, const struct ntd_options *options,
		    struct ntd_error **err)
{
	int status;

	*config = (struct ntd_config){
		.global_timeout = options->pytest_session ? SESSION_TIMEOUT : DEFAULT_TIMEOUT,
		.boot_timeout = options->boot_timeout,
		.time_scale = options->time_scale.given ? options->time_scale.factor : 1,
		.no_agent = options->no_agent,
		.test_script = copy(options->pytest_session ? "." : options->test_script),
		.debug_hook_attach = copy(options->debug_hook_attach),
		.from_file = options->config != NULL,
		.keep_state = options->keep_state,
		.interactive = options->interactive || options->reopen,
		.quiet = options->quiet,
		.pause_on_failure = options->pause_on_failure,
		.snapshot_on_failure = options->snapshot_on_failure,
		.log_level = options->log_level,
		.dump_vsocks = options->dump_vsocks,
		.mode = options->mode,
		.shard = options->shard,
		.restart_dead = options->restart_dead,
		.no_skip = options->no_skip,
		.isolation = options->isolation,
		.rerun = options->rerun,
		.seed = options->seed,
		.pytest_session = options->pytest_session,
		.pytest_arguments = ntd_strv_copy(options->pytest_arguments),
	};
	status = options->config ? from_file(config, options->config, err)
				 : from_options(config, options, err);
	if (status < 0)
		return -1;
	if (set_kept_state(config, options, err) < 0)
		return -1;
	if (options->global_timeout > 0)
		config->global_timeout = options->global_timeout;
	ntd_machine_configs_resolve(&config->vms);
	ntd_machine_configs_resolve(&config->containers);
	if (check_script(&config->test_script, err) < 0 || set_output(config, options, err) < 0)
		return -1;
	return set_log_file(config, err);
}
