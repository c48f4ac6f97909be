# The types of test_driver.run_record for type checkers; the module documents the names.

from collections.abc import Iterable
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path
from typing import Any

from test_driver.machine import BaseMachine

_Path = str | PathLike[str]

FORMAT: int
CEILING_SECONDS: float
QMP_SECONDS: float
DIRECTORY: str

def make_directory(parent: _Path) -> Path: ...

class RunRecord:
    machine: BaseMachine
    @property
    def directory(self) -> Path: ...
    @property
    def metadata(self) -> dict[str, Any]: ...
    log_globs: list[str]
    def __init__(
        self,
        machine: BaseMachine,
        build_seconds: float | None = None,
        pytest_args: Iterable[object] | None = None,
        directory: _Path | None = None,
        *,
        log_globs: Iterable[str] = (),
        invocation_directory: _Path | None = None,
    ) -> None: ...
    def login(self) -> None: ...
    def ssh(self, host: str | None = None, port: int | None = None) -> None: ...
    def note(self, text: object) -> None: ...
    def end(self, failed: bool = False, quick: bool = False) -> dict[str, Any]: ...

def begin(
    machine: BaseMachine,
    build_seconds: float | None = None,
    pytest_args: Iterable[object] | None = None,
    directory: _Path | None = None,
    *,
    log_globs: Iterable[str] = (),
    invocation_directory: _Path | None = None,
) -> RunRecord: ...
def recording(
    machine: BaseMachine,
    *,
    build_seconds: float | None = None,
    pytest_args: Iterable[object] | None = None,
    directory: _Path | None = None,
    log_globs: Iterable[str] = (),
    invocation_directory: _Path | None = None,
) -> AbstractContextManager[RunRecord]: ...
