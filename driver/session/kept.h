/* The state of a run's machines at one moment, kept in a directory for other runs:
 *
 *	snapshot.json            what is kept, and what another run needs to know (kept_json.c)
 *	NAME/memory.qcow2        memory and devices of the machine NAME
 *	NAME/disk0.qcow2 ...     its disks; overlays without what they are an overlay of
 *	NAME/console.log         what it had printed
 *
 * The list is written last, so that a directory without it is one whose run was ended meanwhile.
 * Files of a kept state are never written to again; a run that begins with it has copies. Who opens
 * a kept state runs the start scripts that it names.
 */
#pragma once

#include "agent_channel/agent_channel.h"
#include "base/vec.h"
#include "machine/facts.h"
#include "session/values.h"

struct cJSON;

#define NTD_KEPT_LIST "snapshot.json"
#define NTD_KEPT_MEMORY "memory.qcow2"
#define NTD_KEPT_CONSOLE "console.log"
/* Where the state of a failure is in the output directory. */
#define NTD_KEPT_FAILURE "failure/snapshot"

struct ntd_kept_disk {
	char *device;        /* as people know it */
	char *path;          /* where it is in the machine's state directory */
	char *file;          /* its name in the machine's directory here */
	double size;         /* bytes of the file */
	char *backing;       /* absolute path of what it is an overlay of; NULL: of nothing */
	double backing_size; /* bytes of that file */
};

struct ntd_kept_machine {
	char *name;
	char *directory; /* the name of its directory */
	char *start_script;
	/* Whether it ran. If not, the rest means nothing. */
	bool running;
	struct ntd_facts facts;
	char *tag; /* by which the images know the snapshot */
	bool connected, has_shell;
	struct ntd_agent_saved agent;
	char *shares; /* see machine/snapshot.h */
	double memory_size;
	size_t unread; /* lines of the console that nobody had taken */
	ntd_vec(struct ntd_kept_disk) disks;
};

struct ntd_kept {
	char *directory; /* absolute */
	char *name;      /* of the snapshot, in scripts */
	struct ntd_numbers vlans;
	ntd_vec(struct ntd_kept_machine) machines;
};

void ntd_kept_machine_free(struct ntd_kept_machine *machine);
/* Frees what the structure has. */
void ntd_kept_clear(struct ntd_kept *kept);
/* Frees the structure, too; NULL is allowed. */
void ntd_kept_free(struct ntd_kept *kept);

/* The machine of that name; NULL: there is none. */
const struct ntd_kept_machine *ntd_kept_find(const struct ntd_kept *kept, const char *name);

/* Finds the kept state in `path`, which is its directory or that of the output of the run that kept
 * it, and reads and checks the list, and that the images are there. All errors are NTD_E_USAGE. */
struct ntd_kept *ntd_kept_open(const char *path, struct ntd_error **err);
/* Reads a list, without a look at any other file; `name` begins every message. */
struct ntd_kept *ntd_kept_from_json(const struct cJSON *tree, const char *name,
				    struct ntd_error **err);
/* Writes the list into the directory, where it appears when it is complete. */
int ntd_kept_write(const struct ntd_kept *kept, struct ntd_error **err);

/* Whether a state may be kept in a directory that is there: it is empty, or has one. */
bool ntd_kept_replaceable(const char *directory);
/* Removes a kept state, complete or not: files by the names that it uses, and directories that are
 * empty then. Only for directories that the driver has made, or ntd_kept_replaceable(). */
void ntd_kept_remove(const char *directory);
