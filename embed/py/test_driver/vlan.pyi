# The types of test_driver.vlan for type checkers; the module documents the names.

from os import PathLike
from pathlib import Path

from test_driver.logger import AbstractLogger

class VLan:
    nr: int
    socket_dir: Path
    pid: int
    process: None
    plug_process: None
    tap_name: str
    logger: AbstractLogger
    def __init__(self, nr: int, tmp_dir: str | PathLike[str], logger: AbstractLogger | None = None) -> None: ...
    def stop(self) -> None: ...
