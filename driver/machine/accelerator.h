/* What runs the guest's instructions: KVM, HVF, or TCG, which emulates the processor and is many
 * times slower. */
#pragma once

#include "machine/machine.h"

/* Loop: QMP is ready. Asks, and logs the answer when it comes; a machine that never answers has
 * none. */
void ntd_accelerator_ask(struct ntd_machine *machine);
