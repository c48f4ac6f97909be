/* Keyboard, text consoles and screen of a machine. */
#pragma once

#include "guest/command.h"

/* QEMU's name of the key that types a character (UTF-8, one), or of a key that is named already:
 * upper case letters and the shifted characters of a US keyboard become "shift-..."; anything else
 * passes through. A new string. */
char *ntd_key_name(const char *key);

/* Presses a key, then waits `delay` seconds, for guests lose keys that come too fast. With `log`, a
 * step "sending key 'K'". NTD_E_MACHINE with QEMU's words when it refuses the key. */
int ntd_machine_send_key(struct ntd_machine *machine, const char *key, double delay, bool log,
			 struct ntd_waiter *waiter, struct ntd_error **err);
/* Presses one key a character of `text` (UTF-8). `shown` is the text for the log. */
int ntd_machine_send_chars(struct ntd_machine *machine, const char *text, const char *shown,
			   double delay, struct ntd_waiter *waiter, struct ntd_error **err);

/* What is on text console number `tty`, line by line at its width. Returns the status of the
 * command that tells: not 0 when the console is not there. */
int ntd_machine_tty_text(struct ntd_machine *machine, const char *tty, struct ntd_buf *text,
			 struct ntd_waiter *waiter, struct ntd_error **err);

/* Writes a picture of the screen as PNG to `path`. */
int ntd_machine_screenshot(struct ntd_machine *machine, const char *path, struct ntd_waiter *waiter,
			   struct ntd_error **err);
