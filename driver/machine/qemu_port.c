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
	bool loads, keeps_agent;
	struct ntd_list_link link;
};

/* An agent that is kept has its port still, and that is all. */
static bool is_over(const struct clearing *clearing)
{
	const struct ntd_qemu *qemu = clearing->qemu;

	for (size_t i = 0; i < NTD_PORTS; i++)
		if (clearing->keeps_agent && i == NTD_PORT_AGENT
			    ? !ntd_data_port_is_settled(qemu->ports[i])
			    : !ntd_data_port_is_gone(qemu->ports[i]))
			return false;
	return true;
}

static void port_gone(void *owner)
{
	struct ntd_qemu *qemu = owner;

	ntd_list_each (struct clearing, clearing, &qemu->clearings, link) {
		if (!is_over(clearing))
			continue;
		ntd_list_unlink(&clearing->link);
		ntd_request_complete(&clearing->request, NULL);
	}
}

static bool can_be_kept(const struct ntd_qemu *qemu)
{
	const struct ntd_agent_saved saved = ntd_qemu_agent_saved(qemu);

	return saved.port && saved.version;
}

static void begin_clearing(struct ntd_request *request)
{
	struct clearing *clearing = ntd_container_of(request, struct clearing, request);
	struct ntd_qemu *qemu = clearing->qemu;

	ntd_list_append(&qemu->clearings, &clearing->link);
	if (!clearing->keeps_agent || !can_be_kept(qemu))
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

static int clear(struct clearing *clearing, int64_t deadline, struct ntd_waiter *waiter,
		 struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	clearing->request =
		(struct ntd_request){.begin = begin_clearing, .abandon = abandon_clearing};
	if (ntd_request_run(clearing->qemu->machine->context.loop, &clearing->request, deadline,
			    waiter, &error) == 0 ||
	    error->code == NTD_E_TIMEOUT)
		return 0;
	return ntd_error_move(err, ntd_steal(&error));
}

int ntd_qemu_ports_clear(struct ntd_qemu *qemu, bool loads, int64_t deadline,
			 struct ntd_waiter *waiter, struct ntd_error **err)
{
	return clear(&(struct clearing){.qemu = qemu, .loads = loads}, deadline, waiter, err);
}

/* ---- doing without all but the agent's */

/* What the agent's device is called, and the number that QEMU has given it. */
struct agent_device {
	struct ntd_data_port *port;
	char *name; /* NULL: there is none */
	unsigned number;
};

/* Loop. */
static void name_device(void *arg)
{
	struct agent_device *device = arg;
	const char *name = ntd_data_port_device(device->port);

	device->name = name && !ntd_data_port_number(device->port) ? ntd_strdup(name) : NULL;
}

/* Loop. */
static void number_device(void *arg)
{
	const struct agent_device *device = arg;

	ntd_data_port_learn_number(device->port, device->name, device->number);
}

/* Asks QEMU for the number of the agent's port, which another port has to have to take its place.
 * Where QEMU does not tell, the agent cannot be kept. */
static void learn_number(struct ntd_qemu *qemu, struct ntd_waiter *waiter)
{
	struct agent_device device = {.port = qemu->ports[NTD_PORT_AGENT]};
	_cleanup_cjson_ cJSON *reply = NULL;
	_cleanup_free_ char *name = NULL, *path = NULL;
	const cJSON *number;
	cJSON *arguments;

	ntd_loop_call(qemu->machine->context.loop, name_device, &device);
	name = device.name;
	if (!name)
		return;
	path = ntd_asprintf("/machine/peripheral/%s", name);
	arguments = cJSON_CreateObject();
	cJSON_AddStringToObject(arguments, "path", path);
	cJSON_AddStringToObject(arguments, "property", "nr");
	reply = ntd_qemu_execute(qemu->machine, "qom-get", arguments, waiter, NULL);
	number = cJSON_GetObjectItemCaseSensitive(reply, "return");
	if (!cJSON_IsNumber(number) || number->valueint <= 0)
		return;
	device.number = (unsigned)number->valueint;
	ntd_loop_call(qemu->machine->context.loop, number_device, &device);
}

int ntd_qemu_ports_clear_to_save(struct ntd_qemu *qemu, int64_t deadline, struct ntd_waiter *waiter,
				 struct ntd_error **err)
{
	learn_number(qemu, waiter);
	return clear(&(struct clearing){.qemu = qemu, .keeps_agent = true}, deadline, waiter, err);
}

struct ntd_agent_saved ntd_qemu_agent_saved(const struct ntd_qemu *qemu)
{
	struct ntd_agent_saved saved = {.port = ntd_data_port_number(qemu->ports[NTD_PORT_AGENT])};

	if (ntd_shell_channel(qemu->shell)->ready)
		ntd_agent_channel_rests(qemu->agent, &saved);
	return saved;
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
