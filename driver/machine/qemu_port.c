/* The data ports of a QEMU machine (channel/port.h): one for each channel that can use one. How a
 * port comes and goes is in qemu/data_port_opening.c.
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

/* ---- doing without them */

/* A thread that waits until QEMU has none of the ports. */
struct clearing {
	struct ntd_request request;
	struct ntd_qemu *qemu;
	bool loads;
	struct ntd_list_link link;
};

static void port_gone(void *owner)
{
	struct ntd_qemu *qemu = owner;
	struct clearing *clearing;

	for (size_t i = 0; i < NTD_PORTS; i++)
		if (!ntd_data_port_is_gone(qemu->ports[i]))
			return;
	while ((clearing = ntd_list_take(&qemu->clearings, struct clearing, link)))
		ntd_request_complete(&clearing->request, NULL);
}

static void begin_clearing(struct ntd_request *request)
{
	struct clearing *clearing = ntd_container_of(request, struct clearing, request);
	struct ntd_qemu *qemu = clearing->qemu;

	ntd_list_append(&qemu->clearings, &clearing->link);
	ntd_agent_channel_forget(qemu->agent, NULL);
	if (clearing->loads)
		ntd_shell_go_back(qemu->shell, NULL);
	else
		ntd_shell_leave_port(qemu->shell);
	port_gone(qemu);
}

static void abandon_clearing(struct ntd_request *request)
{
	ntd_list_unlink(&ntd_container_of(request, struct clearing, request)->link);
}

int ntd_qemu_ports_clear(struct ntd_qemu *qemu, bool loads, int64_t deadline,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct clearing clearing = {
		.request = {.begin = begin_clearing, .abandon = abandon_clearing},
		.qemu = qemu,
		.loads = loads};
	_cleanup_error_ struct ntd_error *error = NULL;

	if (ntd_request_run(qemu->machine->context.loop, &clearing.request, deadline, waiter,
			    &error) == 0 ||
	    error->code == NTD_E_TIMEOUT)
		return 0;
	return ntd_error_move(err, ntd_steal(&error));
}

/* ---- their life */

void ntd_qemu_ports_make(struct ntd_qemu *qemu)
{
	const struct ntd_machine *machine = qemu->machine;
	_cleanup_free_ char *who = ntd_asprintf("machine '%s'", machine->name);

	for (size_t i = 0; i < NTD_PORTS; i++) {
		qemu->ports[i] = ntd_data_port_new(machine->context.loop, qemu->qmp, ports[i].name,
						   qemu->sockets[ports[i].socket].path, who);
		ntd_data_port_on_gone(qemu->ports[i], port_gone, qemu);
	}
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
