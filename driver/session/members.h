/* The machines, VLANs and reports of a run. Scripts add to them while they run.
 *
 * The functions may be called by any thread but the loop's: some wait for the loop thread.
 */
#pragma once

#include "base/vec.h"
#include "machine/machine.h"
#include "net/vlan.h"

#include <pthread.h>
#include <stdatomic.h>

struct ntd_session;

struct ntd_members {
	/* Guards the lists. A thread that holds the mutex waits for nothing else: one that wants it
	 * may hold the GIL. */
	pthread_mutex_t mutex;
	ntd_vec(struct ntd_machine *) machines;
	ntd_vec(struct ntd_machine *) discarded; /* others may still have pointers to them */
	ntd_vec(struct ntd_vlan *) vlans;
	ntd_vec(struct ntd_report *) reports; /* beside the session's own */
	struct ntd_report *quiet;             /* one of them; NULL: not needed yet */
	/* The run has containers, which reach VLANs by this system's network: VLANs that are made
	 * from now on are connected to it. */
	atomic_bool taps;
	atomic_uint private_vlans; /* how many there have been (ntd_session_own_vlan()) */
	atomic_ulong seed;         /* ntd_session_vary() */
};

/* A machine that is to be made. What is NULL is the session's. */
struct ntd_new_machine {
	const struct ntd_machine_kind *kind; /* NULL: QEMU's */
	const char *name, *script;
	const char *tmp_dir, *out_dir; /* absolute */
	struct ntd_report *report;     /* must outlive the session */
	bool keep_state;
	bool bare; /* without directories: it will never be started */
};

/* Makes a machine, which belongs to the session until its end. NULL on error: NTD_E_USAGE when
 * another run uses the state directory, or what ntd_machine_new() says. */
struct ntd_machine *ntd_session_add_machine(struct ntd_session *session,
					    const struct ntd_new_machine *new,
					    struct ntd_error **err);
/* The machines so far, in a new array with *count of them. The caller frees the array; the machines
 * live as long as the session. */
struct ntd_machine **ntd_session_machines(struct ntd_session *session, size_t *count);
/* The machine of that name; NULL: there is none. */
struct ntd_machine *ntd_session_machine(struct ntd_session *session, const char *name);
/* Takes a machine that is off, and will never be started again, out of the run: it is not among the
 * machines any more, and its name is free. It lives as long as the session, too. */
void ntd_session_discard_machine(struct ntd_session *session, struct ntd_machine *machine);
/* Puts the machines in the order of their names. */
void ntd_session_sort_machines(struct ntd_session *session);

/* Starts a VLAN that belongs to the session. Its sockets are below the directory `base` (NULL: the
 * session's), and it logs in `report` (NULL: the session's). Machines that are started from now on
 * find it by QEMU_VDE_SOCKET_n, unless that is set in their own environment. NULL on error. */
struct ntd_vlan *ntd_session_add_vlan(struct ntd_session *session, int number, const char *base,
				      struct ntd_report *report, struct ntd_error **err);
/* Adds a VLAN that the caller has made, and that no start script finds by itself: it belongs to the
 * session, which frees it at the end. */
void ntd_session_own_vlan(struct ntd_session *session, struct ntd_vlan *vlan);
/* Has the VLANs, also those that are added from now on, vary when frames pass (ntd_vlan_vary()); 0:
 * not any more. */
void ntd_session_vary(struct ntd_session *session, unsigned long seed);
/* The VLANs, in a new array with *count of them. They live until someone removes them. */
struct ntd_vlan **ntd_session_vlans(struct ntd_session *session, size_t *count);
/* Takes a VLAN (NULL: the last) off the list; the caller frees it. NULL when it is not there. */
struct ntd_vlan *ntd_session_take_vlan(struct ntd_session *session, const struct ntd_vlan *vlan);
/* Stops and frees a VLAN. Nothing happens if it is NULL or was taken before. */
void ntd_session_remove_vlan(struct ntd_session *session, struct ntd_vlan *vlan);

/* A report without sinks, which lives as long as the session: for machines that the session's
 * report does not tell of. It has a thread. NULL on error. */
struct ntd_report *ntd_session_new_report(struct ntd_session *session, struct ntd_error **err);
/* The report that never has sinks, for what nobody is to see. NULL on error. */
struct ntd_report *ntd_session_quiet_report(struct ntd_session *session, struct ntd_error **err);
/* ntd_report_settle() and ntd_report_is_settled() for the session's report and all of these. In a
 * forked child there is nothing to settle. */
void ntd_session_settle(struct ntd_session *session);
bool ntd_session_is_settled(struct ntd_session *session);

/* Frees what is on the lists: the machines and the VLANs while the loop is there, the reports when
 * nothing logs any more. */
void ntd_members_free_machines(struct ntd_members *members);
void ntd_members_free_reports(struct ntd_members *members);
