"""The older name of test_driver.machine.qmp; only scripts import it."""

from test_driver.machine.qmp import QMPAPIError, QMPSession

__all__ = ["QMPAPIError", "QMPSession"]
