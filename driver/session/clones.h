/* Clones of a machine: new machines of the session that begin with its state. Script threads. */
#pragma once

#include "machine/machine.h"

struct ntd_session;

/* More are refused: each is a process and a thread. */
enum { NTD_CLONES_MAX = 250 };

struct ntd_clone_order {
	struct ntd_machine *machine; /* the template */
	size_t count;                /* from 1 to NTD_CLONES_MAX */
	/* `count` names that no machine has; NULL: NAME-1, NAME-2 and so on. */
	char *const *names;
	/* The clones are on the template's networks, where they have its addresses, and not each on
	 * networks of its own. */
	bool shares_networks;
	double timeout; /* seconds that commands under way in the template may take */
};

/* Makes the clones, which can be used at once. They belong to the session. Returns them in a new
 * array of `count`, or NULL with an error: those of guest/clones.h; NTD_E_VALUE for a name that
 * another machine has. After an error there are no clones, and the template goes on. */
struct ntd_machine **ntd_session_clone(struct ntd_session *session,
				       const struct ntd_clone_order *order,
				       struct ntd_waiter *waiter, struct ntd_error **err);
