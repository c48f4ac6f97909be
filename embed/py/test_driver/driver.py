"""Driver."""

from _test_driver import Driver

__all__ = ["Driver"]
