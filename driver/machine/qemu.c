/* What only QEMU machines have, for scripts: the parts of the machine, or nothing for a container.
 * For any thread.
 */
#include "machine/qemu_internal.h"

static struct ntd_qemu *qemu_of(const struct ntd_machine *machine)
{
	return machine->kind == &ntd_qemu_kind ? machine->parts : NULL;
}

struct ntd_monitor *ntd_machine_monitor(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->monitor : NULL;
}

struct ntd_qmp *ntd_machine_qmp(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->qmp : NULL;
}

struct ntd_shell *ntd_machine_shell(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->shell : NULL;
}

struct ntd_serial *ntd_machine_serial(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->serial : NULL;
}

struct ntd_expect *ntd_machine_expect(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->expect : NULL;
}

bool ntd_machine_has_root_shell(const struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu && !ntd_shell_channel(qemu->shell)->absent;
}

void ntd_machine_set_root_shell(struct ntd_machine *machine, bool has)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	if (qemu)
		ntd_shell_channel(qemu->shell)->absent = !has;
}

void ntd_machine_set_vsock(struct ntd_machine *machine, const char *guest, const char *host)
{
	struct ntd_qemu *qemu = qemu_of(machine);

	if (!qemu)
		return;
	ntd_machine_replace(machine, &qemu->vsock_guest, guest);
	ntd_machine_replace(machine, &qemu->vsock_host, host);
}

const char *ntd_machine_vsock_guest(const struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->vsock_guest : NULL;
}

const char *ntd_machine_vsock_host(const struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->vsock_host : NULL;
}

int ntd_machine_use_ssh(struct ntd_machine *machine, const struct ntd_machine_ssh *ssh,
			struct ntd_error **err)
{
	struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? ntd_qemu_ssh_use(qemu, ssh, err) : 0;
}

struct ntd_ssh *ntd_machine_ssh(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu && ntd_qemu_ssh_is_used(qemu) ? qemu->ssh.channel : NULL;
}

unsigned ntd_machine_ssh_port(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? qemu->ssh.known_port : 0;
}

struct ntd_machine_ssh_target ntd_machine_ssh_target(struct ntd_machine *machine)
{
	const struct ntd_qemu *qemu = qemu_of(machine);

	return qemu ? ntd_qemu_ssh_target(qemu) : (struct ntd_machine_ssh_target){0};
}
