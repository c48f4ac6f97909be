# The keyboard: the key for each character, which arrives as that character in a guest with a US keyboard.
# vms: machine=tiny

machine.wait_until_tty_matches("1", "tty1-sh# ")
machine.send_chars("stty -icanon; cat > /tmp/specials\n")
machine.wait_until_succeeds("test -e /tmp/specials")
for key in "!@#$%^&*()" "-_=+" "[{]}" ";:'\"`~" "\\|" ",<.>/?" "aZ0" " \n":
    machine.send_key(key)
#: machine: sending key 'shift-0x02'
#: machine: sending key 'shift-0x03'
#: machine: sending key 'shift-0x04'
#: machine: sending key 'shift-0x05'
#: machine: sending key 'shift-0x06'
#: machine: sending key 'shift-0x07'
#: machine: sending key 'shift-0x08'
#: machine: sending key 'shift-0x09'
#: machine: sending key 'shift-0x0A'
#: machine: sending key 'shift-0x0B'
#: machine: sending key '0x0C'
#: machine: sending key 'shift-0x0C'
#: machine: sending key '0x0D'
#: machine: sending key 'shift-0x0D'
#: machine: sending key '0x1A'
#: machine: sending key 'shift-0x1A'
#: machine: sending key '0x1B'
#: machine: sending key 'shift-0x1B'
#: machine: sending key '0x27'
#: machine: sending key 'shift-0x27'
#: machine: sending key '0x28'
#: machine: sending key 'shift-0x28'
#: machine: sending key '0x29'
#: machine: sending key 'shift-0x29'
#: machine: sending key '0x2B'
#: machine: sending key 'shift-0x2B'
#: machine: sending key '0x33'
#: machine: sending key 'shift-0x33'
#: machine: sending key '0x34'
#: machine: sending key 'shift-0x34'
#: machine: sending key '0x35'
#: machine: sending key 'shift-0x35'
#: machine: sending key 'a'
#: machine: sending key 'shift-z'
#: machine: sending key '0'
#: machine: sending key 'spc'
#: machine: sending key 'ret'
typed = "!@#$%^&*()" "-_=+" "[{]}" ";:'\"`~" "\\|" ",<.>/?" "aZ0" " \n"
machine.wait_until_succeeds("test $(wc -l < /tmp/specials) = 1", timeout=60)  # QEMU goes on typing after the call has returned
assert machine.succeed("cat /tmp/specials") == typed, machine.succeed("cat /tmp/specials")
machine.send_key("ctrl-c")
#: machine: sending key 'ctrl-c'
#: (finished: sending key 'ctrl-c', in S.SS seconds)

# All printable characters.
printable = "".join(map(chr, range(32, 127)))
machine.send_chars("cat > /tmp/printable\n")
#: machine: sending keys 'cat > /tmp/printable\n'
#: (finished: sending keys 'cat > /tmp/printable\n', in S.SS seconds)
machine.send_chars(printable + "\n", delay=0.02)
#! machine: sending key ...
machine.wait_until_succeeds("test $(wc -l < /tmp/printable) = 1", timeout=60)
#: machine: waiting for success: test $(wc -l < /tmp/printable) = 1
machine.send_key("ctrl-c", log=False)
#! machine: sending key ...
assert machine.succeed("cat /tmp/printable") == printable + "\n", machine.succeed("cat /tmp/printable")

machine.log("next")
#: machine: next
machine.send_key("a", 0.3)
machine.send_key("backspace", delay=None)
machine.send_chars("", delay=0)

# The text of the guest's console.
machine.send_chars("clear; echo Typed_$((6 * 7))\n")
machine.wait_until_tty_matches("1", r"Typed_4\d", timeout=30)
#: machine: waiting for Typed_4\d to appear on tty 1
#: (finished: waiting for Typed_4\d to appear on tty 1, in S.SS seconds)
text = machine.get_tty_text("1")
assert "Typed_42" in text and "printable" not in text
assert len(text.splitlines()) >= 25 and {len(line) for line in text.splitlines()} in ({80}, {100}, {128}), text
refused(RequestedAssertionFailed, timed_out(1), machine.wait_until_tty_matches, "1", "not there", timeout=1)
#: machine: waiting for not there to appear on tty 1
#: machine: Last chance to match /not there/ on TTY1, which currently contains: ...
#! (finished: waiting for not there...
assert isinstance(raised(machine.wait_until_tty_matches, "1", "("), re.error)
