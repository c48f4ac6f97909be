/* The checksum of cksum(1), as POSIX defines it. Pure; any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t ntd_cksum(const char *bytes, size_t len);
