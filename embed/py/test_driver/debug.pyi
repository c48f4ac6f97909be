# The types of test_driver.debug for type checkers; the module documents the names.

from abc import ABC, abstractmethod

from test_driver.driver import Driver
from test_driver.logger import AbstractLogger

HOST: str
PORT: int

class DebugAbstract(ABC):
    @abstractmethod
    def breakpoint(self, host: str = "127.0.0.1", port: int = 4444) -> None: ...
    def post_mortem(self, exception: BaseException) -> None: ...

class DebugNop(DebugAbstract):
    def breakpoint(self, host: str = "127.0.0.1", port: int = 4444) -> None: ...

class Debug(DebugAbstract):
    logger: AbstractLogger
    attach: str
    def __init__(self, logger: AbstractLogger, attach_command: str) -> None: ...
    def breakpoint(self, host: str = "127.0.0.1", port: int = 4444) -> None: ...
    def post_mortem(self, exception: BaseException) -> None: ...

def for_run(driver: Driver, attach_command: str | None) -> DebugAbstract: ...
