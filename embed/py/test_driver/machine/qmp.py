"""QMP, QEMU's machine protocol: the session, implemented in C, its error, and a queue of its events.

embed/machine imports this module when QEMU first refuses a command of a script or a script uses
`qmp_client.pending_events`. Protocol: https://www.qemu.org/docs/master/interop/qmp-spec.html
"""

import queue
from datetime import timedelta

from _test_driver import QMPSession


class QMPAPIError(RuntimeError):
    """QEMU has refused a command. message: QEMU's reply, {"error": {"class": ..., "desc": ...}, "id": ...}."""

    def __init__(self, message):
        super().__init__(message)
        self.class_name = message["error"].get("class")
        self.description = message["error"].get("desc")
        self.transaction_id = message.get("id")

    def __str__(self):
        return f"<QMP API error related to transaction {self.transaction_id} [{self.class_name}]: {self.description}>"


class EventQueue(queue.Queue):
    """`qmp_client.pending_events`: the events that have not been taken yet. An event is taken by get() here, or by
    wait_for_event() or events() of the session, whichever comes first."""

    def __init__(self, session):
        super().__init__()
        self._session = session

    def qsize(self):
        return super().qsize() + self._session._count_events()

    def empty(self):
        return not self.qsize()

    def get(self, block=True, timeout=None):
        if super().qsize():  # events that the script has put into the queue
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
