# Text in pictures of the screen.
# vms: machine=tiny

machine.wait_until_tty_matches("1", "tty1-sh# ")
machine.succeed("printf '\\033[H\\033[2J\\033[3J\\033[?25lPlease enter\\nyour password\\n' > /dev/tty1")
text = machine.get_screen_text()
assert isinstance(text, str) and "Please enter" in text, text
texts = machine.get_screen_text_variants()
assert len(texts) == 3 and any("password" in one for one in texts), texts
machine.wait_for_text("your (password|name)")
#: machine: waiting for your (password|name) to appear on screen
#: (finished: waiting for your (password|name) to appear on screen, in S.SS seconds)
refused(RequestedAssertionFailed, timed_out(1), machine.wait_for_text, "not there", timeout=1)
#: machine: waiting for not there to appear on screen
#: machine: Last OCR attempt failed. Text was: [...
