# The types of test_driver.interact for type checkers; the module documents the names.

from test_driver.machine import QemuMachine

LEAVE: bytes
MARK: bytes
ATTACH_SECONDS: int
WRITE_SECONDS: int
CHUNK: int
BACKLOG: int

def shell(machine: QemuMachine) -> None: ...
def shell_at(machine: QemuMachine, address: str) -> None: ...
def serial(machine: QemuMachine) -> None: ...
