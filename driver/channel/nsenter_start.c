/* Processes in a container: its init, whether programs can be started, and their start by
 * nsenter(1). It runs on the loop thread, unless nsenter.h says otherwise.
 *
 * A system that powers off stops all of its processes for a moment. nsenter, when it sees its child
 * stopped, stops itself, and no process in the container can continue it; it would never reap the
 * child, without which init cannot end. So nsenter's guard continues it.
 */
#include "channel/nsenter_internal.h"

#include <sys/syscall.h>

enum { PREFIX_WORDS = 9 }; /* of nsenter's command line */

/* ---- the container's init */

void ntd_nsenter_forget_leader(struct ntd_nsenter *nsenter)
{
	nsenter->leader = 0;
	ntd_close_fd(&nsenter->leader_fd);
}

bool ntd_nsenter_set_leader(struct ntd_nsenter *nsenter, pid_t leader)
{
	ntd_nsenter_forget_leader(nsenter);
	nsenter->leader_fd = (int)syscall(SYS_pidfd_open, leader, 0);
	if (nsenter->leader_fd < 0)
		return false;
	nsenter->leader = leader;
	return true;
}

pid_t ntd_nsenter_leader(const struct ntd_nsenter *nsenter)
{
	return nsenter->leader;
}

bool ntd_nsenter_leader_lives(const struct ntd_nsenter *nsenter)
{
	return nsenter->leader_fd >= 0 &&
	       syscall(SYS_pidfd_send_signal, nsenter->leader_fd, 0, NULL, 0) == 0;
}

/* ---- programs */

struct ntd_error *ntd_nsenter_refusal(const struct ntd_nsenter *nsenter)
{
	if (nsenter->refusal)
		return ntd_error_copy(nsenter->refusal);
	if (!nsenter->program)
		return ntd_error_new(
			NTD_E_MACHINE,
			"machine '%s': commands in containers are run by nsenter, which "
			"is not on PATH; it is part of util-linux",
			nsenter->machine);
	if (!ntd_nsenter_leader_lives(nsenter))
		return ntd_error_new(NTD_E_DEAD, "machine '%s': its init has ended",
				     nsenter->machine);
	return NULL;
}

struct ntd_process *ntd_nsenter_start(struct ntd_nsenter *nsenter,
				      const struct ntd_nsenter_program *program,
				      void (*changed)(struct ntd_process *, void *), void *owner,
				      struct ntd_error **err)
{
	_cleanup_free_ char *leader = ntd_asprintf("%d", (int)nsenter->leader);
	char *argv[PREFIX_WORDS + NTD_NSENTER_WORDS + 1] = {
		nsenter->program, "--target", leader,  "--mount", "--uts",
		"--ipc",          "--net",    "--pid", "--cgroup"};

	for (size_t i = 0; i < NTD_NSENTER_WORDS && program->argv[i]; i++)
		argv[PREFIX_WORDS + i] = program->argv[i];
	return ntd_process_spawn(nsenter->children,
				 &(struct ntd_spawn){.argv = argv,
						     .env = (char *[]){NULL},
						     .stdin_fd = program->input,
						     .stdout_fd = program->output,
						     .stderr_fd = program->errors < 0
									  ? nsenter->console
									  : program->errors,
						     .runs_on = true},
				 changed, owner, err);
}
