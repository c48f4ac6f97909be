/* Machines that begin with the state in a mould: the caster and the clones. Any thread that may
 * block, one for each machine; those that begin a start are the script's.
 */
#include "machine/mould.h"

#include "machine/qemu_internal.h"

#include "base/text.h"

#include <string.h>

/* For QEMU to end. */
#define END_PATIENCE (10 * NTD_SECOND)

static struct ntd_qemu *qemu_of(const struct ntd_machine *machine)
{
	return machine->parts;
}

int ntd_mould_outfit(const struct ntd_mould *mould, const struct ntd_machine *template,
		     struct ntd_machine *machine, struct ntd_error **err)
{
	ntd_machine_set_shared_dir(machine, template->shared_dir);
	ntd_machine_set_boot_timeout(machine, template->context.boot_timeout);
	ntd_machine_set_user(machine, ntd_machine_user(template));
	ntd_shell_channel(qemu_of(machine)->shell)->absent =
		ntd_shell_channel(qemu_of(template)->shell)->absent;
	qemu_of(machine)->emulated = qemu_of(template)->emulated;
	machine->allow_reboot = template->allow_reboot;
	return ntd_mould_give_disks(mould, machine, err);
}

static void add_word(struct ntd_buf *options, const char *word)
{
	ntd_buf_puts(options, " ");
	ntd_shell_quote(options, word, strlen(word));
}

/* QEMU's words for a guest that waits for its state. The caster writes to the file, and a clone has
 * what it changes for itself. */
static char *options_of(const struct ntd_mould *mould, bool memory, bool shared)
{
	struct ntd_buf options = {0};

	ntd_buf_puts(&options, " -S -incoming defer");
	if (mould->kernel) {
		ntd_buf_puts(&options, " -kernel");
		add_word(&options, mould->kernel);
	}
	if (memory) {
		_cleanup_free_ char *file = ntd_asprintf(
			"memory-backend-file,id=%s,size=%.0f,share=%s,mem-path=%s",
			mould->memory_id, mould->memory_size, shared ? "on" : "off", mould->memory);

		ntd_buf_puts(&options, " -object");
		add_word(&options, file);
		ntd_buf_printf(&options, " -machine memory-backend=%s", mould->memory_id);
	}
	return ntd_buf_take_string(&options);
}

/* ---- the caster */

static int cast_memory(const struct ntd_mould *mould, const struct ntd_machine *template,
		       struct ntd_machine *caster, struct ntd_waiter *waiter,
		       struct ntd_error **err)
{
	_cleanup_free_ char *options = options_of(mould, true, true);
	struct ntd_life_wait wait = {0};

	if (ntd_mould_outfit(mould, template, caster, err) < 0 ||
	    ntd_life_begin_stopped(caster, options, &wait, waiter, err) < 0 ||
	    ntd_life_finish_stopped(caster, &wait, waiter, err) < 0 ||
	    ntd_snapshot_plug(caster, mould->snapshot, waiter, err) < 0)
		return -1;
	if (ntd_mould_move(caster, &(struct ntd_migration){.file = mould->stream, .incoming = true},
			   waiter, err) < 0)
		return -1;
	return ntd_mould_move(
		caster, &(struct ntd_migration){.file = mould->devices, .without_memory = true},
		waiter, err);
}

int ntd_mould_cast_memory(struct ntd_mould *mould, const struct ntd_machine *template,
			  struct ntd_machine *caster, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	_cleanup_error_ struct ntd_error *why = NULL;

	if (!mould->memory_id)
		why = ntd_error_new(NTD_E_MACHINE,
				    "QEMU does not tell of its memory, or its start script has "
				    "put it somewhere");
	else if (cast_memory(mould, template, caster, waiter, &why) == 0)
		mould->has_devices = true;
	/* Killed, and not asked to end: a QEMU that ends closes its ports, and tells the guest of
	 * that, in the memory that belongs to the devices that have been saved. */
	ntd_machine_release(caster, 0, NTD_FOREVER);
	ntd_machine_wait_gone(caster, ntd_after(END_PATIENCE));
	if (mould->has_devices) {
		unlink(mould->stream);
		ntd_mould_dig_holes(mould);
		return 0;
	}
	unlink(mould->memory);
	free(ntd_steal(&mould->kernel)); /* which may be why */
	if (why->code == NTD_E_CANCELLED)
		return ntd_error_move(err, ntd_steal(&why));
	ntd_log(template->context.report, NTD_LEVEL_DEBUG, template->name,
		"the clones do not share memory: %s", why->message);
	return 0;
}

/* ---- a clone */

int ntd_mould_begin_clone(const struct ntd_mould *mould, struct ntd_machine *clone,
			  struct ntd_life_wait *wait, struct ntd_waiter *waiter,
			  struct ntd_error **err)
{
	_cleanup_free_ char *options = options_of(mould, mould->has_devices, false);

	return ntd_life_begin_stopped(clone, options, wait, waiter, err);
}

int ntd_mould_finish_clone(const struct ntd_mould *mould, struct ntd_machine *clone,
			   struct ntd_life_wait *wait, struct ntd_waiter *waiter,
			   struct ntd_error **err)
{
	struct ntd_migration migration = {.file = mould->has_devices ? mould->devices
								     : mould->stream,
					  .incoming = true,
					  .without_memory = mould->has_devices};

	if (ntd_life_finish_stopped(clone, wait, waiter, err) < 0 ||
	    ntd_snapshot_plug(clone, mould->snapshot, waiter, err) < 0 ||
	    ntd_mould_move(clone, &migration, waiter, err) < 0)
		return -1;
	ntd_snapshot_loaded(clone, mould->snapshot);
	return 0;
}
