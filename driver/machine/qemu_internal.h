/* The inside of a QEMU machine, for the files that make it up. The loop thread owns it all, except
 * the paths and what is marked as any thread's.
 */
#pragma once

#include "agent_channel/agent_channel.h"
#include "channel/port.h"
#include "machine/internal.h"
#include "machine/qemu.h"
#include "qemu/data_port.h"
#include "qemu/disks.h"
#include "qemu/guest_state.h"

struct ntd_qemu;

enum {
	NTD_QEMU_MONITOR,
	NTD_QEMU_SHELL,
	NTD_QEMU_QMP,
	NTD_QEMU_SHELL_PORT,
	NTD_QEMU_AGENT_PORT,
	NTD_QEMU_SOCKETS
};

/* Whom a data port is for. */
enum ntd_qemu_port { NTD_PORT_SHELL, NTD_PORT_AGENT, NTD_PORTS };

/* A socket between QEMU and the driver. The driver listens on a socket with `accepted`, and QEMU
 * connects to it; QEMU listens on that for QMP. Those of data ports are there while the ports are
 * being opened (qemu_port.c). */
struct ntd_qemu_socket {
	char *_Atomic path;
	/* Takes the connection; NULL: the driver connects to QEMU. */
	int (*accepted)(struct ntd_qemu *qemu, int fd, struct ntd_error **err);
	struct ntd_qemu *qemu;
	struct ntd_source listener; /* fd -1: not listening, or no longer */
};

/* SSH into the guest (qemu_ssh.c). */
struct ntd_qemu_ssh {
	struct ntd_ssh *channel;
	char *_Atomic address;            /* any thread; NULL: QEMU forwards a port of 127.0.0.1 */
	unsigned port;                    /* of that address */
	char *_Atomic user, *_Atomic key; /* any thread; of the login, may be NULL */
	atomic_uint known_port;           /* any thread: where sshd is tried; 0: not known yet */
	bool open;                        /* the channel is open */
	struct ntd_qmp_question question; /* pending: QEMU is being asked for a port */
	bool added;                       /* QEMU was told to forward a port */
	char *said;                       /* what it answered to that; NULL: nothing */
	struct ntd_qmp_listener reset;
};

/* For what QEMU answers at once unless its host is stuck. */
#define NTD_QEMU_PATIENCE (60 * NTD_SECOND)

struct ntd_qemu {
	struct ntd_machine *machine;
	struct ntd_shell *shell;
	struct ntd_expect *expect; /* for scripts */
	struct ntd_serial *serial;
	struct ntd_monitor *monitor;
	struct ntd_qmp *qmp;
	struct ntd_guest_state guest; /* what QEMU tells of the guest by QMP */
	struct ntd_qemu_socket sockets[NTD_QEMU_SOCKETS];
	struct ntd_data_port *ports[NTD_PORTS];
	struct ntd_list clearings; /* threads that wait until QEMU has no ports (qemu_port.c) */
	struct ntd_agent_channel *agent;
	struct ntd_qemu_ssh ssh;
	/* Of the thread that has claimed the machine (machine/snapshot.h). */
	struct {
		struct ntd_list kept; /* of struct ntd_snapshot */
		char *store;          /* the path of the image; NULL: it has not been made */
		bool provided;        /* the present QEMU has the image */
		unsigned last;        /* number of the last tag */
	} snapshots;
	char *_Atomic efi_vars;
	char *_Atomic vsock_guest, *_Atomic vsock_host; /* NULL: no vsock device */

	bool monitor_prompted, qmp_ready;
	bool panicked;
	int64_t panic_heard; /* when a channel was last heard before a panic */
	/* Expires when a lost shell, or the silence after a panic, is the machine's failure
	 * (qemu_verdict.c). */
	struct ntd_timer verdict;
	struct {
		struct ntd_qmp_question question;
		unsigned number; /* of the question */
	} accelerator;           /* see accelerator.c */
	atomic_bool emulated;    /* any thread: TCG runs the guest, as far as the driver knows */
};

/* Loop, when QMP is ready: asks QEMU what runs the guest's instructions, and logs the answer when
 * it comes, if ever (machine/accelerator.c). */
void ntd_accelerator_ask(struct ntd_qemu *qemu);

/* ---- qemu_sockets.c; loop */
/* The names of the sockets, by number; ends with NULL. */
extern const char *const ntd_qemu_socket_names[];
/* Any thread: sets the paths of a new machine's sockets. */
void ntd_qemu_sockets_make(struct ntd_qemu *qemu);
/* Listens for the process that is going to be ordered; connects to it when it has connected. */
int ntd_qemu_sockets_listen(struct ntd_qemu *qemu, struct ntd_error **err);
/* Stops listening and removes the sockets' files. */
void ntd_qemu_sockets_close(struct ntd_qemu *qemu);
/* Any thread. */
void ntd_qemu_sockets_free(struct ntd_qemu *qemu);

/* ---- qemu_verdict.c; loop */
/* Any thread: makes the timer of a new machine. */
void ntd_qemu_verdict_make(struct ntd_qemu *qemu);
/* The root shell's connection is lost: begins to wait for the end of QEMU. */
void ntd_qemu_verdict_hung_up(struct ntd_qemu *qemu);
/* The console or QEMU has told of a panic: begins to wait for a sign of life. */
void ntd_qemu_verdict_panicked(struct ntd_qemu *qemu);
/* A channel is ready: nothing is to be waited for. */
void ntd_qemu_verdict_answered(struct ntd_qemu *qemu);
/* QEMU has reset the guest. */
void ntd_qemu_verdict_was_reset(struct ntd_qemu *qemu);

/* ---- qemu_port.c */
/* Any thread: makes the machine's data ports, which are closed. */
void ntd_qemu_ports_make(struct ntd_qemu *qemu);
void ntd_qemu_ports_free(struct ntd_qemu *qemu);
/* Loop: QEMU has ended, and QMP and the channels are closed. */
void ntd_qemu_ports_forget(struct ntd_qemu *qemu);
/* A script thread: has the channels give up their ports until they need them again, and waits until
 * QEMU has none of them any more, or until `deadline`. `loads`: the guest is about to get another
 * state, so the channels know nothing about it any more. Returns 0, also at the
 * deadline, or -1 when the thread is to stop waiting. */
int ntd_qemu_ports_clear(struct ntd_qemu *qemu, bool loads, int64_t deadline,
			 struct ntd_waiter *waiter, struct ntd_error **err);
/* A script thread: the same for a state that is about to be saved, in which the agent stays, with
 * its port, if nothing is pending in it. */
int ntd_qemu_ports_clear_to_save(struct ntd_qemu *qemu, int64_t deadline, struct ntd_waiter *waiter,
				 struct ntd_error **err);
/* Loop: the agent that a state has which is saved now. */
struct ntd_agent_saved ntd_qemu_agent_saved(const struct ntd_qemu *qemu);
/* Any thread: the port, for a channel. */
struct ntd_port *ntd_qemu_port(struct ntd_qemu *qemu, enum ntd_qemu_port which);

/* ---- snapshot.c; any thread */
void ntd_qemu_snapshots_free(struct ntd_qemu *qemu);

/* ---- snapshot_store.c; script threads */
/* Executes a QMP command of the driver's and takes `arguments`, which may be NULL. Returns the
 * reply; NULL with the error, also when the reply is one. */
cJSON *ntd_qemu_execute(struct ntd_machine *machine, const char *command, cJSON *arguments,
			struct ntd_waiter *waiter, struct ntd_error **err);
/* Appends the disks that QEMU writes to. */
int ntd_qemu_read_disks(struct ntd_machine *machine, struct ntd_disks *disks,
			struct ntd_waiter *waiter, struct ntd_error **err);
/* Appends QEMU's own reasons not to save the machine, such as a share that the guest has mounted,
 * each after a newline and four spaces. QEMU 6.0 tells them. */
int ntd_qemu_add_obstacles(struct ntd_machine *machine, struct ntd_buf *reasons,
			   struct ntd_waiter *waiter, struct ntd_error **err);
/* Has QEMU make a qcow2 image of `size` bytes that is empty, or the same as the qcow2 image `base`.
 * Paths are absolute. */
int ntd_qemu_make_image(struct ntd_machine *machine, const char *path, double size,
			const char *base, struct ntd_waiter *waiter, struct ntd_error **err);

/* ---- qemu_ssh.c */
/* Loop: the guest went back to an earlier state: its end of the connection is that of then. What is
 * pending fails with a copy of `why`, and the channel connects anew. */
void ntd_qemu_ssh_go_back(struct ntd_qemu *qemu, const struct ntd_error *why);
/* Any thread: makes the channel, which counts as absent until SSH is used. */
void ntd_qemu_ssh_make(struct ntd_qemu *qemu);
void ntd_qemu_ssh_free(struct ntd_qemu *qemu);
/* Loop: QMP is ready: connects if SSH is used. */
void ntd_qemu_ssh_qmp_ready(struct ntd_qemu *qemu);
/* Loop: the channel has been closed, and QEMU has ended or is about to be started. */
void ntd_qemu_ssh_clear(struct ntd_qemu *qemu);
/* Loop: the channel has been closed, though QEMU goes on. */
void ntd_qemu_ssh_closed(struct ntd_qemu *qemu);
/* Script threads: "sshd at 127.0.0.1:40123", a new string; NULL: the guest is not waited for by
 * SSH, or by other ways, too. */
char *ntd_qemu_ssh_awaited(const struct ntd_qemu *qemu);
/* Any thread: see ntd_machine_ssh_target(). */
struct ntd_machine_ssh_target ntd_qemu_ssh_target(const struct ntd_qemu *qemu);
/* Script threads: see ntd_machine_use_ssh(). */
int ntd_qemu_ssh_use(struct ntd_qemu *qemu, const struct ntd_machine_ssh *ssh,
		     struct ntd_error **err);
/* Any thread. */
bool ntd_qemu_ssh_is_used(const struct ntd_qemu *qemu);
