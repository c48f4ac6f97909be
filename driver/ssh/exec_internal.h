/* A command over SSH, for the files about it (exec*.c). Loop thread only. */
#pragma once

#include "ssh/ssh_internal.h"

/* A script's wait for a command. */
struct exec_job {
	struct ntd_request request;
	struct ntd_ssh *ssh;
	const struct ntd_command *command;
	struct ntd_result *result;
	struct ntd_ssh_exec *exec;
};

struct ntd_ssh_exec {
	struct ntd_ssh_stream stream;
	struct ntd_ssh *ssh;
	struct exec_job *job;        /* NULL: nobody waits */
	struct ntd_ssh_exec *victim; /* the command that this one is to end */
	struct ntd_ssh_script script;
	struct ntd_buf input, errors; /* errors: the beginning of a line */
	char *sudo_says;              /* the last line before sudo has begun */
	long pid;                     /* of its login shell in the guest; 0: not known so far */
	bool begun_as_root, timed_out, killing, hunted, overflown;
	struct ntd_timer timer; /* the command's limit, then the guest's */
	struct ntd_list_link link;
};

/* Takes bytes of standard error, and the end of the last line. */
void ntd_ssh_exec_errors(struct ntd_ssh_exec *exec, const char *bytes, size_t len);
void ntd_ssh_exec_end_errors(struct ntd_ssh_exec *exec);
