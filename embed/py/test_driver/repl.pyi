from typing import Any

HISTORY: str
HISTORY_LINES: int

def start(symbols: dict[str, Any], banner: str) -> None: ...
