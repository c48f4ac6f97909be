# The types of test_driver.machine.connection for type checkers; the module documents the names.

from collections.abc import Callable
from socket import socket

class Connection(socket):
    def settimeout(self, value: float | None) -> None: ...
    def setblocking(self, flag: bool) -> None: ...

def connection(fileno: int, limit: Callable[[float], object] | None = None) -> Connection: ...
