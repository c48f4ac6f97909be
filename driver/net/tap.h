/* Tap interfaces: how a VLAN reaches network interfaces of this system, above all the containers'.
 */
#pragma once

#include "net/link.h"

#include <net/if.h>

extern const struct ntd_link ntd_tap_link;

/* Writes the name of VLAN `number`'s interface, vde-tapN. Returns 0, or -1 with NTD_E_VALUE if the
 * name is too long for an interface. */
int ntd_tap_name(int number, char name[static IFNAMSIZ], struct ntd_error **err);
/* Makes the interface `name` in the network namespace of the calling thread, down as every new one,
 * and returns its descriptor. The interface exists until the descriptor is closed. Needs root
 * (CAP_NET_ADMIN) and /dev/net/tun. Returns -1 with NTD_E_SYS: the message says what is missing and
 * what to do about it; sys_errno is EBUSY when there is such an interface already. */
int ntd_tap_open(const char *name, struct ntd_error **err);
