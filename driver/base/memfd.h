/* Bytes as a descriptor to read from, for what takes nothing else. */
#pragma once

#include "base/error.h"

/* A new file in memory with these bytes, to be read from its beginning. */
int ntd_memory_file(const char *bytes, size_t len, struct ntd_error **err);
