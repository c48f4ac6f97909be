"""`t`: the assertions of unittest, as requested checks of a test script."""

import unittest

from test_driver.errors import RequestedAssertionFailed


class Assertions(unittest.TestCase):
    """A test case that is never run as one: scripts call its methods."""

    failureException = RequestedAssertionFailed
