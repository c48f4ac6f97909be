from test_driver.machine.qmp import QMPAPIError as QMPAPIError, QMPSession as QMPSession
