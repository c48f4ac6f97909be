/* Data ports of QEMU's, on the loop thread: the port that a channel opens and closes, and the
 * events of QEMU about it. What happens between an opening and the end of its devices is in
 * data_port_opening.c.
 */
#include "qemu/data_port_internal.h"

#include "base/text.h"

#include <string.h>

/* QEMU answers in milliseconds, unless it hangs or the host is very busy. */
#define PATIENCE (10 * NTD_SECOND)

/* ---- QEMU's events about the devices */

static const char *device_of(const cJSON *event)
{
	const char *device = ntd_qmp_event_word(event, "device");

	return device ? device : ntd_qmp_event_word(event, "id");
}

static bool is_ours(void *owner, const cJSON *event)
{
	const struct ntd_data_port *port = owner;
	const char *device = device_of(event);

	return device && ntd_has_prefix(device, port->prefix);
}

static void device_deleted(void *owner, const cJSON *event)
{
	ntd_opening_deleted(owner, device_of(event));
}

/* The guest has opened or closed the device. */
static void device_changed(void *owner, const cJSON *event)
{
	const struct ntd_data_port *port = owner;
	const struct ntd_opening *opening = port->current;
	const char *device = device_of(event);
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(event, "data");
	bool open = !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(data, "open"));

	if (opening && opening->stage == NTD_OPENING_OPEN && !strcmp(device, opening->name) &&
	    !open && port->user.left)
		port->user.left(port->user.owner);
}

/* ---- the port */

static struct ntd_data_port *port_of(struct ntd_port *port)
{
	return ntd_container_of(port, struct ntd_data_port, port);
}

static void open_port(struct ntd_port *base, const struct ntd_port_user *user)
{
	struct ntd_data_port *port = port_of(base);

	port->user = *user;
	ntd_opening_begin(port);
}

static void tell_failure(struct ntd_timer *timer)
{
	struct ntd_data_port *port = ntd_container_of(timer, struct ntd_data_port, telling);
	_cleanup_error_ struct ntd_error *why = ntd_steal(&port->why);

	port->user.failed(port->user.owner, why);
}

static void forget_failure(struct ntd_data_port *port)
{
	ntd_timer_cancel(&port->telling);
	ntd_error_free(ntd_steal(&port->why));
}

static void close_port(struct ntd_port *base)
{
	struct ntd_data_port *port = port_of(base);

	forget_failure(port);
	if (port->current)
		ntd_opening_close(port->current);
}

static const struct ntd_port_ops ops = {.open = open_port, .close = close_port};

struct ntd_port *ntd_data_port_port(struct ntd_data_port *port)
{
	return &port->port;
}

void ntd_data_port_set_patience(struct ntd_data_port *port, int64_t patience)
{
	port->patience = patience;
}

bool ntd_data_port_is_gone(const struct ntd_data_port *port)
{
	return ntd_list_empty(&port->openings);
}

bool ntd_data_port_is_settled(const struct ntd_data_port *port)
{
	ntd_list_each (struct ntd_opening, opening, &port->openings, link)
		if (opening != port->current || opening->stage != NTD_OPENING_OPEN)
			return false;
	return true;
}

void ntd_data_port_on_gone(struct ntd_data_port *port, void (*gone)(void *owner), void *owner)
{
	port->gone = gone;
	port->gone_owner = owner;
}

const char *ntd_data_port_device(const struct ntd_data_port *port)
{
	const struct ntd_opening *opening = port->current;

	return opening && opening->stage == NTD_OPENING_OPEN ? opening->name : NULL;
}

unsigned ntd_data_port_number(const struct ntd_data_port *port)
{
	return ntd_data_port_device(port) ? port->current->number : 0;
}

void ntd_data_port_learn_number(struct ntd_data_port *port, const char *device, unsigned number)
{
	const char *open = ntd_data_port_device(port);

	if (open && !strcmp(open, device))
		port->current->number = number;
}

void ntd_data_port_forget(struct ntd_data_port *port)
{
	forget_failure(port);
	ntd_list_each (struct ntd_opening, opening, &port->openings, link)
		ntd_opening_discard(opening);
}

struct ntd_data_port *ntd_data_port_new(struct ntd_loop *loop, struct ntd_qmp *qmp,
					const char *name, const char *path, const char *who)
{
	struct ntd_data_port *port = ntd_calloc(1, sizeof *port);

	*port = (struct ntd_data_port){.port.ops = &ops,
				       .loop = loop,
				       .qmp = qmp,
				       .prefix = ntd_asprintf(NTD_DATA_PORT_PREFIX "%s-", name),
				       .path = ntd_strdup(path),
				       .who = ntd_strdup(who),
				       .patience = PATIENCE,
				       .telling.expired = tell_failure,
				       .deleted = {.name = "DEVICE_DELETED",
						   .heard = device_deleted,
						   .is_private = is_ours,
						   .owner = port},
				       .changed = {.name = "VSERPORT_CHANGE",
						   .heard = device_changed,
						   .is_private = is_ours,
						   .owner = port}};
	ntd_qmp_on(qmp, &port->deleted);
	ntd_qmp_on(qmp, &port->changed);
	return port;
}

void ntd_data_port_free(struct ntd_data_port *port)
{
	if (!port)
		return;
	free(port->prefix);
	free(port->path);
	free(port->who);
	free(port);
}
