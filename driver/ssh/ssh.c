/* SSH as a channel: how it is made, opened and closed, on the loop thread; and its operations on
 * script threads. The connection is in connect.c, commands are in exec.c, copies in copy.c,
 * terminals in terminal.c.
 */
#include "ssh/ssh_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* ---- operations */

static struct ntd_ssh *ssh_of(struct ntd_channel *channel)
{
	return ntd_container_of(channel, struct ntd_ssh, channel);
}

static int run(struct ntd_channel *channel, const struct ntd_command *command,
	       struct ntd_result *result, struct ntd_waiter *waiter, struct ntd_error **err)
{
	return ntd_ssh_exec_run(ssh_of(channel), command, result, waiter, err);
}

static void reboots(struct ntd_channel *channel)
{
	struct ntd_ssh *ssh = ssh_of(channel);

	if (!ssh->guest.boot)
		return;
	free(ssh->left_boot);
	ssh->left_boot = ntd_strdup(ssh->guest.boot);
}

static void close_channel(struct ntd_channel *channel, const struct ntd_error *why)
{
	struct ntd_ssh *ssh = ssh_of(channel);

	ntd_ssh_set_refusal(ssh, ntd_error_copy(why));
	ntd_ssh_execs_fail(ssh, why);
	ntd_ssh_copies_fail(ssh, why);
	ntd_ssh_disconnect(ssh);
}

/* ---- life */

static const struct ntd_channel_ops ops = {.run = run,
					   .put = ntd_ssh_put,
					   .get = ntd_ssh_get,
					   .terminal = ntd_ssh_terminal,
					   .reboots = reboots,
					   .close = close_channel};

struct ntd_ssh *ntd_ssh_new(struct ntd_loop *loop, struct ntd_report *report, const char *machine)
{
	struct ntd_ssh *ssh = ntd_calloc(1, sizeof *ssh);

	*ssh = (struct ntd_ssh){.channel = {.ops = &ops, .name = "SSH", .parallel = true},
				.loop = loop,
				.report = report,
				.machine = ntd_strdup(machine),
				.login.user = ntd_strdup("root")};
	ntd_ssh_connect_init(ssh);
	ntd_ssh_execs_init(ssh);
	return ssh;
}

void ntd_ssh_free(struct ntd_ssh *ssh)
{
	if (!ssh)
		return;
	ntd_ssh_set_refusal(ssh, NULL);
	ntd_ssh_credentials_free(&ssh->login);
	ntd_ssh_guest_free(&ssh->guest);
	ntd_ssh_forget_host_key(ssh);
	ntd_buf_free(&ssh->left);
	free(ssh->left_boot);
	free(ssh->machine);
	free(ssh);
}

struct ntd_channel *ntd_ssh_channel(struct ntd_ssh *ssh)
{
	return &ssh->channel;
}

int ntd_ssh_open(struct ntd_ssh *ssh, const char *address, unsigned port, struct ntd_error **err)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	if (!port || port > UINT16_MAX)
		return ntd_error_set(err, NTD_E_VALUE, "%u is not a port", port);
	if (inet_pton(AF_INET, address, &ipv4.sin_addr) == 1) {
		memcpy(&ssh->peer, &ipv4, sizeof ipv4);
		ssh->peer_len = sizeof ipv4;
	} else if (inet_pton(AF_INET6, address, &ipv6.sin6_addr) == 1) {
		memcpy(&ssh->peer, &ipv6, sizeof ipv6);
		ssh->peer_len = sizeof ipv6;
	} else {
		return ntd_error_set(err, NTD_E_VALUE, "'%s' is not an IP address", address);
	}
	ntd_ssh_set_refusal(ssh, NULL);
	ssh->denied = ssh->patience = 0;
	ntd_ssh_connect(ssh);
	return 0;
}

/* ---- settings */

struct login {
	struct ntd_ssh *ssh;
	struct ntd_ssh_credentials credentials;
	bool sudo;
};

static char *copy_of(const char *text)
{
	return text ? ntd_strdup(text) : NULL;
}

/* A user who has not been let in so far is announced once more. */
static void set_login(void *arg)
{
	struct login *login = arg;
	struct ntd_ssh *ssh = login->ssh;

	ntd_ssh_credentials_free(&ssh->login);
	ssh->login = login->credentials;
	ssh->sudo = login->sudo;
	ssh->denied = 0;
	if (ssh->state == NTD_SSH_REFUSED || ssh->state == NTD_SSH_AUTHENTICATING ||
	    ssh->state == NTD_SSH_PAUSING) {
		ntd_ssh_set_refusal(ssh, NULL);
		ntd_ssh_connect(ssh);
	}
}

static void on_loop(struct ntd_loop *loop, void (*fn)(void *arg), void *arg)
{
	if (ntd_loop_is_current(loop))
		fn(arg);
	else
		ntd_loop_call(loop, fn, arg);
}

void ntd_ssh_set_login(struct ntd_ssh *ssh, const struct ntd_ssh_login *login)
{
	struct login copy = {.ssh = ssh,
			     .credentials = {.user = ntd_strdup(login->user ? login->user : "root"),
					     .key_path = copy_of(login->key),
					     .password = copy_of(login->password)},
			     .sudo = login->sudo};

	ntd_ssh_credentials_read_key(&copy.credentials);
	on_loop(ssh->loop, set_login, &copy);
}

void ntd_ssh_set_report(struct ntd_ssh *ssh, struct ntd_report *report)
{
	ssh->report = report;
}

struct host_key {
	const struct ntd_ssh *ssh;
	char *line;
};

static void describe_host_key(void *arg)
{
	struct host_key *wanted = arg;
	ssh_key key = wanted->ssh->host_key;
	char *base64 = NULL;

	if (!key || ntd_libssh.pki_export_pubkey_base64(key, &base64) != SSH_OK)
		return;
	wanted->line = ntd_asprintf("%s %s", ntd_libssh.key_type_to_char(ntd_libssh.key_type(key)),
				    base64);
	ntd_libssh.string_free_char(base64);
}

char *ntd_ssh_host_key(const struct ntd_ssh *ssh)
{
	struct host_key wanted = {.ssh = ssh};

	on_loop(ssh->loop, describe_host_key, &wanted);
	return wanted.line;
}

void ntd_ssh_forget_host_key(struct ntd_ssh *ssh)
{
	if (ssh->host_key)
		ntd_libssh.key_free(ntd_steal(&ssh->host_key));
}
