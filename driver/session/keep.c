/* Keeping the state of a run's machines. On the thread that has found the failure, or on the main
 * thread.
 *
 * The images are copied while the guests stand still, right after their states have been written
 * into them: later, QEMU would write to them again, and a test that fails is not always the end of
 * the run. The copies are sparse, and share their blocks with the images where the file system can
 * do that.
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
#include <string.h>
#include <sys/stat.h>

/* A run that has failed is not held up for longer, but for what is being copied then. */
#define KEEP_PATIENCE (60 * NTD_SECOND)
/* Seconds for what is under way in the guests by other threads. */
#define COMMANDS 5.0
#define FAILURE "failure"
#define BOOT "boot"

/* How a state is kept. */
struct keeping {
	const char *directory; /* it is made, and an earlier state in it removed */
	const char *name;      /* of the snapshot */
	/* Machines are kept as they are, and what cannot be kept is a warning; else all machines
	 * run and are kept, or it is an error. */
	bool as_they_are;
};

/* What has been kept so far. */
struct work {
	const struct ntd_session *session;
	struct ntd_kept kept;
	double bytes;     /* on the disk */
	int64_t deadline; /* for the beginning of the last copy */
};

/* ---- one machine */

static int copy(struct work *work, const struct ntd_machine *machine, const char *from,
		const char *to, struct ntd_error **err)
{
	struct stat info;

	if (ntd_now() > work->deadline)
		return ntd_machine_error(err, machine, NTD_E_TIMEOUT,
					 "there was not time enough to copy %s", from);
	if (ntd_tree_copy_file(from, to, 0644, err) < 0)
		return -1;
	if (stat(to, &info) == 0)
		work->bytes += (double)info.st_blocks * 512;
	return 0;
}

static double size_of(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 ? (double)info.st_size : 0;
}

static int copy_disk(struct work *work, const struct ntd_machine *machine,
		     const struct ntd_image *image, const char *directory,
		     struct ntd_kept_machine *kept, struct ntd_error **err)
{
	_cleanup_free_ char *state_dir = realpath(ntd_machine_state_dir(machine), NULL);
	_cleanup_free_ char *name = ntd_asprintf("disk%zu.qcow2", kept->disks.count);
	_cleanup_free_ char *target = ntd_asprintf("%s/%s", directory, name);

	if (copy(work, machine, image->file, target, err) < 0)
		return -1;
	ntd_vec_push(&kept->disks,
		     (struct ntd_kept_disk){
			     .device = ntd_strdup(image->device),
			     .path = ntd_strdup(image->file + strlen(state_dir) + 1),
			     .file = ntd_steal(&name),
			     .size = size_of(target),
			     .backing = image->backing ? ntd_strdup(image->backing) : NULL,
			     .backing_size = image->backing ? size_of(image->backing) : 0});
	return 0;
}

static int copy_images(struct work *work, struct ntd_machine *machine,
		       struct ntd_kept_machine *kept, const char *directory,
		       struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_images_ struct ntd_images images = {0};
	_cleanup_free_ char *memory = ntd_asprintf("%s/" NTD_KEPT_MEMORY, directory);

	if (ntd_facts_ask(machine, &kept->facts, waiter, err) < 0 ||
	    ntd_snapshot_images(machine, &images, waiter, err) < 0 ||
	    copy(work, machine, images.items[0].file, memory, err) < 0)
		return -1;
	kept->memory_size = size_of(memory);
	for (size_t i = 1; i < images.count; i++)
		if (copy_disk(work, machine, &images.items[i], directory, kept, err) < 0)
			return -1;
	return 0;
}

static int copy_console(struct ntd_machine *machine, struct ntd_kept_machine *kept,
			const char *directory, struct ntd_error **err)
{
	_cleanup_free_ char *path = ntd_asprintf("%s/" NTD_KEPT_CONSOLE, directory);
	_cleanup_buf_ struct ntd_buf log = {0};
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	ntd_console_copy_log(ntd_machine_console(machine), &log);
	kept->unread = ntd_console_unread(ntd_machine_console(machine));
	if (fd < 0 || ntd_fd_write_all(fd, ntd_buf_bytes(&log), log.len) < 0)
		return ntd_error_sys(err, errno, "cannot write %s", path);
	return 0;
}

/* A directory that has the machine's name if that is one. */
static char *directory_name(const struct work *work, const char *machine)
{
	return *machine == '.' ? ntd_asprintf("machine%zu", work->kept.machines.count)
			       : ntd_strdup(machine);
}

static int keep_running(struct work *work, struct ntd_machine *machine,
			const struct ntd_snapshot *snapshot, struct ntd_kept_machine *kept,
			struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *directory =
		ntd_asprintf("%s/%s", work->kept.directory, kept->directory);

	kept->running = true;
	kept->tag = ntd_strdup(snapshot->tag);
	kept->connected = snapshot->connected;
	kept->has_shell = snapshot->has_shell;
	kept->agent = snapshot->agent;
	kept->shares = ntd_strdup(snapshot->shares);
	if (mkdir(directory, 0777) < 0)
		return ntd_error_sys(err, errno, "cannot make %s", directory);
	if (copy_images(work, machine, kept, directory, waiter, err) < 0)
		return -1;
	return copy_console(machine, kept, directory, err);
}

static void forget_directory(const struct work *work, const struct ntd_kept_machine *kept)
{
	_cleanup_free_ char *directory =
		ntd_asprintf("%s/%s", work->kept.directory, kept->directory);

	if (kept->running)
		ntd_tree_remove(directory, NULL);
}

/* Called when the machine stands still; see struct ntd_moment. */
static int keep_machine(void *owner, struct ntd_machine *machine,
			const struct ntd_snapshot *snapshot, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	struct work *work = owner;
	struct ntd_kept_machine kept = {.name = ntd_strdup(ntd_machine_name(machine)),
					.directory =
						directory_name(work, ntd_machine_name(machine)),
					.start_script = ntd_strdup(ntd_machine_script(machine))};

	if (snapshot->tag && keep_running(work, machine, snapshot, &kept, waiter, err) < 0) {
		forget_directory(work, &kept);
		ntd_kept_machine_free(&kept);
		return -1;
	}
	ntd_vec_push(&work->kept.machines, kept);
	return 0;
}

/* ---- all of them */

static void leave_out(const struct ntd_machine *machine, const char *why)
{
	ntd_log(ntd_machine_report(machine), NTD_LEVEL_WARNING, ntd_machine_name(machine),
		"its state is not saved: %s", why);
}

static bool runs(const struct ntd_machine *machine)
{
	enum ntd_machine_state state = ntd_machine_state(machine);

	return state != NTD_MACHINE_DOWN && state != NTD_MACHINE_DEAD;
}

/* The machines that can be kept, first in `machines`; returns their number. With `all` they are
 * those of the configuration and those that the script has made and started; else only the former,
 * which are what another run has. */
static size_t choose(const struct ntd_session *session, bool all, struct ntd_machine **machines,
		     size_t count)
{
	struct ntd_machine_configs chosen = {0};

	for (size_t i = 0; i < count; i++) {
		struct ntd_machine *machine = machines[i];
		const char *fault = ntd_snapshot_refusal(machine);
		bool is_made =
			!ntd_machine_configs_has(&session->config->vms, ntd_machine_name(machine));

		if (is_made && !runs(machine))
			continue;
		if (is_made && !all)
			fault = "it is none of the configuration's, which --boot-from begins with";
		if (!fault && ntd_machine_configs_has(&chosen, ntd_machine_name(machine)))
			fault = "another machine has its name";
		if (!fault)
			fault = ntd_machine_configs_add(&chosen, ntd_machine_name(machine),
							ntd_machine_script(machine));
		if (fault)
			leave_out(machine, fault);
		else
			machines[chosen.count - 1] = machine;
	}
	count = chosen.count;
	ntd_machine_configs_free(&chosen);
	return count;
}

static bool has_running(const struct ntd_kept *kept)
{
	for (size_t i = 0; i < kept->machines.count; i++)
		if (kept->machines.items[i].running)
			return true;
	return false;
}

static void tell(const struct work *work, const struct keeping *keeping, int64_t began)
{
	_cleanup_buf_ struct ntd_buf names = {0};
	_cleanup_free_ char *opening = NULL;

	for (size_t i = 0; i < work->kept.machines.count; i++)
		if (work->kept.machines.items[i].running)
			ntd_buf_printf(&names, "%s%s", names.len ? ", " : "",
				       work->kept.machines.items[i].name);
	if (keeping->as_they_are)
		opening = ntd_asprintf("; nixos-test-driver --reopen %s opens a prompt in it",
				       keeping->directory);
	ntd_log(work->session->report, NTD_LEVEL_ALWAYS, NULL,
		"the state of %.*s is kept in %s (%.0f MB, %.1f s)%s", (int)names.len,
		ntd_buf_bytes(&names), keeping->directory, work->bytes / 1e6,
		ntd_seconds(ntd_now() - began), opening ? opening : "");
}

static void note_vlans(struct ntd_kept *kept, struct ntd_vlan *const *vlans, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ntd_numbers_add(&kept->vlans, ntd_vlan_number(vlans[i]));
}

static int save(struct work *work, struct ntd_session *session, const struct keeping *keeping,
		struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_moment moment = {.name = keeping->name,
				    .as_they_are = keeping->as_they_are,
				    .starts = !keeping->as_they_are,
				    .timeout =
					    keeping->as_they_are ? COMMANDS : NTD_SNAPSHOT_TIMEOUT,
				    .standing = keep_machine,
				    .owner = work};
	_cleanup_free_ struct ntd_machine **machines = ntd_session_machines(session, &moment.count);
	_cleanup_free_ struct ntd_vlan **vlans = ntd_session_vlans(session, &moment.vlan_count);

	moment.count = choose(session, keeping->as_they_are, machines, moment.count);
	moment.machines = machines;
	moment.vlans = vlans;
	note_vlans(&work->kept, vlans, moment.vlan_count);
	ntd_kept_remove(work->kept.directory);
	if (mkdir(work->kept.directory, 0777) < 0 && errno != EEXIST)
		return ntd_error_sys(err, errno, "cannot make %s", work->kept.directory);
	if (ntd_moment_save(&moment, waiter, err) < 0)
		return -1;
	return has_running(&work->kept) ? ntd_kept_write(&work->kept, err) : 0;
}

/* Keeps the state of all machines at this moment; they go on. After an error nothing is kept, nor
 * when no machine runs that can be. */
static int keep(struct ntd_session *session, const struct keeping *keeping,
		struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct work work = {.session = session,
			    .kept = {.directory = ntd_strdup(keeping->directory),
				     .name = ntd_strdup(keeping->name)},
			    .deadline = waiter->deadline ? waiter->deadline : NTD_FOREVER};
	int64_t began = ntd_now();
	int result = save(&work, session, keeping, waiter, err);

	if (result == 0 && has_running(&work.kept))
		tell(&work, keeping, began);
	else
		ntd_kept_remove(keeping->directory);
	ntd_kept_clear(&work.kept);
	return result;
}

static int keep_failure(struct ntd_session *session, struct ntd_waiter *waiter,
			struct ntd_error **err)
{
	_cleanup_free_ char *failure = ntd_asprintf("%s/failure", session->config->output_dir);
	_cleanup_free_ char *directory =
		ntd_asprintf("%s/" NTD_KEPT_FAILURE, session->config->output_dir);
	struct keeping keeping = {.directory = directory, .name = FAILURE, .as_they_are = true};
	struct ntd_waiter limited = *waiter;
	struct ntd_error *error = NULL;

	if (ntd_config_begins_here(session->config)) {
		ntd_log(session->report, NTD_LEVEL_WARNING, NULL,
			"the state of the machines is not kept: the run has begun with what is in "
			"%s",
			directory);
		return 0;
	}
	limited.deadline = ntd_after(KEEP_PATIENCE);
	mkdir(failure, 0777);
	if (keep(session, &keeping, &limited, &error) == 0)
		return 0;
	if (error->code == NTD_E_CANCELLED)
		return ntd_error_move(err, error);
	ntd_log(session->report, NTD_LEVEL_WARNING, NULL,
		"the state of the machines is not kept: %s", error->message);
	ntd_error_free(error);
	return 0;
}

int ntd_keep_failure(struct ntd_session *session, struct ntd_waiter *waiter, struct ntd_error **err)
{
	int result = 0;

	if (!session->config->snapshot_on_failure)
		return 0;
	pthread_mutex_lock(&session->ending.keeping);
	if (!session->ending.state_kept)
		result = keep_failure(session, waiter, err);
	session->ending.state_kept = true;
	pthread_mutex_unlock(&session->ending.keeping);
	return result;
}

int ntd_keep_boot(struct ntd_session *session, struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct keeping keeping = {.directory = session->config->save_boot, .name = BOOT};
	int result = keep(session, &keeping, waiter, err);

	return result < 0 ? ntd_error_wrap(err, "the boot is not kept") : 0;
}
