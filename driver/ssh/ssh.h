/* SSH as a channel into a guest, by libssh: one session with sshd, on which any number of commands
 * run at the same time.
 *
 * The functions marked "loop" are for the loop thread; the others are for any other thread.
 */
#pragma once

#include "channel/channel.h"
#include "report/report.h"

struct ntd_ssh;

/* How to log in. Each member may be NULL. */
struct ntd_ssh_login {
	const char *user;     /* NULL: root */
	const char *key;      /* the path of a private key */
	const char *password; /* tried when there is no key, or sshd refuses it */
	/* Commands are run as root by `sudo -n`, unless the machine's user is the one who has
	 * logged in. Copies are made as the one who has logged in. */
	bool sudo;
};

/* Makes a channel that is closed; `machine` is the machine's name for messages. The channel becomes
 * ready when sshd has let it in, and again after a reboot. What commands write to standard error
 * is logged in `report` as it comes. */
struct ntd_ssh *ntd_ssh_new(struct ntd_loop *loop, struct ntd_report *report, const char *machine);
/* Frees a channel that is closed, or NULL. */
void ntd_ssh_free(struct ntd_ssh *ssh);
/* The channel's interface, which is a part of it. */
struct ntd_channel *ntd_ssh_channel(struct ntd_ssh *ssh);

/* Sets how to log in, for connections from now on. The strings are copied. libssh has been loaded
 * before (ssh/library.h). */
void ntd_ssh_set_login(struct ntd_ssh *ssh, const struct ntd_ssh_login *login);
/* Loop: lines are logged in another report from now on. */
void ntd_ssh_set_report(struct ntd_ssh *ssh, struct ntd_report *report);

/* Loop: begins to connect to an IPv4 or IPv6 address in text form, and tries again until sshd
 * answers or the channel is closed: sshd may start late. libssh has been loaded before. */
int ntd_ssh_open(struct ntd_ssh *ssh, const char *address, unsigned port, struct ntd_error **err);

/* The public key of sshd that is pinned, "ssh-ed25519 AAAA…", a new string; NULL: none so far. */
char *ntd_ssh_host_key(const struct ntd_ssh *ssh);
/* Loop: the next sshd may have another key, as after a reset, by which an installer's guest becomes
 * the one that it has installed. */
void ntd_ssh_forget_host_key(struct ntd_ssh *ssh);
