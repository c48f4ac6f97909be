/* Data ports of QEMU's, on the loop thread.
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
#include "qemu/data_port.h"

#include "base/text.h"
#include "base/unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* QEMU answers in milliseconds, unless it hangs or the host is very busy. */
#define PATIENCE (10 * NTD_SECOND)

enum stage { WAIT, CHARDEV, DEVICE, OPEN, UNPLUG, REMOVE };

struct opening {
	struct ntd_data_port *port;
	struct ntd_list_link link;
	enum stage stage;
	char *name;               /* of the device, of the chardev, and in the guest */
	int listener, connection; /* -1: none */
	struct ntd_qmp_question question;
	struct ntd_timer timer; /* for what is awaited, in some stages */
};

struct ntd_data_port {
	struct ntd_port port;
	struct ntd_loop *loop;
	struct ntd_qmp *qmp;
	char *prefix; /* of names */
	char *path, *who;
	int64_t patience;
	unsigned count;           /* how often the port was opened */
	struct ntd_list openings; /* the current one and those on their way out */
	struct opening *current;  /* NULL: the port is closed, or has failed */
	struct ntd_port_user user;
	struct ntd_error *why; /* the port has failed, and the user has not been told yet */
	struct ntd_timer telling;
	struct ntd_qmp_listener deleted, changed;
	void (*gone)(void *owner); /* NULL: nobody wants to know */
	void *gone_owner;
};

static bool is_current(const struct opening *opening)
{
	return opening->port->current == opening;
}

/* ---- the end of an opening */

static void stop_listening(struct opening *opening)
{
	if (opening->listener < 0)
		return;
	ntd_close_fd(&opening->listener);
	unlink(opening->port->path);
}

/* From now on, nobody waits for the opening. */
static void leave(struct opening *opening)
{
	if (is_current(opening))
		opening->port->current = NULL;
	ntd_timer_cancel(&opening->timer);
	stop_listening(opening);
	ntd_close_fd(&opening->connection);
}

static void discard(struct opening *opening)
{
	struct ntd_data_port *port = opening->port;

	leave(opening);
	ntd_list_unlink(&opening->question.link);
	ntd_list_unlink(&opening->link);
	free(opening->name);
	free(opening);
	if (ntd_data_port_is_gone(port) && port->gone)
		port->gone(port->gone_owner);
}

static void tell_failure(struct ntd_timer *timer)
{
	struct ntd_data_port *port = ntd_container_of(timer, struct ntd_data_port, telling);
	_cleanup_error_ struct ntd_error *why = ntd_steal(&port->why);

	port->user.failed(port->user.owner, why);
}

/* The user is told later, since it may be in the middle of a call of the port's. An opening that is
 * on its way out has no user. */
static void fail(struct opening *opening, struct ntd_error *why)
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

static void ask(struct opening *opening, enum stage stage, const char *command,
		const cJSON *arguments)
{
	opening->stage = stage;
	ntd_qmp_ask(opening->port->qmp, &opening->question, command, arguments);
}

/* A command that takes something away, unless QEMU has ended. */
static void ask_by_id(struct opening *opening, enum stage stage, const char *command)
{
	_cleanup_cjson_ cJSON *arguments = cJSON_CreateObject();

	if (!ntd_qmp_is_open(opening->port->qmp)) {
		discard(opening);
		return;
	}
	cJSON_AddStringToObject(arguments, "id", opening->name);
	ask(opening, stage, command, arguments);
}

static void remove_chardev(struct opening *opening)
{
	ntd_timer_cancel(&opening->timer);
	ntd_list_unlink(&opening->question.link); /* device_del's, whose reply says nothing new */
	ask_by_id(opening, REMOVE, "chardev-remove");
}

static void remove_device(struct opening *opening)
{
	ask_by_id(opening, UNPLUG, "device_del");
}

static void add_device(struct opening *opening)
{
	_cleanup_cjson_ cJSON *arguments = cJSON_CreateObject();

	cJSON_AddStringToObject(arguments, "driver", "virtserialport");
	cJSON_AddStringToObject(arguments, "id", opening->name);
	cJSON_AddStringToObject(arguments, "chardev", opening->name);
	cJSON_AddStringToObject(arguments, "name", opening->name);
	ask(opening, DEVICE, "device_add", arguments);
}

static void add_chardev(struct opening *opening)
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
	ask(opening, CHARDEV, "chardev-add", arguments);
}

/* Begins a current opening, which has waited. */
static void begin(struct opening *opening)
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
	discard(opening);
}

/* ---- QEMU's answers */

static void chardev_added(struct opening *opening)
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

static void chardev_refused(struct opening *opening, struct ntd_error *why)
{
	fail(opening, why);
	discard(opening);
}

static void device_added(struct opening *opening)
{
	struct ntd_port_user user = opening->port->user;

	if (!is_current(opening)) {
		remove_device(opening);
		return;
	}
	ntd_timer_cancel(&opening->timer);
	opening->stage = OPEN;
	user.opened(user.owner, ntd_steal_fd(&opening->connection), opening->name);
}

static void device_refused(struct opening *opening, struct ntd_error *why)
{
	fail(opening, why);
	remove_chardev(opening);
}

static void device_leaves(struct opening *opening)
{
	ntd_timer_set(opening->port->loop, &opening->timer, ntd_after(opening->port->patience));
}

static const struct {
	void (*done)(struct opening *opening);
	void (*refused)(struct opening *opening, struct ntd_error *why); /* takes the error */
} answers[] = {
	[CHARDEV] = {chardev_added, chardev_refused},
	[DEVICE] = {device_added, device_refused},
	[UNPLUG] = {device_leaves, device_refused},
	[REMOVE] = {discard, chardev_refused},
};

static void handle_reply(struct opening *opening, const cJSON *reply)
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
	struct opening *opening = owner;
	struct ntd_data_port *port = opening->port;
	bool needed_socket = opening->stage == CHARDEV;

	handle_reply(opening, reply);
	if (needed_socket && port->current && port->current->stage == WAIT)
		begin(port->current);
}

static void timer_expired(struct ntd_timer *timer)
{
	struct opening *opening = ntd_container_of(timer, struct opening, timer);

	if (opening->stage == UNPLUG) {
		remove_chardev(opening);
		return;
	}
	fail(opening, ntd_error_new(NTD_E_TIMEOUT, "it does not answer"));
	if (opening->stage == WAIT)
		discard(opening);
}

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
	struct ntd_data_port *port = owner;
	const char *device = device_of(event);

	ntd_list_each (struct opening, opening, &port->openings, link)
		if (opening->stage == UNPLUG && device && !strcmp(device, opening->name))
			remove_chardev(opening);
}

/* The guest has opened or closed the device. */
static void device_changed(void *owner, const cJSON *event)
{
	const struct ntd_data_port *port = owner;
	const struct opening *opening = port->current;
	const char *device = device_of(event);
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(event, "data");
	bool open = !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(data, "open"));

	if (opening && opening->stage == OPEN && !strcmp(device, opening->name) && !open &&
	    port->user.left)
		port->user.left(port->user.owner);
}

/* ---- the port */

static struct ntd_data_port *port_of(struct ntd_port *port)
{
	return ntd_container_of(port, struct ntd_data_port, port);
}

static bool socket_is_needed(const struct ntd_data_port *port)
{
	ntd_list_each (struct opening, opening, &port->openings, link)
		if (opening->stage == CHARDEV)
			return true;
	return false;
}

static void open_port(struct ntd_port *base, const struct ntd_port_user *user)
{
	struct ntd_data_port *port = port_of(base);
	struct opening *opening = ntd_calloc(1, sizeof *opening);

	*opening = (struct opening){
		.port = port,
		.name = ntd_asprintf("%s%u", port->prefix, ++port->count),
		.listener = -1,
		.connection = -1,
		.question = {.answered = answered, .owner = opening},
		.timer.expired = timer_expired,
	};
	ntd_list_append(&port->openings, &opening->link);
	port->current = opening;
	port->user = *user;
	ntd_timer_set(port->loop, &opening->timer, ntd_after(port->patience));
	if (!socket_is_needed(port))
		begin(opening);
}

static void forget_failure(struct ntd_data_port *port)
{
	ntd_timer_cancel(&port->telling);
	ntd_error_free(ntd_steal(&port->why));
}

static void close_port(struct ntd_port *base)
{
	struct ntd_data_port *port = port_of(base);
	struct opening *opening = port->current;

	forget_failure(port);
	if (!opening)
		return;
	leave(opening);
	if (opening->stage == WAIT)
		discard(opening);
	else if (opening->stage == OPEN)
		remove_device(opening);
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

void ntd_data_port_on_gone(struct ntd_data_port *port, void (*gone)(void *owner), void *owner)
{
	port->gone = gone;
	port->gone_owner = owner;
}

void ntd_data_port_forget(struct ntd_data_port *port)
{
	forget_failure(port);
	ntd_list_each (struct opening, opening, &port->openings, link)
		discard(opening);
}

struct ntd_data_port *ntd_data_port_new(struct ntd_loop *loop, struct ntd_qmp *qmp,
					const char *name, const char *path, const char *who)
{
	struct ntd_data_port *port = ntd_calloc(1, sizeof *port);

	*port = (struct ntd_data_port){.port.ops = &ops,
				       .loop = loop,
				       .qmp = qmp,
				       .prefix = ntd_asprintf("ntd-%s-", name),
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
