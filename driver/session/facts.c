/* Facts of a run for its timeline, as attributes of an event. On the main thread. */
#include "session/facts.h"

#include "base/text.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void add(char ***facts, const char *name, const char *value)
{
	if (!value)
		return;
	ntd_strv_add(facts, name);
	ntd_strv_add(facts, value);
}

/* Adds the path of a file relative to the directory of the report, if it is below that. */
static void add_file(char ***facts, const struct ntd_config *config, const char *name,
		     const char *path)
{
	const char *slash = config->report ? strrchr(config->report, '/') : NULL;
	size_t len = slash ? (size_t)(slash - config->report) + 1 : 0;

	if (path && len && !strncmp(path, config->report, len))
		add(facts, name, path + len);
}

static char *command_line(char *const *argv)
{
	_cleanup_buf_ struct ntd_buf line = {0};

	for (size_t i = 0; argv[i]; i++) {
		ntd_buf_puts(&line, i ? " " : "");
		ntd_shell_quote(&line, argv[i], strlen(argv[i]));
	}
	return ntd_buf_take_string(&line);
}

static void add_host(char ***facts)
{
	_cleanup_free_ char *host = NULL, *cpus = NULL;
	struct utsname system;

	if (uname(&system) == 0)
		host = ntd_asprintf("%s %s, %s", system.sysname, system.release, system.machine);
	cpus = ntd_asprintf("%ld", sysconf(_SC_NPROCESSORS_ONLN));
	add(facts, "host", host);
	add(facts, "processors", cpus);
}

/* The order of a set of strings in the script follows from that of hashes, which Python draws and
 * does not tell unless the environment has one. */
static void tell_seeds(struct ntd_report *report, int given)
{
	const char *hashes = getenv("PYTHONHASHSEED");
	_cleanup_free_ char *seed = given ? ntd_asprintf("%d", given) : NULL;

	ntd_log_seed(report, "starts and networks (--seed)", seed ? seed : "none");
	ntd_log_seed(report, "hashes (PYTHONHASHSEED)", hashes && *hashes ? hashes : "random");
}

void ntd_session_tell_facts(struct ntd_session *session, char *const *argv, const char *version)
{
	const struct ntd_config *config = session->config;
	_cleanup_strv_ char **facts = NULL;
	_cleanup_free_ char *line = command_line(argv), *directory = getcwd(NULL, 0);
	_cleanup_free_ char *limit = ntd_asprintf("%g s", config->global_timeout);
	_cleanup_free_ char *logs = ntd_asprintf("%s/console-logs", config->output_dir);
	_cleanup_free_ char *scale = ntd_asprintf("%g", config->time_scale);

	if (!ntd_report_has_timeline(session->report))
		return;
	add(&facts, "script", config->test_script);
	add(&facts, "version", version);
	add(&facts, "directory", directory);
	add(&facts, "output directory", config->output_dir);
	add_host(&facts);
	add(&facts, "time limit", limit);
	add(&facts, "time-out scale", config->time_scale > 0 ? scale : "auto");
	add_file(&facts, config, "junit", config->junit_xml);
	add_file(&facts, config, "events", config->events);
	add_file(&facts, config, "console logs", config->output_given ? logs : NULL);
	ntd_log_detail(session->report, NTD_DETAIL_RUN, NULL, line, facts);
	tell_seeds(session->report, config->seed);
}
