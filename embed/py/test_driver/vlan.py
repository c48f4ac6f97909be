"""VLan."""

from _test_driver import VLan

__all__ = ["VLan"]
