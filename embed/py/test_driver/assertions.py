"""The script's global `t`: the assertion methods of unittest, such as `t.assertIn(...)`.

embed/driver imports this module when a script first uses `t`. A failed assertion raises RequestedAssertionFailed, of
which the log shows the script's lines and no traceback into unittest.
"""

import unittest

from test_driver.errors import RequestedAssertionFailed


class Assertions(unittest.TestCase):
    """The class of `t`. It is a test case only for its methods; nothing runs it as a test."""

    failureException = RequestedAssertionFailed
