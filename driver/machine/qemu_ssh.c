/* SSH into the guest of a QEMU machine: how it is asked for, which port leads to sshd, and when the
 * channel is opened. The channel itself is in ssh/ssh.h.
 *
 * A machine has the channel from the beginning, between its root shell and the others, and it
 * counts as absent until a script uses SSH. It is opened when QMP is ready, by which QEMU tells the
 * port that it forwards to the guest's port 22; QEMU itself binds the port, so that no other
 * process can take it meanwhile. Functions are on the loop thread unless they say otherwise.
 */
#include "machine/qemu_internal.h"

#include "base/text.h"
#include "qemu/user_network.h"
#include "ssh/library.h"

#include <string.h>

#define LOOPBACK "127.0.0.1"
enum { SSH_PORT = 22 };

bool ntd_qemu_ssh_is_used(const struct ntd_qemu *qemu)
{
	return !ntd_ssh_channel(qemu->ssh.channel)->absent;
}

/* ---- connecting */

/* Tells the waits for a channel that SSH cannot be had. */
static void refuse(struct ntd_qemu *qemu, const char *why)
{
	struct ntd_channel *channel = ntd_ssh_channel(qemu->ssh.channel);
	_cleanup_error_ struct ntd_error *error = ntd_error_new(
		NTD_E_MACHINE, "machine '%s': no connection by SSH: %s", qemu->machine->name, why);

	channel->owner.refused(channel->owner.owner, channel, error);
}

static void open_channel(struct ntd_qemu *qemu, const char *address, unsigned port)
{
	_cleanup_error_ struct ntd_error *error = NULL;

	qemu->ssh.known_port = port;
	qemu->ssh.open = ntd_ssh_open(qemu->ssh.channel, address, port, &error) == 0;
	if (!qemu->ssh.open)
		refuse(qemu, error->message);
}

static void ask(struct ntd_qemu *qemu, const char *line,
		void (*answered)(void *owner, const cJSON *reply))
{
	_cleanup_cjson_ cJSON *arguments = cJSON_CreateObject();

	cJSON_AddStringToObject(arguments, "command-line", line);
	qemu->ssh.question = (struct ntd_qmp_question){.answered = answered, .owner = qemu};
	ntd_qmp_ask(qemu->qmp, &qemu->ssh.question, "human-monitor-command", arguments);
}

/* What the monitor printed; "": nothing, or it could not be asked. */
static const char *answer_text(const cJSON *reply)
{
	const cJSON *text = cJSON_GetObjectItemCaseSensitive(reply, "return");

	return cJSON_IsString(text) ? text->valuestring : "";
}

static void table_told(void *owner, const cJSON *reply);

static void forward_told(void *owner, const cJSON *reply)
{
	struct ntd_qemu *qemu = owner;
	const char *text = answer_text(reply);
	size_t len = strcspn(text, "\r\n");

	if (!reply)
		return;
	free(qemu->ssh.said);
	qemu->ssh.said = len ? ntd_asprintf("%.*s", (int)len, text) : NULL;
	ask(qemu, "info usernet", table_told);
}

static void table_told(void *owner, const cJSON *reply)
{
	struct ntd_qemu *qemu = owner;
	const char *table = answer_text(reply);
	unsigned port = ntd_user_network_port(table, strlen(table), SSH_PORT);

	if (!reply || qemu->ssh.open || qemu->ssh.address)
		return; /* QEMU has ended, or a script has named an address meanwhile */
	if (port) {
		open_channel(qemu, LOOPBACK, port);
	} else if (!qemu->ssh.added) {
		qemu->ssh.added = true;
		ask(qemu, "hostfwd_add tcp:" LOOPBACK ":0-:22", forward_told);
	} else {
		refuse(qemu, qemu->ssh.said ? qemu->ssh.said : "it has no user network");
	}
}

/* Opens the channel when all that it needs is there. */
static void begin(struct ntd_qemu *qemu)
{
	if (!ntd_qemu_ssh_is_used(qemu) || !qemu->qmp_ready || qemu->ssh.open)
		return;
	if (qemu->ssh.address)
		open_channel(qemu, qemu->ssh.address, qemu->ssh.port);
	else if (ntd_qmp_is_open(qemu->qmp) && !ntd_list_linked(&qemu->ssh.question.link))
		ask(qemu, "info usernet", table_told);
}

void ntd_qemu_ssh_qmp_ready(struct ntd_qemu *qemu)
{
	begin(qemu);
}

void ntd_qemu_ssh_closed(struct ntd_qemu *qemu)
{
	qemu->ssh.open = false;
}

void ntd_qemu_ssh_clear(struct ntd_qemu *qemu)
{
	qemu->ssh.open = qemu->ssh.added = false;
	qemu->ssh.known_port = 0;
	ntd_ssh_forget_host_key(qemu->ssh.channel);
	free(ntd_steal(&qemu->ssh.said));
}

/* ---- reboots */

/* Ends an attempt to connect, or a refusal: the next one begins anew. */
static void close_channel(struct ntd_qemu *qemu, const char *why)
{
	struct ntd_channel *channel = ntd_ssh_channel(qemu->ssh.channel);
	_cleanup_error_ struct ntd_error *error =
		ntd_error_new(NTD_E_MACHINE, "machine '%s': %s", qemu->machine->name, why);

	ntd_channel_refused(channel, NULL);
	if (qemu->ssh.open)
		channel->ops->close(channel, error);
	qemu->ssh.open = false;
}

/* The guest boots again, unless the reset is a part of loading a snapshot. What boots may have
 * another host key and let in other users: live systems make their keys at each boot, and an
 * installer's guest becomes the one that it has installed. A channel that was closed for a panic is
 * opened again. */
static void was_reset(void *owner, const cJSON *event)
{
	struct ntd_qemu *qemu = owner;
	struct ntd_channel *channel = ntd_ssh_channel(qemu->ssh.channel);
	const char *reason = ntd_qmp_event_word(event, "reason");

	if (!ntd_qemu_ssh_is_used(qemu) || (reason && !strcmp(reason, "snapshot-load")))
		return;
	ntd_channel_withdraw(channel);
	ntd_ssh_forget_host_key(qemu->ssh.channel);
	if (channel->refusal)
		close_channel(qemu, "the guest was reset meanwhile");
	channel->ops->reboots(channel);
	if (!ntd_channels_ready(qemu->machine))
		ntd_life_event(qemu->machine, NTD_MACHINE_DISCONNECT);
	begin(qemu);
}

void ntd_qemu_ssh_go_back(struct ntd_qemu *qemu, const struct ntd_error *why)
{
	struct ntd_channel *channel = ntd_ssh_channel(qemu->ssh.channel);

	if (!ntd_qemu_ssh_is_used(qemu))
		return;
	ntd_channel_withdraw(channel);
	ntd_channel_refused(channel, NULL);
	if (qemu->ssh.open)
		channel->ops->close(channel, why);
	qemu->ssh.open = false;
	begin(qemu);
}

/* ---- a script's wish */

struct wish {
	struct ntd_qemu *qemu;
	const struct ntd_machine_ssh *ssh;
};

/* A connection that is there is kept. */
static void grant(void *arg)
{
	const struct wish *wish = arg;
	struct ntd_qemu *qemu = wish->qemu;
	struct ntd_channel *channel = ntd_ssh_channel(qemu->ssh.channel);

	ntd_ssh_set_login(qemu->ssh.channel, &wish->ssh->login);
	ntd_machine_replace(qemu->machine, &qemu->ssh.user, wish->ssh->login.user);
	ntd_machine_replace(qemu->machine, &qemu->ssh.key, wish->ssh->login.key);
	ntd_machine_replace(qemu->machine, &qemu->ssh.address, wish->ssh->address);
	qemu->ssh.port = wish->ssh->port;
	channel->absent = false;
	if (channel->ready)
		return;
	close_channel(qemu, "use_ssh() was called meanwhile");
	begin(qemu);
}

/* ---- any thread but the loop's */

int ntd_qemu_ssh_use(struct ntd_qemu *qemu, const struct ntd_machine_ssh *ssh,
		     struct ntd_error **err)
{
	if (ntd_libssh_load(err) < 0)
		return -1;
	ntd_loop_call(qemu->machine->context.loop, grant, &(struct wish){qemu, ssh});
	return 0;
}

struct ntd_machine_ssh_target ntd_qemu_ssh_target(const struct ntd_qemu *qemu)
{
	const char *user = qemu->ssh.user, *address = qemu->ssh.address;

	return (struct ntd_machine_ssh_target){.user = user ? user : "root",
					       .address = address ? address : LOOPBACK,
					       .key = qemu->ssh.key,
					       .port = address ? qemu->ssh.port
							       : qemu->ssh.known_port};
}

char *ntd_qemu_ssh_awaited(const struct ntd_qemu *qemu)
{
	struct ntd_machine_ssh_target target = ntd_qemu_ssh_target(qemu);

	if (!ntd_qemu_ssh_is_used(qemu) || !ntd_shell_channel(qemu->shell)->absent)
		return NULL;
	if (!target.port)
		return ntd_strdup("sshd in the guest");
	return ntd_asprintf(strchr(target.address, ':') ? "sshd at [%s]:%u" : "sshd at %s:%u",
			    target.address, target.port);
}

void ntd_qemu_ssh_make(struct ntd_qemu *qemu)
{
	struct ntd_machine *machine = qemu->machine;

	qemu->ssh.channel =
		ntd_ssh_new(machine->context.loop, machine->context.report, machine->name);
	ntd_ssh_channel(qemu->ssh.channel)->absent = true;
	ntd_machine_add_channel(machine, ntd_ssh_channel(qemu->ssh.channel));
	qemu->ssh.reset =
		(struct ntd_qmp_listener){.name = "RESET", .heard = was_reset, .owner = qemu};
	ntd_qmp_on(qemu->qmp, &qemu->ssh.reset);
}

void ntd_qemu_ssh_free(struct ntd_qemu *qemu)
{
	ntd_ssh_free(qemu->ssh.channel);
	free(qemu->ssh.address);
	free(qemu->ssh.user);
	free(qemu->ssh.key);
	free(qemu->ssh.said);
}
