/* What has to be the same where a saved state of a QEMU machine is loaded: QEMU, and what it is
 * told to emulate. QEMU itself is asked, so that it makes no difference how the start script is
 * written. */
#pragma once

#include "machine/machine.h"

enum ntd_fact {
	NTD_FACT_QEMU,        /* "7.2.22 (Debian 1:7.2+dfsg-7)" */
	NTD_FACT_MACHINE,     /* "pc-q35-7.2-machine" */
	NTD_FACT_ACCELERATOR, /* "kvm" or "tcg" */
	NTD_FACT_CPU,         /* "Nehalem-x86_64-cpu" */
	NTD_FACT_PROCESSORS,  /* "2" */
	NTD_FACT_MEMORY,      /* "268435456 bytes" */
	NTD_FACT_DEVICES,     /* "virtio-net-pci, virtio-blk-pci, ..." */
	NTD_FACTS
};

/* The values; NULL or "": QEMU does not tell. */
struct ntd_facts {
	char *values[NTD_FACTS];
};

/* The names of the facts, as files and messages have them. Any thread. */
extern const char *const ntd_fact_names[NTD_FACTS];

/* Asks a QEMU that runs, without the driver's data ports. Script threads. */
int ntd_facts_ask(struct ntd_machine *machine, struct ntd_facts *facts, struct ntd_waiter *waiter,
		  struct ntd_error **err);
/* What differs, a new string: for each difference a line of its own, after a newline and four
 * spaces; "" when nothing does. Any thread, as are the next functions. */
char *ntd_facts_differences(const struct ntd_facts *recorded, const struct ntd_facts *here);
/* A hash of the facts, 16 hexadecimal digits, a new string. It shows that they were changed by
 * hand; it is no protection. */
char *ntd_facts_hash(const struct ntd_facts *facts);
void ntd_facts_free(struct ntd_facts *facts);

#define _cleanup_facts_ _cleanup_(ntd_facts_free)
