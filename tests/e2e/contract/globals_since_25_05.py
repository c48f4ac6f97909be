# The globals `t` and `debug`.
# vms: machine=fake
# needs: t debug

from test_driver.errors import MachineError, RequestedAssertionFailed

t.assertEqual(1, 1)
refused(RequestedAssertionFailed, "1 != 2", t.assertEqual, 1, 2)
refused(RequestedAssertionFailed, "False is not true : text", t.assertTrue, False, "text")
with t.assertRaises(ZeroDivisionError):
    1 / 0
assert t.maxDiff is None or isinstance(t.maxDiff, int)
assert issubclass(RequestedAssertionFailed, AssertionError) and not issubclass(MachineError, AssertionError)
with t.subTest("part"):
    pass
assert debug.breakpoint() is None  # does nothing without --debug-hook-attach
#! !!! Breakpoint reached...
assert (type(machine).__name__, repr(machine)) == ("QemuMachine", "<QemuMachine 'machine'>")
