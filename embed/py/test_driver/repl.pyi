# The types of test_driver.repl for type checkers; the module documents the names.

from typing import Any

HISTORY: str
HISTORY_LINES: int

def start(symbols: dict[str, Any], banner: str) -> None: ...
