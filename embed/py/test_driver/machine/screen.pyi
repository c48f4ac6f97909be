# The types of test_driver.machine.screen for type checkers; the module documents the names.

from contextlib import AbstractContextManager
from pathlib import Path

from test_driver.machine import QemuMachine

def managed_screenshot(machine: QemuMachine) -> AbstractContextManager[Path]: ...
