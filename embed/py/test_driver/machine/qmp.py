"""QEMU's machine protocol."""

import queue
from datetime import timedelta

from _test_driver import QMPSession


class QMPAPIError(RuntimeError):
    """QEMU refused a command. Made from its reply, {"error": {"class": ..., "desc": ...}}."""

    def __init__(self, message):
        super().__init__(message)
        self.class_name = message["error"].get("class")
        self.description = message["error"].get("desc")
        self.transaction_id = message.get("id")

    def __str__(self):
        return f"<QMP API error related to transaction {self.transaction_id} [{self.class_name}]: {self.description}>"


class EventQueue(queue.Queue):
    """The events that nobody has taken yet; wait_for_event() and events() take them from here, too."""

    def __init__(self, session):
        super().__init__()
        self._session = session

    def qsize(self):
        return super().qsize() + self._session._count_events()

    def empty(self):
        return not self.qsize()

    def get(self, block=True, timeout=None):
        if super().qsize():  # put there by the script
            return super().get(block, timeout)
        if self.empty() and not block:
            raise queue.Empty
        try:
            return self._session.wait_for_event(None if timeout is None and block else timedelta(seconds=timeout or 0))
        except TimeoutError:
            raise queue.Empty from None

    def get_nowait(self):
        return self.get(block=False)


__all__ = ["EventQueue", "QMPAPIError", "QMPSession"]
