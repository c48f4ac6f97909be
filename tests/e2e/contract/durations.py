# Durations are timedelta objects, or numbers of seconds.
# vms: machine=fake
# needs: .create_efi_vars

import subprocess
from datetime import timedelta

second = timedelta(seconds=1)
assert machine.execute("sleep 100", timeout=second) == (124, "")
refused(RequestedAssertionFailed, timed_out(1), machine.wait_until_succeeds, "false", timeout=second)
refused(RequestedAssertionFailed, timed_out(1), machine.wait_for_file, "/no/such", second)
refused(RequestedAssertionFailed, timed_out(1), retry, lambda last: False, timeout=second)
refused(RequestedAssertionFailed, timed_out(1), retry, lambda last: False, timeout_seconds=1)
machine.sleep(duration=second / 100)
#: machine: must succeed: sleep 0.01
machine.sleep(1)
#: machine: must succeed: sleep 1.0
began = time.monotonic()
try:
    machine.wait_for_shutdown(timeout=second)
    raise SystemExit("no time-out")
except subprocess.TimeoutExpired as expired:
    assert expired.timeout == 1 and time.monotonic() - began >= 1
assert machine.is_up() and machine.execute("echo 1", timeout=None) == (0, "1\n")


@polling_condition(interval=second)
def holds():
    return True


holds.wait(timeout=second)
for value in True, False:
    for function in machine.execute, machine.succeed, machine.wait_until_succeeds:
        assert isinstance(raised(function, "true", timeout=value), TypeError)
