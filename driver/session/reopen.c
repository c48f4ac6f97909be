/* Beginning a run with a kept state. The main thread: before the machines are started, and when the
 * script or the prompt is about to begin.
 *
 * Each machine gets copies of its images, so that a kept state can be used any number of times, and
 * by several runs at once. Then the state is a snapshot of the machine, which is restored as any
 * other, in a new QEMU. Only that QEMU can say whether it is what it was; it is asked before a
 * state is loaded.
 */
#include "session/keep.h"

#include "base/fd.h"
#include "base/tree.h"
#include "guest/moment.h"
#include "machine/facts.h"
#include "machine/snapshot.h"
#include "session/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>

/* The end of a log that is longer is enough. */
#define CONSOLE_MOST ((size_t)64 << 20)

/* ---- the files */

/* Copies a file of the state into the machine's state directory; returns its path there, a new
 * string, or NULL. */
static char *fetch(const char *from, const char *name, const struct ntd_machine *machine,
		   const char *as, struct ntd_error **err)
{
	_cleanup_free_ char *source = ntd_asprintf("%s/%s", from, name);
	_cleanup_free_ char *target = ntd_asprintf("%s/%s", ntd_machine_state_dir(machine), as);
	_cleanup_free_ char *parent = ntd_strdup(target);

	if (ntd_tree_make(dirname(parent), err) < 0 ||
	    ntd_tree_copy_file(source, target, 0600, err) < 0)
		return NULL;
	return ntd_steal(&target);
}

/* A console that cannot be read is no reason to do without the machine. */
static struct ntd_console_mark *read_console(const char *from, size_t unread)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/" NTD_KEPT_CONSOLE, from);
	/* O_NONBLOCK: to open a pipe does not wait for its other end. */
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_buf_ struct ntd_buf text = {0};

	/* This fails where the file is shorter, of which everything is read. */
	lseek(fd, -(off_t)CONSOLE_MOST, SEEK_END);
	if (fd < 0 || ntd_fd_read_all(fd, &text, CONSOLE_MOST) < 0)
		ntd_buf_clear(&text);
	return ntd_console_mark_of(ntd_buf_bytes(&text), text.len, unread);
}

static int give_state(const struct ntd_kept *kept, const struct ntd_kept_machine *from,
		      struct ntd_machine *machine, struct ntd_error **err)
{
	_cleanup_free_ char *directory = ntd_asprintf("%s/%s", kept->directory, from->directory);
	_cleanup_free_ char *store = NULL;
	struct ntd_snapshot *snapshot;

	if (from->running) {
		store = fetch(directory, NTD_KEPT_MEMORY, machine, "snapshots.qcow2", err);
		if (!store)
			return -1;
	}
	for (size_t i = 0; i < from->disks.count; i++) {
		const struct ntd_kept_disk *disk = &from->disks.items[i];
		_cleanup_free_ char *path = fetch(directory, disk->file, machine, disk->path, err);

		if (!path)
			return -1;
	}
	snapshot = ntd_calloc(1, sizeof *snapshot);
	*snapshot = (struct ntd_snapshot){
		.name = ntd_strdup(kept->name),
		.tag = from->tag ? ntd_strdup(from->tag) : NULL,
		.connected = from->connected,
		.has_shell = from->has_shell,
		.agent = from->agent,
		.shares = ntd_strdup(from->shares ? from->shares : ""),
		.console = from->running ? read_console(directory, from->unread) : NULL};
	ntd_snapshot_adopt(machine, snapshot, store);
	return 0;
}

int ntd_reopen_prepare(struct ntd_session *session, struct ntd_error **err)
{
	const struct ntd_kept *kept = session->config->kept;

	for (size_t i = 0; kept && i < kept->machines.count; i++) {
		const struct ntd_kept_machine *from = &kept->machines.items[i];
		struct ntd_machine *machine = ntd_session_machine(session, from->name);

		if (machine && give_state(kept, from, machine, err) < 0)
			return ntd_error_wrap(err, "machine '%s'", from->name);
	}
	return 0;
}

/* ---- the machines */

/* Called when the machine has its QEMU, whose guest has not run; see struct ntd_moment. */
static int compare(void *owner, struct ntd_machine *machine, const struct ntd_snapshot *snapshot,
		   struct ntd_waiter *waiter, struct ntd_error **err)
{
	const struct ntd_kept *kept = owner;
	const struct ntd_kept_machine *from = ntd_kept_find(kept, ntd_machine_name(machine));
	_cleanup_facts_ struct ntd_facts here = {0};
	_cleanup_free_ char *differences = NULL;

	if (!from || !from->running)
		return 0;
	if (ntd_facts_ask(machine, &here, waiter, err) < 0)
		return -1;
	differences = ntd_facts_differences(&from->facts, &here);
	if (!*differences)
		return 0;
	return ntd_machine_error(
		err, machine, NTD_E_USAGE,
		"its state in %s cannot be loaded here, for QEMU is not what it was:%s\n"
		"  Use the start script and the QEMU of then (recorded: %s).",
		kept->directory, differences, from->start_script);
}

int ntd_reopen_restore(struct ntd_session *session, struct ntd_waiter *waiter,
		       struct ntd_error **err)
{
	const struct ntd_kept *kept = session->config->kept;
	struct ntd_moment moment = {.name = kept->name, .standing = compare, .owner = (void *)kept};
	_cleanup_free_ struct ntd_machine **machines = ntd_session_machines(session, &moment.count);
	_cleanup_free_ struct ntd_vlan **vlans = ntd_session_vlans(session, &moment.vlan_count);
	size_t count = 0;

	for (size_t i = 0; i < moment.count; i++)
		if (ntd_kept_find(kept, ntd_machine_name(machines[i])))
			machines[count++] = machines[i];
	moment.machines = machines;
	moment.count = count;
	moment.vlans = vlans;
	return ntd_moment_restore(&moment, waiter, err);
}
