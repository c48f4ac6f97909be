/* Tests of data ports in machines whose QEMU is the fake, which has a guest's side of ports, too:
 * bytes go both ways, and a machine without a port goes on.
 */
#include "life_fixture.h"

#include "machine/qemu_internal.h"

#include <poll.h>
#include <semaphore.h>
#include <sys/socket.h>

/* A format with a shell's words that set `d` to the device of the port whose name is in `n`. The
 * guest gets it a moment later than the driver, or much later. */
#define FIND_DEVICE                                                                                \
	"d=; until [ -n \"$d\" ]; do for f in \"$NTD_PORTS\"/*/name; do "                          \
	"read -r r 2>/dev/null < \"$f\" && [ \"$r\" = \"$n\" ] || continue; f=${f%%/name}; "       \
	"d=$NTD_DEV/${f##*/}; done; done; "

struct channel {
	struct ntd_loop *loop;
	struct ntd_qemu *qemu;
	struct ntd_port *port;
	sem_t told;
	int fd; /* -1: the port is not open */
	char name[64], why[256];
};

static void on_opened(void *owner, int fd, const char *name)
{
	struct channel *channel = owner;

	channel->fd = fd;
	snprintf(channel->name, sizeof channel->name, "%s", name);
	sem_post(&channel->told);
}

static void on_failed(void *owner, const struct ntd_error *why)
{
	struct channel *channel = owner;

	snprintf(channel->why, sizeof channel->why, "%s", why->message);
	sem_post(&channel->told);
}

static void open_port(void *arg)
{
	struct channel *channel = arg;

	channel->port->ops->open(channel->port, &(struct ntd_port_user){.opened = on_opened,
									.failed = on_failed,
									.owner = channel});
}

static void close_port(void *arg)
{
	struct channel *channel = arg;

	channel->port->ops->close(channel->port);
	ntd_close_fd(&channel->fd);
}

static struct channel *channel_for(struct ntd_machine *machine, enum ntd_qemu_port which)
{
	static struct channel channels[NTD_PORTS];
	struct channel *channel = &channels[which];

	*channel = (struct channel){.loop = machine->context.loop,
				    .qemu = machine->parts,
				    .port = ntd_qemu_port(machine->parts, which),
				    .fd = -1};
	sem_init(&channel->told, 0, 0);
	return channel;
}

static void ask(struct channel *channel)
{
	ntd_loop_call(channel->loop, open_port, channel);
	assert_int_equal(sem_wait(&channel->told), 0);
}

static void assert_opened(struct channel *channel, const char *name)
{
	ask(channel);
	assert_string_equal(channel->why, "");
	assert_true(channel->fd >= 0);
	assert_string_equal(channel->name, name);
}

static void assert_failed(struct channel *channel, const char *why)
{
	ask(channel);
	assert_int_equal(channel->fd, -1);
	assert_string_equal(channel->why, why);
}

static void end(struct channel *channel)
{
	ntd_loop_call(channel->loop, close_port, channel);
}

/* Reads until the end, or that many bytes. */
static size_t hear(struct channel *channel, char *bytes, size_t len)
{
	size_t count = 0;
	ssize_t got = 1;

	while (count < len && got > 0) {
		poll(&(struct pollfd){.fd = channel->fd, .events = POLLIN}, 1, -1);
		got = recv(channel->fd, bytes + count, len - count, 0);
		count += got > 0 ? (size_t)got : 0;
	}
	return count;
}

/* The guest copies a line from the port to its output, and writes it to the port. */
static void assert_echo(struct ntd_machine *machine, struct channel *channel)
{
	_cleanup_free_ char *line = ntd_asprintf("hello %s\n", channel->name);
	_cleanup_free_ char *command = ntd_asprintf(
		"n=%s; " FIND_DEVICE "exec 5<>\"$d\"; read -r line <&5; echo \"$line\"; "
		"echo \"$line\" >&5",
		channel->name);
	char echo[64] = {0};

	assert_int_equal(send(channel->fd, line, strlen(line), 0), strlen(line));
	assert_output(machine, command, line);
	hear(channel, echo, strlen(line));
	assert_string_equal(echo, line);
}

static void assert_no_socket(struct ntd_machine *machine)
{
	assert_true(access(ntd_machine_path(machine, "port-sh"), F_OK) < 0);
	assert_true(access(ntd_machine_path(machine, "port-ag"), F_OK) < 0);
}

/* ---- the tests */

static void bytes_go_both_ways(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	struct channel *shell = channel_for(machine, NTD_PORT_SHELL);
	struct channel *agent = channel_for(machine, NTD_PORT_AGENT);

	assert_output(machine, "true", "");
	assert_opened(shell, "ntd-shell-1");
	assert_opened(agent, "ntd-agent-1");
	assert_no_socket(machine);
	assert_echo(machine, shell);
	assert_echo(machine, agent);
	assert_echo(machine, shell);
	end(shell);
	assert_opened(shell, "ntd-shell-2");
	assert_echo(machine, shell);
	assert_echo(machine, agent);
	end(shell);
	end(agent);
	assert_output(machine, "while [ -n \"$(ls -A \"$NTD_PORTS\" )\" ]; do :; done", "");
	assert_int_equal(ntd_qmp_count_events(ntd_machine_qmp(machine)), 0);
}

/* Many more than a buffer holds, and nobody reads them before the guest has had to wait. */
static void nothing_is_lost(void **state)
{
	enum { LEN = 4 << 20 };
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	struct channel *channel = channel_for(machine, NTD_PORT_SHELL);
	_cleanup_free_ char *bytes = ntd_malloc(LEN), *command = NULL;

	assert_output(machine, "true", "");
	assert_opened(channel, "ntd-shell-1");
	command = ntd_asprintf("n=%s; " FIND_DEVICE
			       "(exec > \"$d\" 2>&1; for ((i = 0; i < 64; i++)); do "
			       "printf '%%065536d' $i; done) < /dev/null > /dev/null & true",
			       channel->name);
	assert_output(machine, command, "");
	assert_int_equal(hear(channel, bytes, LEN), LEN);
	for (int i = 0; i < 64; i++) {
		char number[8];

		snprintf(number, sizeof number, "%07d", i);
		assert_memory_equal(bytes + ((i + 1) << 16) - 7, number, 7);
	}
	end(channel);
}

static void a_guest_may_find_it_late(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct channel *channel = channel_for(machine, NTD_PORT_SHELL);

	order_faults(fixture, machine, "FAKE_PORT=late");
	assert_output(machine, "true", "");
	assert_opened(channel, "ntd-shell-1");
	assert_echo(machine, channel);
	end(channel);
}

static void qemu_may_have_no_ports(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct channel *channel = channel_for(machine, NTD_PORT_SHELL);

	order_faults(fixture, machine, "FAKE_PORT=refuse");
	assert_output(machine, "true", "");
	for (int i = 0; i < 3; i++) {
		assert_failed(channel, "machine 'server': QEMU gives no data port: No "
				       "'virtio-serial-bus' bus found for device "
				       "'virtserialport'");
		assert_no_socket(machine);
	}
	assert_output(machine, "echo still here", "still here\n");
}

static void qemu_may_not_answer(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct channel *channel = channel_for(machine, NTD_PORT_AGENT);

	order_faults(fixture, machine, "FAKE_PORT=never");
	assert_output(machine, "true", "");
	ntd_data_port_set_patience(channel->qemu->ports[NTD_PORT_AGENT], 10 * NTD_MS);
	for (int i = 0; i < 2; i++) {
		assert_failed(channel, "machine 'server': QEMU gives no data port: it does not "
				       "answer");
		assert_no_socket(machine);
	}
	ntd_data_port_set_patience(channel->qemu->ports[NTD_PORT_AGENT], NTD_FOREVER / 2);
	ntd_loop_call(channel->loop, open_port, channel);
	end(channel);
	assert_output(machine, "echo still here", "still here\n");
}

static bool is_gone(const struct channel *channel, enum ntd_qemu_port which)
{
	return ntd_data_port_is_gone(channel->qemu->ports[which]);
}

static void clear(struct channel *channel, int64_t patience)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	assert_int_equal(
		ntd_qemu_ports_clear(channel->qemu, false, ntd_after(patience), NULL, &error), 0);
}

static void ports_can_be_cleared(void **state)
{
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	struct channel *shell = channel_for(machine, NTD_PORT_SHELL);

	clear(shell, NTD_FOREVER / 2);
	assert_output(machine, "true", "");
	clear(shell, NTD_FOREVER / 2);
	assert_opened(shell, "ntd-shell-1");
	assert_false(is_gone(shell, NTD_PORT_SHELL));
	clear(shell, NTD_FOREVER / 2);
	assert_true(is_gone(shell, NTD_PORT_SHELL));
	end(shell);
	assert_opened(shell, "ntd-shell-2");
	assert_echo(machine, shell);
	end(shell);
}

/* The command goes on, and QEMU says what it thinks of that. */
static void ports_may_not_be_cleared_in_time(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct channel *channel = channel_for(machine, NTD_PORT_SHELL);

	order_faults(fixture, machine, "FAKE_PORT=never");
	assert_output(machine, "true", "");
	ntd_loop_call(channel->loop, open_port, channel);
	clear(channel, 10 * NTD_MS);
	assert_false(is_gone(channel, NTD_PORT_SHELL));
	assert_output(machine, "echo still here", "still here\n");
}

static void there_may_be_no_qmp(void **state)
{
	struct fixture *fixture = *state;
	struct ntd_machine *machine = machine_new(fixture, "server", NULL);
	struct channel *channel = channel_for(machine, NTD_PORT_SHELL);

	order_faults(fixture, machine, "FAKE_QMP=closes");
	assert_failed(channel, "machine 'server': QEMU gives no data port: there is no QMP "
			       "connection");
	assert_output(machine, "true", "");
	while (ntd_qmp_is_open(channel->qemu->qmp))
		;
	assert_failed(channel, "machine 'server': QEMU gives no data port: there is no QMP "
			       "connection");
	assert_output(machine, "echo still here", "still here\n");
}

/* With one port open and one half way. A fake that is stopped does not answer before it is killed;
 * no other signal reaches its first thread for sure when it has been stopped. */
static void qemu_may_end(void **state)
{
	static const int signals[] = {SIGKILL, SIGTERM};
	struct ntd_machine *machine = machine_new(*state, "server", NULL);
	struct channel *open = channel_for(machine, NTD_PORT_SHELL);
	struct channel *opening = channel_for(machine, NTD_PORT_AGENT);
	char byte;

	for (size_t i = 0; i < unit_count(signals); i++) {
		_cleanup_free_ char *first = ntd_asprintf("ntd-shell-%zu", 2 * i + 1);
		_cleanup_free_ char *second = ntd_asprintf("ntd-shell-%zu", 2 * i + 2);
		pid_t pid;

		start(machine);
		assert_output(machine, "true", ""); /* a new root shell closes the port */
		assert_opened(open, first);
		pid = ntd_machine_status(machine).pid;
		if (signals[i] == SIGKILL)
			kill(pid, SIGSTOP);
		ntd_loop_call(opening->loop, open_port, opening);
		kill(pid, signals[i]);
		assert_int_equal(hear(open, &byte, 1), 0);
		while (ntd_machine_status(machine).state != NTD_MACHINE_DOWN &&
		       ntd_machine_status(machine).state != NTD_MACHINE_DEAD)
			;
		assert_no_socket(machine);
		end(open);
		end(opening);
		start(machine);
		assert_output(machine, "true", "");
		assert_opened(open, second);
		assert_echo(machine, open);
		end(open);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		life_test(bytes_go_both_ways),
		life_test(nothing_is_lost),
		life_test(a_guest_may_find_it_late),
		life_test(qemu_may_have_no_ports),
		life_test(qemu_may_not_answer),
		life_test(ports_can_be_cleared),
		life_test(ports_may_not_be_cleared_in_time),
		life_test(there_may_be_no_qmp),
		life_test(qemu_may_end),
	};

	return run_life_tests(tests);
}
