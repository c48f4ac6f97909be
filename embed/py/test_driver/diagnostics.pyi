# The types of test_driver.diagnostics for type checkers; the module documents the names.

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike

from test_driver.machine import BaseMachine

MEGABYTE: int
CONSOLE_BYTES: int
GLOB_BYTES: int
TEXT_BYTES: int
CONSOLE_LINES: int
GLOB_FILES: int
UNITS: int
FIRST_SECONDS: float
QUESTION_SECONDS: float
FILE_SECONDS: float
TOTAL_SECONDS: float

@dataclass
class Diagnostics:
    files: dict[str, str | list[str]] = ...
    missing: list[str] = ...
    def add(self, kind: str, path: str | PathLike[str]) -> None: ...

def collect(
    machine: BaseMachine,
    directory: str | PathLike[str],
    log_globs: Iterable[str] = (),
    failed: bool = False,
    quick: bool = False,
) -> Diagnostics: ...
