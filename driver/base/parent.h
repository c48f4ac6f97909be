/* Who has started a process. Any thread, also of the keeper's processes. */
#pragma once

#include <sys/types.h>

/* The parent of a process, as /proc says; 0: it is not known, or there is no such process. */
pid_t ntd_parent_of(pid_t pid);
