# The types of test_driver.qmp for type checkers; the module documents the names.

from test_driver.machine.qmp import QMPAPIError as QMPAPIError, QMPSession as QMPSession
