/* The agent as a program, which the guest's root shell starts as a background process:
 *
 *	agent [--stdin N] [--timed-stdin N] PORT   serves the port, a device like /dev/vport0p1
 *	agent [...] --fd N                         serves an open descriptor
 *	agent --check                              does nothing: the guest can execute it
 *
 * With --container, commands are run in the manner of nsenter(1) in a container (agent/manner.h).
 * With --close N, it first closes a descriptor, which only served to start it. Lists of processes
 * show it as ntd-agent, whatever the name of its file.
 * The numbers are descriptors for the standard input of commands without a time-out and with one,
 * /dev/null when they are not given. Standard error is that of the commands. The agent ends with
 * its parent.
 */
#include "agent/agent.h"
#include "agent/number.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

enum {
	USAGE_STATUS = 2,
	CONNECT_LIMIT = 10000, /* milliseconds */
	CONNECT_STEP = 10,
};

struct arguments {
	bool check, container;
	const char *port;
	int fd, input, timed_input, closed;
};

static int complain(const char *what)
{
	fprintf(stderr, "nixos-test-driver: agent: %s: %s\n", what, strerror(errno));
	return -1;
}

/* ---- arguments */

static bool read_number(const char *text, int *number)
{
	const char *end;

	*number = ntd_agent_number(text, &end);
	return *text && !*end;
}

static int *number_option(struct arguments *arguments, const char *name)
{
	if (!strcmp(name, "--fd"))
		return &arguments->fd;
	if (!strcmp(name, "--stdin"))
		return &arguments->input;
	if (!strcmp(name, "--close"))
		return &arguments->closed;
	return strcmp(name, "--timed-stdin") ? NULL : &arguments->timed_input;
}

static bool read_arguments(char **argv, struct arguments *arguments)
{
	while (*++argv) {
		int *number = number_option(arguments, *argv);

		if (number && (!*++argv || !read_number(*argv, number)))
			return false;
		if (number)
			continue;
		if (!strcmp(*argv, "--check"))
			arguments->check = true;
		else if (!strcmp(*argv, "--container"))
			arguments->container = true;
		else
			arguments->port = *argv;
	}
	return arguments->check || arguments->port || arguments->fd >= 0;
}

/* ---- descriptors */

/* The lowest descriptors are those of commands, so the agent has no other thing there. */
static void fill_standard_descriptors(int *port)
{
	int fd = *port;

	if (fd >= 0 && fd <= STDERR_FILENO) {
		*port = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		close(fd);
	}
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	ntd_close_fd(&fd);
}

static int make_input(int fd)
{
	if (fd < 0)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd > STDERR_FILENO)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* A port that has just been plugged in says that nobody is at its other end until the guest has
 * been told otherwise, of which nothing but poll(2) tells. */
static void await_host(int port)
{
	struct pollfd polled = {.fd = port, .events = POLLIN};

	for (int waited = 0; waited < CONNECT_LIMIT; waited += CONNECT_STEP) {
		if (poll(&polled, 1, 0) >= 0 && !(polled.revents & POLLHUP))
			return;
		poll(NULL, 0, CONNECT_STEP);
	}
}

static int open_port(const struct arguments *arguments)
{
	int port = arguments->fd;

	if (port < 0)
		port = open(arguments->port, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (port < 0)
		return complain(arguments->port);
	fcntl(port, F_SETFD, FD_CLOEXEC);
	fcntl(port, F_SETFL, fcntl(port, F_GETFL) | O_NONBLOCK);
	await_host(port);
	return port;
}

/* Returns false when the parent has ended already. */
static bool end_with_parent(void)
{
	pid_t parent = getppid();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == parent;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.fd = -1, .input = -1, .timed_input = -1, .closed = -1};
	struct ntd_agent_setup setup;

	if (!read_arguments(argv, &arguments)) {
		fputs("usage: agent [--stdin N] [--timed-stdin N] PORT | --fd N | --check\n",
		      stderr);
		return USAGE_STATUS;
	}
	if (arguments.check)
		return 0;
	ntd_close_fd(&arguments.closed);
	prctl(PR_SET_NAME, "ntd-agent");
	if (!end_with_parent())
		return 1;
	fill_standard_descriptors(&arguments.fd);
	setup = (struct ntd_agent_setup){.services = ntd_agent_services,
					 .port = open_port(&arguments),
					 .input = make_input(arguments.input),
					 .timed_input = make_input(arguments.timed_input),
					 .manner = arguments.container ? &ntd_agent_as_nsenter
								       : &ntd_agent_as_root_shell};
	return setup.port < 0 ? 1 : ntd_agent_serve(&setup);
}
