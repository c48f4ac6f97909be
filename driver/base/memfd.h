/* Bytes as a descriptor, for functions and processes that only read descriptors. */
#pragma once

#include "base/error.h"

/* Makes a file in memory of `len` bytes. Returns its descriptor, positioned at the beginning, or -1
 * with NTD_E_SYS. */
int ntd_memory_file(const char *bytes, size_t len, struct ntd_error **err);
