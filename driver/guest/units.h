/* systemd units in the guest. `user` is the user whose manager is asked, NULL for the system's. */
#pragma once

#include "base/vec.h"
#include "guest/command.h"

/* One property of a unit. */
struct ntd_property {
	char *name, *value;
};

struct ntd_properties ntd_vec_members(struct ntd_property);

void ntd_properties_free(struct ntd_properties *properties);
/* The value of a property, of equal names the last one's; or NULL. */
const char *ntd_properties_get(const struct ntd_properties *properties, const char *name);
/* Parses the lines "Name=value" of `systemctl show`; other lines are passed over. */
struct ntd_properties ntd_properties_parse(const char *text, size_t len);

#define _cleanup_properties_ _cleanup_(ntd_properties_free)

/* Runs `systemctl QUERY`; returns its status, or -1. */
int ntd_machine_systemctl(struct ntd_machine *machine, const char *query, const char *user,
			  struct ntd_buf *output, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* All properties; NTD_E_ASSERTION when systemctl fails. */
int ntd_machine_unit_info(struct ntd_machine *machine, const char *unit, const char *user,
			  struct ntd_properties *properties, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* One property; a new string. */
char *ntd_machine_unit_property(struct ntd_machine *machine, const char *unit, const char *property,
				const char *user, struct ntd_waiter *waiter,
				struct ntd_error **err);
/* Waits until the unit is active. NTD_E_ASSERTION at once when it has failed, or when it is
 * inactive and nothing is going to start it. */
int ntd_machine_wait_for_unit(struct ntd_machine *machine, const char *unit, const char *user,
			      double timeout, struct ntd_waiter *waiter, struct ntd_error **err);
/* NTD_E_ASSERTION unless the unit is in `state`. */
int ntd_machine_require_unit_state(struct ntd_machine *machine, const char *unit, const char *state,
				   struct ntd_waiter *waiter, struct ntd_error **err);
