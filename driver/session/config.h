/* What a run consists of: machines, VLANs, script and limits. They come from the command line, as
 * for older drivers, or from a JSON file, as for newer ones, and are checked before anything
 * starts. The main thread makes a configuration; nothing changes it afterwards.
 */
#pragma once

#include "session/kept.h"
#include "session/machine_configs.h"
#include "session/options.h"

struct cJSON;

struct ntd_config {
	struct ntd_machine_configs vms, containers;
	struct ntd_numbers vlans; /* unique, in the order given */
	double global_timeout;    /* seconds, more than 0 */
	double boot_timeout; /* seconds for QEMU, and again for the root shell; 0: by its silence */
	double time_scale;   /* factor for time-outs of waits; 0: by the machine's accelerator */
	bool enable_ssh_backdoor;
	char *test_script;       /* a file that can be read, or a directory; absolute */
	char *output_dir;        /* absolute, links resolved; files can be created in it */
	bool output_given;       /* by an option; else output_dir is the current directory */
	char *junit_xml;         /* absolute path of the report; NULL: none */
	char *events;            /* absolute path of the list of events; NULL: none */
	char *report;            /* absolute path of the page; NULL: none */
	char *log_file;          /* path of the XML log; NULL: none */
	char *debug_hook_attach; /* NULL: no breakpoints */
	bool no_agent;           /* no agent is started in guests */
	bool from_file;          /* machines and limits come from a JSON file */
	bool keep_state, interactive, quiet;
	bool pause_on_failure; /* a prompt after a failure, if there is a terminal */
	bool snapshot_on_failure;
	char *save_boot; /* absolute path of a directory for the state after the boots; NULL: the
			  * test script is run */
	struct ntd_kept *kept; /* the state in which machines begin; NULL: they boot */
	enum ntd_level log_level;
	enum ntd_mode mode;
	struct ntd_shard shard; /* 0 of 0: all tests */
	bool restart_dead, no_skip;
	enum ntd_isolation isolation;
	int rerun;               /* how often a failed test is run again */
	int seed;                /* of ntd_session_vary() */
	bool pytest_session;     /* pytest as by hand; test_script is the current directory */
	char **pytest_arguments; /* NULL: none */
	int dump_vsocks;         /* offset of vsock numbers; 0: do not list them */
};

/* Makes the configuration that `options` describe, and checks files and directories. All errors are
 * NTD_E_USAGE; the configuration is to be freed after an error, too. */
int ntd_config_load(struct ntd_config *config, const struct ntd_options *options,
		    struct ntd_error **err);
void ntd_config_free(struct ntd_config *config);

/* Fills in what a JSON configuration says, without a look at any file; `name` begins every
 * message. A key that may be absent leaves its field as it is; test_script may be absent if the
 * field is set already. Fails with NTD_E_USAGE. */
int ntd_config_from_json(struct ntd_config *config, const struct cJSON *tree, const char *name,
			 struct ntd_error **err);

/* Whether the run begins with the state that an earlier one has kept in this output directory. */
bool ntd_config_begins_here(const struct ntd_config *config);
/* The names of all machines: a new list that ends with NULL; NULL when there are no machines. */
char **ntd_config_machine_names(const struct ntd_config *config);
/* The length of the longest machine name in bytes. "machine" counts, too: it is the default name of
 * machines that the script makes. */
size_t ntd_config_longest_name(const struct ntd_config *config);
