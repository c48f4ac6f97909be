"""Machines."""

from _test_driver import Machine, QemuMachine, retry

__all__ = ["Machine", "QemuMachine", "retry"]
