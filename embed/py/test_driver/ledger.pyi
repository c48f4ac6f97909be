# The types of test_driver.ledger for type checkers; the module documents the names.

from os import PathLike
from pathlib import Path
from typing import Any

DEFAULT_PATH: str
LOCK_SECONDS: float

def is_enabled() -> bool: ...
def path_of(directory: str | PathLike[str] | None = None) -> Path: ...
def append(path: str | PathLike[str], entry: dict[str, Any]) -> None: ...
