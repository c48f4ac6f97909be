/* QEMU's user network, as its monitor's `info usernet` shows it. Pure; any thread. */
#pragma once

#include <stddef.h>

/* The port of 127.0.0.1 that QEMU forwards to the guest's TCP port `guest_port`, by the table of
 * `info usernet`, `len` bytes; 0: it forwards none. */
unsigned ntd_user_network_port(const char *table, size_t len, unsigned guest_port);
