# The types of test_driver.assertions for type checkers; the module documents the names.

from unittest import TestCase

class Assertions(TestCase): ...
