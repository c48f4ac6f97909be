"""The exceptions of the test driver; they are made in C, in embed/bridge, which documents them."""

from _test_driver import (
    MachineDied,
    MachineError,
    MachineProtocolError,
    MachineTimeout,
    RequestedAssertionFailed,
)

__all__ = ["MachineDied", "MachineError", "MachineProtocolError", "MachineTimeout", "RequestedAssertionFailed"]
