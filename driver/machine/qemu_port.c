/* The data ports of a QEMU machine (channel/port.h): one for each channel that can use one. How a
 * port comes and goes is in qemu/data_port.c.
 */
#include "machine/qemu_internal.h"

#include <assert.h>

static const struct {
	const char *name;
	unsigned socket;
} ports[] = {
	[NTD_PORT_SHELL] = {"shell", NTD_QEMU_SHELL_PORT},
	[NTD_PORT_AGENT] = {"agent", NTD_QEMU_AGENT_PORT},
};
static_assert(sizeof ports / sizeof *ports == NTD_PORTS, "every port has its row");

void ntd_qemu_ports_make(struct ntd_qemu *qemu)
{
	const struct ntd_machine *machine = qemu->machine;
	_cleanup_free_ char *who = ntd_asprintf("machine '%s'", machine->name);

	for (size_t i = 0; i < NTD_PORTS; i++)
		qemu->ports[i] = ntd_data_port_new(machine->context.loop, qemu->qmp, ports[i].name,
						   qemu->sockets[ports[i].socket].path, who);
}

struct ntd_port *ntd_qemu_port(struct ntd_qemu *qemu, enum ntd_qemu_port which)
{
	return ntd_data_port_port(qemu->ports[which]);
}

void ntd_qemu_ports_forget(struct ntd_qemu *qemu)
{
	for (size_t i = 0; i < NTD_PORTS; i++)
		ntd_data_port_forget(qemu->ports[i]);
}

void ntd_qemu_ports_free(struct ntd_qemu *qemu)
{
	for (size_t i = 0; i < NTD_PORTS; i++)
		ntd_data_port_free(qemu->ports[i]);
}
