/* Sudden ends and restarts of a machine, crash() and reboot(), on a script thread. */
#include "guest/power.h"

#include "guest/command.h"
#include "guest/screen.h"

int ntd_machine_crash(struct ntd_machine *machine, struct ntd_waiter *waiter,
		      struct ntd_error **err)
{
	int start = ntd_machine_begin_end(machine, false, waiter, err);

	if (start <= 0)
		return start;
	ntd_log(ntd_machine_report(machine), NTD_LEVEL_ALWAYS, ntd_machine_name(machine),
		"forced crash");
	if (ntd_machine_before_command(machine, waiter, err) < 0 ||
	    ntd_machine_cut_power(machine, waiter, err) < 0)
		return -1;
	return ntd_machine_finish_end(machine, (unsigned)start, waiter, err);
}

int ntd_machine_reboot(struct ntd_machine *machine, struct ntd_waiter *waiter,
		       struct ntd_error **err)
{
	ntd_machine_disconnect(machine, true);
	return ntd_machine_send_key(machine, "ctrl-alt-delete", 0, true, waiter, err);
}
