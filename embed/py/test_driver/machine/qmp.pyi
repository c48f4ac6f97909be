from collections.abc import Iterator
from datetime import timedelta
from typing import Any, final

class QMPAPIError(RuntimeError):
    class_name: str
    description: str
    transaction_id: object
    def __init__(self, message: dict[str, Any]) -> None: ...

@final
class QMPSession:
    def send(self, cmd: str, args: dict[str, Any] = {}) -> dict[str, Any]: ...
    def wait_for_event(self, timeout: timedelta | float | None = 10) -> dict[str, Any]: ...
    def events(self, timeout: timedelta | float | None = 10) -> Iterator[dict[str, Any]]: ...
