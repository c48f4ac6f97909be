"""The exceptions of the test driver."""

from _test_driver import (
    MachineDied,
    MachineError,
    MachineProtocolError,
    MachineTimeout,
    RequestedAssertionFailed,
)

__all__ = ["MachineDied", "MachineError", "MachineProtocolError", "MachineTimeout", "RequestedAssertionFailed"]
