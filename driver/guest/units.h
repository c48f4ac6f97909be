/* systemd units in the guest. `user` is the user whose manager is asked, NULL for the system's.
 * Functions with a waiter block a script thread.
 */
#pragma once

#include "base/vec.h"
#include "guest/command.h"

/* One property of a unit. */
struct ntd_property {
	char *name, *value;
};

struct ntd_properties ntd_vec_members(struct ntd_property);

/* Frees the properties, but not the structure. */
void ntd_properties_free(struct ntd_properties *properties);
/* The value of a property, which the properties keep; of several with that name, the last one's.
 * NULL: there is none. */
const char *ntd_properties_get(const struct ntd_properties *properties, const char *name);
/* Parses the lines "Name=value" of `systemctl show` and skips other lines. The caller frees the
 * result. */
struct ntd_properties ntd_properties_parse(const char *text, size_t len);

#define _cleanup_properties_ _cleanup_(ntd_properties_free)

/* Runs `systemctl QUERY` in the guest and appends its output to `output`, unless that is NULL.
 * Returns its status, or -1 with an error. */
int ntd_machine_systemctl(struct ntd_machine *machine, const char *query, const char *user,
			  struct ntd_buf *output, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* Reads all properties of a unit. NTD_E_ASSERTION when systemctl fails. */
int ntd_machine_unit_info(struct ntd_machine *machine, const char *unit, const char *user,
			  struct ntd_properties *properties, struct ntd_waiter *waiter,
			  struct ntd_error **err);
/* Reads one property of a unit, a new string. NULL with an error, NTD_E_ASSERTION when systemctl
 * fails or does not tell the property. */
char *ntd_machine_unit_property(struct ntd_machine *machine, const char *unit, const char *property,
				const char *user, struct ntd_waiter *waiter,
				struct ntd_error **err);
/* Waits `timeout` seconds at most (negative: for ever) until the unit is active. NTD_E_ASSERTION
 * after that; at once when the unit has failed, or is inactive and no job is going to start it: the
 * error then names the file with the unit's status and journal (guest/unit_evidence.h). An active
 * unit with a queued job, which may be about to stop it, and one whose process has only just begun
 * count after a moment; and no unit counts as failed or as idle before systemctl has said so. */
int ntd_machine_wait_for_unit(struct ntd_machine *machine, const char *unit, const char *user,
			      double timeout, struct ntd_waiter *waiter, struct ntd_error **err);
/* NTD_E_ASSERTION unless the unit's ActiveState is `state`. */
int ntd_machine_require_unit_state(struct ntd_machine *machine, const char *unit, const char *state,
				   struct ntd_waiter *waiter, struct ntd_error **err);
