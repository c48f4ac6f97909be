# The text of the console since the start of the machine.
# vms: machine=fake
# needs: .get_console_log

machine.succeed("echo one >&2; echo two >&2")
machine.wait_for_console_text("one.*two")  # lines are joined without a separator
assert machine.get_console_log().splitlines()[-2:] == ["one", "two"]
refused(RequestedAssertionFailed, timed_out(1), machine.wait_for_console_text, "one", timeout=1)  # the match before has used up the line
machine.succeed("echo three >&2")
machine.wait_for_console_text("^three")
assert machine.get_console_log().endswith("one\ntwo\nthree")
machine.crash()
machine.start()
machine.connect()
assert "three" not in machine.get_console_log()
