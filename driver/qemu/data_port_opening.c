/* The openings of data ports, on the loop thread: how QEMU gives a port, and takes it away.
 *
 * Each time that a port is opened, a chardev and a device are added to QEMU, with a name that has
 * not been used before. They are an "opening", which outlives its use: the port can be opened again
 * while the devices of the last time are still being taken away.
 *
 *	stage       what is awaited        then
 *	WAIT        the opening before     bind the socket, CHARDEV
 *	            needs no socket
 *	CHARDEV     reply to chardev-add   take the connection, DEVICE; or the port has failed
 *	DEVICE      reply to device_add    OPEN, the user gets the connection; or failed, and REMOVE
 *	OPEN        the user's closing     UNPLUG
 *	UNPLUG      DEVICE_DELETED         REMOVE
 *	REMOVE      reply to               nothing is left
 *	            chardev-remove
 *
 * QEMU carries out one command after the other, and has connected to the socket when it replies to
 * chardev-add. The socket has one path, so an opening waits for the reply to the one before.
 *
 * An opening that is not the port's current one is on its way out: its stages go on to the end, and
 * whatever QEMU answers, nobody is told. So it is with one that was closed, and with one that has
 * failed, which may be because QEMU did not answer in time: an answer that comes after all still
 * leads to the devices' removal. When the QMP connection ends, QEMU has ended.
 *
 * device_add finds the bus by itself. With several it takes the first, which may be another than
 * that of the root shell's console; the guest finds the port by its name and not by its bus.
 *
 * chardev-remove fails as long as the device uses the chardev, and QEMU lets a device go after the
 * reply to device_del, hence the event. Without it, as when QEMU does not know the device any more,
 * chardev-remove is tried anyway.
 *
 * Commands: https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
 */
#include "qemu/data_port_internal.h"

#include "base/unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static bool is_current(const struct ntd_opening *opening)
{
	return opening->port->current == opening;
}

/* ---- the end of an opening */

static void stop_listening(struct ntd_opening *opening)
{
	if (opening->listener < 0)
		return;
	ntd_close_fd(&opening->listener);
	unlink(opening->port->path);
}

/* From now on, nobody waits for the opening. */
static void leave(struct ntd_opening *opening)
{
	if (is_current(opening))
		opening->port->current = NULL;
	ntd_timer_cancel(&opening->timer);
	stop_listening(opening);
	ntd_close_fd(&opening->connection);
}

void ntd_opening_discard(struct ntd_opening *opening)
{
	struct ntd_data_port *port = opening->port;

	leave(opening);
	ntd_list_unlink(&opening->question.link);
	ntd_list_unlink(&opening->link);
	free(opening->name);
	free(opening);
	if (port->gone)
		port->gone(port->gone_owner);
}

/* The user is told later, since it may be in the middle of a call of the port's. An opening that is
 * on its way out has no user. */
static void fail(struct ntd_opening *opening, struct ntd_error *why)
{
	struct ntd_data_port *port = opening->port;

	if (!is_current(opening)) {
		ntd_error_free(why);
		return;
	}
	leave(opening);
	ntd_error_wrap(&why, "%s: QEMU gives no data port", port->who);
	port->why = why;
	ntd_timer_set(port->loop, &port->telling, ntd_now());
}

/* ---- asking QEMU */

static void ask(struct ntd_opening *opening, enum ntd_opening_stage stage, const char *command,
		const cJSON *arguments)
{
	opening->stage = stage;
	ntd_qmp_ask(opening->port->qmp, &opening->question, command, arguments);
}

/* A command that takes something away, unless QEMU has ended. */
static void ask_by_id(struct ntd_opening *opening, enum ntd_opening_stage stage,
		      const char *command)
{
	_cleanup_cjson_ cJSON *arguments = cJSON_CreateObject();

	if (!ntd_qmp_is_open(opening->port->qmp)) {
		ntd_opening_discard(opening);
		return;
	}
	cJSON_AddStringToObject(arguments, "id", opening->name);
	ask(opening, stage, command, arguments);
}

static void remove_chardev(struct ntd_opening *opening)
{
	ntd_timer_cancel(&opening->timer);
	ntd_list_unlink(&opening->question.link); /* device_del's, whose reply says nothing new */
	ask_by_id(opening, NTD_OPENING_REMOVE, "chardev-remove");
}

static void remove_device(struct ntd_opening *opening)
{
	ask_by_id(opening, NTD_OPENING_UNPLUG, "device_del");
}

static void add_device(struct ntd_opening *opening)
{
	_cleanup_cjson_ cJSON *arguments = cJSON_CreateObject();

	cJSON_AddStringToObject(arguments, "driver", "virtserialport");
	cJSON_AddStringToObject(arguments, "id", opening->name);
	cJSON_AddStringToObject(arguments, "chardev", opening->name);
	cJSON_AddStringToObject(arguments, "name", opening->name);
	if (opening->number)
		cJSON_AddNumberToObject(arguments, "nr", opening->number);
	ask(opening, NTD_OPENING_DEVICE, "device_add", arguments);
}

static void add_chardev(struct ntd_opening *opening)
{
	_cleanup_cjson_ cJSON *arguments = cJSON_CreateObject();
	cJSON *backend, *data, *address;

	cJSON_AddStringToObject(arguments, "id", opening->name);
	backend = cJSON_AddObjectToObject(arguments, "backend");
	cJSON_AddStringToObject(backend, "type", "socket");
	data = cJSON_AddObjectToObject(backend, "data");
	cJSON_AddBoolToObject(data, "server", false);
	address = cJSON_AddObjectToObject(data, "addr");
	cJSON_AddStringToObject(address, "type", "unix");
	cJSON_AddStringToObject(cJSON_AddObjectToObject(address, "data"), "path",
				opening->port->path);
	ask(opening, NTD_OPENING_CHARDEV, "chardev-add", arguments);
}

/* Begins a current opening, which has waited. */
static void begin(struct ntd_opening *opening)
{
	struct ntd_error *error = NULL;

	if (ntd_qmp_is_open(opening->port->qmp))
		opening->listener = ntd_socket_listen(opening->port->path, &error);
	else
		ntd_error_set(&error, NTD_E_DEAD, "there is no QMP connection");
	if (!error) {
		add_chardev(opening);
		return;
	}
	fail(opening, error);
	ntd_opening_discard(opening);
}

/* ---- QEMU's answers */

static void chardev_added(struct ntd_opening *opening)
{
	struct ntd_error *error = NULL;

	if (is_current(opening))
		opening->connection =
			accept4(opening->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (opening->connection >= 0) {
		stop_listening(opening);
		add_device(opening);
		return;
	}
	ntd_error_sys(&error, errno, "it has not connected to %s", opening->port->path);
	fail(opening, error);
	remove_chardev(opening);
}

static void chardev_refused(struct ntd_opening *opening, struct ntd_error *why)
{
	fail(opening, why);
	ntd_opening_discard(opening);
}

static void device_added(struct ntd_opening *opening)
{
	struct ntd_port_user user = opening->port->user;

	if (!is_current(opening)) {
		remove_device(opening);
		return;
	}
	ntd_timer_cancel(&opening->timer);
	opening->stage = NTD_OPENING_OPEN;
	user.opened(user.owner, ntd_steal_fd(&opening->connection), opening->name);
}

static void device_refused(struct ntd_opening *opening, struct ntd_error *why)
{
	fail(opening, why);
	remove_chardev(opening);
}

static void device_leaves(struct ntd_opening *opening)
{
	ntd_timer_set(opening->port->loop, &opening->timer, ntd_after(opening->port->patience));
}

static const struct {
	void (*done)(struct ntd_opening *opening);
	void (*refused)(struct ntd_opening *opening, struct ntd_error *why); /* takes the error */
} answers[] = {
	[NTD_OPENING_CHARDEV] = {chardev_added, chardev_refused},
	[NTD_OPENING_DEVICE] = {device_added, device_refused},
	[NTD_OPENING_UNPLUG] = {device_leaves, device_refused},
	[NTD_OPENING_REMOVE] = {ntd_opening_discard, chardev_refused},
};

static void handle_reply(struct ntd_opening *opening, const cJSON *reply)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "desc"));

	if (!reply)
		chardev_refused(opening,
				ntd_error_new(NTD_E_DEAD, "the QMP connection has been closed"));
	else if (!error)
		answers[opening->stage].done(opening);
	else
		answers[opening->stage].refused(
			opening, ntd_error_new(NTD_E_MACHINE, "%s", text ? text : "no reason"));
}

static void answered(void *owner, const cJSON *reply)
{
	struct ntd_opening *opening = owner;
	struct ntd_data_port *port = opening->port;
	bool needed_socket = opening->stage == NTD_OPENING_CHARDEV;

	handle_reply(opening, reply);
	if (needed_socket && port->current && port->current->stage == NTD_OPENING_WAIT)
		begin(port->current);
}

static void timer_expired(struct ntd_timer *timer)
{
	struct ntd_opening *opening = ntd_container_of(timer, struct ntd_opening, timer);

	if (opening->stage == NTD_OPENING_UNPLUG) {
		remove_chardev(opening);
		return;
	}
	fail(opening, ntd_error_new(NTD_E_TIMEOUT, "it does not answer"));
	if (opening->stage == NTD_OPENING_WAIT)
		ntd_opening_discard(opening);
}

/* ---- for the port */

static bool socket_is_needed(const struct ntd_data_port *port)
{
	ntd_list_each (struct ntd_opening, opening, &port->openings, link)
		if (opening->stage == NTD_OPENING_CHARDEV)
			return true;
	return false;
}

void ntd_opening_begin(struct ntd_data_port *port)
{
	struct ntd_opening *opening = ntd_calloc(1, sizeof *opening);

	*opening = (struct ntd_opening){
		.port = port,
		.name = ntd_asprintf("%s%u", port->prefix, ++port->count),
		.number = port->user.number,
		.listener = -1,
		.connection = -1,
		.question = {.answered = answered, .owner = opening},
		.timer.expired = timer_expired,
	};
	ntd_list_append(&port->openings, &opening->link);
	port->current = opening;
	ntd_timer_set(port->loop, &opening->timer, ntd_after(port->patience));
	if (!socket_is_needed(port))
		begin(opening);
}

void ntd_opening_close(struct ntd_opening *opening)
{
	leave(opening);
	if (opening->stage == NTD_OPENING_WAIT)
		ntd_opening_discard(opening);
	else if (opening->stage == NTD_OPENING_OPEN)
		remove_device(opening);
}

void ntd_opening_deleted(struct ntd_data_port *port, const char *device)
{
	ntd_list_each (struct ntd_opening, opening, &port->openings, link)
		if (opening->stage == NTD_OPENING_UNPLUG && device &&
		    !strcmp(device, opening->name))
			remove_chardev(opening);
}
