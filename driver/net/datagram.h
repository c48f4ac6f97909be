/* Ports on connected datagram sockets: the clients of a VLAN. */
#pragma once

#include "net/link.h"

extern const struct ntd_link ntd_datagram_link;
