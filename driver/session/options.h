/* The command line, and the environment variables that supply its defaults.
 *
 * Parsing follows the command line that upstream's argparse gives its users: long options by
 * unambiguous prefix, --opt=value and --opt value, options that take all words up to the next
 * option, and a script anywhere among them. A variable counts only where the option itself is
 * absent; an empty one is absent.
 */
#pragma once

#include "base/buf.h"
#include "report/report.h"
#include "session/values.h"

/* The syntax of the test script. */
enum ntd_mode {
	NTD_MODE_AUTO,   /* as the script itself looks */
	NTD_MODE_LEGACY, /* a program that is executed from top to bottom */
	NTD_MODE_PYTEST, /* functions that pytest collects and calls */
};

/* Where tests in pytest style begin. */
enum ntd_isolation {
	NTD_ISOLATION_NONE,    /* where the test before has left the machines */
	NTD_ISOLATION_RESTORE, /* from a snapshot of all machines and networks */
};

struct ntd_options {
	bool help, version; /* given: nothing after it was looked at */
	char *config;       /* JSON file; excludes the start scripts, names and VLANs below */
	char *test_script;  /* NULL: not given; replaces the one in the configuration */
	/* Lists; NULL: none. Without names, they are taken from the start scripts. */
	char **vm_start_scripts, **container_start_scripts, **vm_names, **container_names;
	struct ntd_numbers vlans;
	double global_timeout; /* seconds; 0: not given */
	double boot_timeout;   /* the same */
	struct ntd_factor time_scale;
	bool no_agent;
	char *output_dir;  /* NULL: the current directory */
	char *junit_xml;   /* relative to output_dir; NULL: none */
	char *events;      /* the same */
	char *report;      /* the same */
	char *report_from; /* NULL: make no report of old events */
	char *debug_hook_attach;
	bool keep_state, interactive, quiet, pause_on_failure, snapshot_on_failure;
	/* Directories of kept states, and a script; NULL: not given. At most one of the
	 * directories is. */
	char *reopen, *save_boot, *boot_from, *boot_script;
	enum ntd_level log_level;
	int dump_vsocks; /* 0: not given */
	enum ntd_mode mode;
	struct ntd_shard shard;
	bool restart_dead, no_skip;
	enum ntd_isolation isolation;
	int rerun;           /* how often a failed test is run again */
	int seed;            /* of what varies; 0: nothing */
	bool pytest_session; /* there is no test script: a session of pytest with pytest_arguments
			      */
	char **pytest_arguments; /* what follows "--"; NULL: nothing */
};

/* Fills in `options` from argv (argv[0] is skipped) and the environment. On error, NTD_E_USAGE and
 * options to be freed all the same. Uses getopt_long, so one thread at a time. */
int ntd_options_parse(struct ntd_options *options, int argc, char *const *argv,
		      struct ntd_error **err);
void ntd_options_free(struct ntd_options *options);

/* The text of --help. */
void ntd_options_help(struct ntd_buf *out);
/* What the program prints for an error of usage before it exits with status 2: message and hint. */
char *ntd_usage_message(const struct ntd_error *error);
