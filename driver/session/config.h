/* What a run consists of: machines, VLANs, script and limits, from the command line of older
 * drivers or from the JSON file of newer ones, checked before anything starts.
 */
#pragma once

#include "session/machine_configs.h"
#include "session/options.h"

struct cJSON;

struct ntd_config {
	struct ntd_machine_configs vms, containers;
	struct ntd_numbers vlans; /* unique, in the order given */
	double global_timeout;    /* seconds, more than 0 */
	double boot_timeout; /* of a machine: QEMU, and again its root shell; 0: by its silence */
	double time_scale;   /* of the time-outs of waits; 0: by the machine's accelerator */
	bool enable_ssh_backdoor;
	char *test_script;       /* a file that can be read, or a directory; absolute */
	char *output_dir;        /* absolute, links resolved; files can be created in it */
	bool output_given;       /* it was asked for; else it is the current directory */
	char *junit_xml;         /* absolute; NULL: none */
	char *events;            /* the same */
	char *log_file;          /* of the XML log; NULL: none */
	char *debug_hook_attach; /* NULL: no breakpoints */
	bool from_file;          /* machines and limits come from a JSON file */
	bool keep_state, interactive, quiet;
	bool pause_on_failure; /* a prompt after a failure, if there is a terminal */
	enum ntd_level log_level;
	enum ntd_mode mode;
	struct ntd_shard shard; /* 0 of 0: all tests */
	bool restart_dead, no_skip;
	char **pytest_arguments; /* NULL: none */
	int dump_vsocks;         /* offset of vsock numbers; 0: do not list them */
};

/* The configuration that `options` describe, files and directories checked. Errors are NTD_E_USAGE;
 * the config is to be freed all the same. */
int ntd_config_load(struct ntd_config *config, const struct ntd_options *options,
		    struct ntd_error **err);
void ntd_config_free(struct ntd_config *config);

/* Fills in what a JSON configuration says, without a look at any file; `name` begins every
 * message. Keys that may be absent leave their field as it is; test_script may be if the field
 * is set already. */
int ntd_config_from_json(struct ntd_config *config, const struct cJSON *tree, const char *name,
			 struct ntd_error **err);

/* The names of all machines; a new list. */
char **ntd_config_machine_names(const struct ntd_config *config);
/* Length of the longest machine name in bytes, counting "machine", the default name of machines
 * made while the script runs. */
size_t ntd_config_longest_name(const struct ntd_config *config);
