"""The class of the script's globals vlan1, vlan2 ..., implemented in C, which documents it. Only scripts import this
module."""

from _test_driver import VLan

__all__ = ["VLan"]
