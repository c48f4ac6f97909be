/* Keyboard, text consoles and screen of a machine. Functions with a waiter block a script thread.
 */
#pragma once

#include "guest/command.h"

/* QEMU's name of the key that types the character `key`, a new string. Upper case letters and the
 * shifted characters of a US keyboard become "shift-..."; anything else, such as a key's name,
 * stays as it is. */
char *ntd_key_name(const char *key);

/* Presses a key, then waits `delay` seconds, since guests lose keys that come too fast. With `log`,
 * this is a step "sending key 'K'". A key that QEMU does not know is a warning in the log. */
int ntd_machine_send_key(struct ntd_machine *machine, const char *key, double delay, bool log,
			 struct ntd_waiter *waiter, struct ntd_error **err);
/* Presses a key for each character of `text` (UTF-8), each followed by `delay` seconds. `shown` is
 * the text for the log. */
int ntd_machine_send_chars(struct ntd_machine *machine, const char *text, const char *shown,
			   double delay, struct ntd_waiter *waiter, struct ntd_error **err);

/* Appends what text console number `tty` shows to `text`, in lines of the console's width. Returns
 * the status of the command that reads the console, not 0 when there is none, or -1 with an
 * error. */
int ntd_machine_tty_text(struct ntd_machine *machine, const char *tty, struct ntd_buf *text,
			 struct ntd_waiter *waiter, struct ntd_error **err);

/* Writes a picture of the screen as PNG to the host's file `path`. NTD_E_MACHINE when the machine
 * has no screen or QEMU makes no picture, NTD_E_TIMEOUT after a minute. */
int ntd_machine_screenshot(struct ntd_machine *machine, const char *path, struct ntd_waiter *waiter,
			   struct ntd_error **err);
