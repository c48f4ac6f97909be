/* A client of SFTP and a server on two pipes, OpenSSH's sftp-server or that of the agent, in a
 * directory of its own for each test. One thread moves the bytes: that of the test.
 */
#pragma once

#include "tree_fixture.h"

#include "agent/files.h"
#include "sftp/sftp.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define SERVER "/usr/lib/openssh/sftp-server"

enum { NOBODY = 65534 };

/* A copy, and what is to happen to it. */
struct copying {
	enum ntd_sftp_direction direction;
	const char *source, *target;
	bool follow;           /* a source that is a link */
	bool follow_all;       /* and links in a tree of this host */
	bool other_user;       /* the server is not root */
	bool agent;            /* the server is the agent's */
	unsigned cancel_after; /* answers; 0: the copy is not cancelled */
	unsigned leave_after;  /* answers, after which the client says no more; 0: it stays */
	unsigned end_after;    /* answers, after which the server is killed; 0: it is not */
	/* Results. */
	struct ntd_sftp_progress progress;
	struct ntd_buf without; /* the test frees it */
	unsigned reads;
	bool done;
	struct ntd_error *error;
};

static inline struct copying a_copy(enum ntd_sftp_direction direction, const char *source,
				    const char *target)
{
	return (struct copying){.direction = direction, .source = source, .target = target};
}

static inline void wire_output(void *owner)
{
}

static inline void wire_done(void *owner, struct ntd_error *error)
{
	struct copying *copying = owner;

	assert_false(copying->done);
	copying->done = true;
	copying->error = error;
}

static inline pid_t start_server(const struct copying *copying, int *to, int *from)
{
	int input[2], output[2];
	pid_t pid;

	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(input[0], STDIN_FILENO);
		dup2(output[1], STDOUT_FILENO);
		if (copying->other_user && geteuid() == 0 && (setgid(NOBODY) || setuid(NOBODY)))
			_exit(1);
		if (copying->agent) {
			close(input[1]);
			close(output[0]);
			ntd_files_serve(input[0], output[1]);
			_exit(0);
		}
		execl(SERVER, SERVER, (char *)NULL);
		_exit(127);
	}
	close(input[0]);
	close(output[1]);
	fcntl(input[1], F_SETFL, O_NONBLOCK);
	*to = input[1];
	*from = output[0];
	return pid;
}

static inline void send_some(struct ntd_sftp *sftp, int fd)
{
	struct ntd_buf *output = ntd_sftp_output(sftp);
	ssize_t put = write(fd, ntd_buf_bytes(output), output->len);

	if (put > 0) {
		ntd_buf_consume(output, (size_t)put);
		ntd_sftp_sent(sftp);
	} else {
		assert_true(errno == EAGAIN || errno == EPIPE);
		if (errno == EPIPE)
			ntd_sftp_ended(sftp, NULL);
	}
}

/* Moves bytes until the client is done. Answers are counted by reads: where a test counts them,
 * each read takes a few bytes. */
static inline void move_bytes(struct copying *copying, struct ntd_sftp *sftp, pid_t pid, int to,
			      int from)
{
	bool slow = copying->cancel_after || copying->leave_after || copying->end_after;
	char bytes[64 << 10];
	ssize_t got;

	while (!copying->done && (!copying->reads || copying->reads != copying->leave_after)) {
		struct pollfd fds[2] = {
			{from, POLLIN, 0},
			{ntd_sftp_output(sftp)->len ? to : -1, POLLOUT, 0},
		};

		assert_true(poll(fds, 2, -1) > 0);
		if (fds[1].revents)
			send_some(sftp, to);
		if (!fds[0].revents || copying->done)
			continue;
		got = read(from, bytes, slow ? 48 : sizeof bytes);
		copying->reads++;
		if (got > 0)
			ntd_sftp_input(sftp, bytes, (size_t)got);
		else
			ntd_sftp_ended(sftp, NULL);
		if (copying->reads == copying->cancel_after)
			ntd_sftp_cancel(sftp);
		if (copying->reads == copying->end_after)
			kill(pid, SIGKILL);
	}
}

/* Runs a copy to its end; the error, or NULL, is in `copying`. */
static inline void run(struct copying *copying)
{
	struct ntd_sftp_wire wire = {wire_output, wire_done, copying};
	struct ntd_sftp *sftp =
		ntd_sftp_new(copying->direction, copying->source, copying->target, &wire);
	int to, from;
	pid_t pid = start_server(copying, &to, &from);

	signal(SIGPIPE, SIG_IGN);
	if (copying->follow)
		ntd_sftp_follow(sftp);
	if (copying->follow_all)
		ntd_sftp_follow_all(sftp);
	ntd_sftp_begin(sftp);
	move_bytes(copying, sftp, pid, to, from);
	copying->progress = ntd_sftp_progress(sftp);
	ntd_buf_append(&copying->without, ntd_buf_bytes(ntd_sftp_without(sftp)),
		       ntd_sftp_without(sftp)->len);
	ntd_sftp_free(sftp);
	close(to);
	close(from);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A copy from and to paths below the base; returns its error. */
static inline struct ntd_error *sftp_copy(enum ntd_sftp_direction direction, const char *source,
					  const char *target)
{
	struct copying copying = a_copy(direction, at(source), at(target));

	run(&copying);
	return copying.error;
}

static inline void put(const char *source, const char *target)
{
	assert_no_error(sftp_copy(NTD_SFTP_PUT, source, target));
}

static inline void get(const char *source, const char *target)
{
	assert_no_error(sftp_copy(NTD_SFTP_GET, source, target));
}

/* Runs a command of the host's shell in the base; it must succeed. */
static inline void shell(const char *command)
{
	_cleanup_free_ char *line = ntd_asprintf("cd %s && { %s; }", base, command);

	if (system(line) != 0)
		fail_msg("%s", command);
}

/* Asserts that no temporary file is left below the base. */
static inline void assert_nothing_left(void)
{
	shell("test -z \"$(find . -name '.ntd-*')\"");
}
