/* The machines of a moment, for the files that save and restore it. Script threads. */
#pragma once

#include "guest/moment.h"
#include "machine/snapshot.h"

/* A machine's part in it, and how far it has got. */
struct ntd_part {
	struct ntd_machine *machine;
	/* Restoring: the one that the machine goes back to. Saving: the new one, until it is kept.
	 */
	struct ntd_snapshot *snapshot;
	struct ntd_qmp_job *job;   /* NULL: none goes on */
	struct ntd_error *refusal; /* restoring: why a new QEMU has to load it; NULL: none has to */
	char *shares;              /* saving: what was unmounted in the guest; NULL: nothing */
	bool claimed;              /* the machine is this thread's */
	bool connected;            /* saving: a channel was ready before */
	bool passes;               /* it is SAVING or RESTORING */
	bool stopped;              /* its guest stands still */
	bool left_out;             /* saving: it could not be saved, and the others go on */
};

struct ntd_parts {
	const struct ntd_moment *moment;
	struct ntd_part *each;
	size_t count;
};

/* NOLINTBEGIN(bugprone-macro-parentheses): the name of a variable */
#define ntd_each_part(part, parts)                                                                 \
	for (struct ntd_part *part = (parts)->each; part < (parts)->each + (parts)->count; part++)
/* NOLINTEND(bugprone-macro-parentheses) */

/* Claims all machines of the moment, or leaves out those that cannot be claimed. After an error,
 * too, the caller yields. */
int ntd_parts_claim(struct ntd_parts *parts, const struct ntd_moment *moment,
		    struct ntd_error **err);
/* Yields the machines and frees what the structure has. */
void ntd_parts_yield(struct ntd_parts *parts);
/* Claims the machines of the moment, has `work` done with them and yields them, as a step of the
 * log: "saving the snapshot 'ready'" if the verb is "saving". */
int ntd_parts_work(const struct ntd_moment *moment, const char *verb,
		   int (*work)(struct ntd_parts *parts, struct ntd_waiter *waiter,
			       struct ntd_error **err),
		   struct ntd_waiter *waiter, struct ntd_error **err);

/* Has the switches drop everything, and then pass frames again. */
void ntd_parts_cut_switches(const struct ntd_parts *parts);
void ntd_parts_join_switches(const struct ntd_parts *parts);

/* Has all guests that stand still go on. */
int ntd_parts_continue(struct ntd_parts *parts, struct ntd_waiter *waiter, struct ntd_error **err);
/* Boots the part's machine if need be, and waits until there is a way in, unless there never is. */
int ntd_part_boot(const struct ntd_part *part, struct ntd_waiter *waiter, struct ntd_error **err);
/* The machine becomes SAVING. Commands under way may take `timeout` seconds, or longer if the
 * machine is slow; the error for one that goes on says that `who` waits for it. */
int ntd_part_begin_saving(struct ntd_part *part, double timeout, const char *who,
			  struct ntd_waiter *waiter, struct ntd_error **err);
/* Waits for the part's job, if one goes on. */
int ntd_part_wait(struct ntd_part *part, struct ntd_waiter *waiter, struct ntd_error **err);
/* Has QEMU give the part's job up, if one goes on, and does not wait for it. */
void ntd_part_leave(struct ntd_part *part);

/* A step of one machine's. */
typedef int ntd_part_step(struct ntd_parts *parts, struct ntd_part *part, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* Has all machines that are not left out take a step: one after the other, until one fails; or all
 * at the same time, even if one fails, for steps that do not start machines. The error is that of
 * the first failure, or of the machine's death. */
int ntd_parts_each(struct ntd_parts *parts, ntd_part_step *step, struct ntd_waiter *waiter,
		   struct ntd_error **err);
int ntd_parts_at_once(struct ntd_parts *parts, ntd_part_step *step, struct ntd_waiter *waiter,
		      struct ntd_error **err);

/* Takes the error of what could not be done with the machine. Returns 0 when the moment goes on
 * without the machine, which the log then says; or -1 and *err, as ntd_part_error() does. */
int ntd_part_failed(struct ntd_parts *parts, struct ntd_part *part, struct ntd_error *error,
		    struct ntd_error **err);
/* Sets *err unless it is set already; takes `error`. Returns -1. */
int ntd_first_error(struct ntd_error **err, struct ntd_error *error);
/* Sets the error of what could not be done with the machine, or of its death if it has died. Takes
 * `error`; returns -1. */
int ntd_part_error(const struct ntd_part *part, struct ntd_error *error, struct ntd_error **err);
