/* The journal of a container, on the loop thread. Everyone can read it in the container's root
 * directory: a process of journalctl(1) follows it and writes to the console. The journal's
 * directory appears some time in the boot, or never where the journal is kept in memory only; so
 * the driver looks for the directory less and less often.
 *
 * By default journalctl follows the boot that is the last in the journal when it starts, which is
 * an earlier one or none. With --merge it takes all boots, and the time of the start leaves out the
 * entries of earlier ones.
 *
 * The container makes the path, which may not lead out of the container's root directory.
 */
#include "machine/container_internal.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define JOURNAL "var/log/journal"
#define FIRST_PAUSE (50 * NTD_MS)
#define LONGEST_PAUSE (1 * NTD_SECOND)

static void say(struct ntd_container *container, const char *what)
{
	ntd_log(container->machine->context.report, NTD_LEVEL_WARNING, container->machine->name,
		"%s: the container's journal is not shown", what);
}

static bool is_there(const struct ntd_container *container)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	_cleanup_fd_ int root =
		open(container->machine->state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int journal = -1;

	if (root >= 0)
		journal = (int)syscall(SYS_openat2, root, JOURNAL, &how, sizeof how);
	return journal >= 0;
}

static void follower_changed(struct ntd_process *process, void *owner)
{
	struct ntd_container *container = owner;
	_cleanup_free_ char *how = NULL, *what = NULL;

	if (process->state == NTD_PROCESS_FAILED)
		what = ntd_asprintf("%s: %s", container->journalctl,
				    strerror(process->start_errno));
	if (process->state == NTD_PROCESS_ENDED) {
		how = ntd_status_text(process->status);
		what = ntd_asprintf("journalctl %s", how);
	}
	if (!what)
		return;
	say(container, what);
	ntd_process_let_go(ntd_steal(&container->follower));
}

static int follow(struct ntd_container *container, struct ntd_error **err)
{
	struct ntd_machine *machine = container->machine;
	_cleanup_free_ char *directory =
		ntd_asprintf("--directory=%s/" JOURNAL, machine->state_dir);
	_cleanup_free_ char *since =
		ntd_asprintf("--since=@%lld.%06ld", (long long)container->since.tv_sec,
			     container->since.tv_nsec / 1000);
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	container->follower = ntd_process_spawn(
		machine->context.children,
		&(struct ntd_spawn){.argv = (char *[]){container->journalctl, "--quiet", "--follow",
						       "--merge", directory, "--lines=all", since,
						       "--output=short-monotonic", NULL},
				    .env = (char *[]){NULL},
				    .stdin_fd = null,
				    .stdout_fd = machine->console_end,
				    .stderr_fd = null},
		follower_changed, container, err);
	return container->follower ? 0 : -1;
}

static void look(struct ntd_timer *timer)
{
	struct ntd_container *container = ntd_container_of(timer, struct ntd_container, look);
	_cleanup_error_ struct ntd_error *error = NULL;

	if (is_there(container)) {
		if (follow(container, &error) < 0)
			say(container, error->message);
		return;
	}
	container->pause += container->pause / 4;
	if (container->pause > LONGEST_PAUSE)
		container->pause = LONGEST_PAUSE;
	ntd_timer_set(container->machine->context.loop, timer, ntd_after(container->pause));
}

void ntd_container_journal_init(struct ntd_container *container)
{
	container->look.expired = look;
}

void ntd_container_journal_open(struct ntd_container *container)
{
	clock_gettime(CLOCK_REALTIME, &container->since);
	container->pause = FIRST_PAUSE;
	if (container->journalctl)
		ntd_timer_set(container->machine->context.loop, &container->look,
			      ntd_after(container->pause));
	else
		say(container, "journalctl is not on PATH");
}

void ntd_container_journal_close(struct ntd_container *container)
{
	ntd_timer_cancel(&container->look);
	if (container->follower)
		ntd_process_let_go(ntd_steal(&container->follower));
}
