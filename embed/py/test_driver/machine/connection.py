"""The sockets of a machine's shell, monitor and QMP, for scripts that speak to them by themselves."""

import socket


class Connection(socket.socket):
    """Receives what is no answer to the driver; what is sent goes to the guest or to QEMU, before what the driver sends
    after that. A time-out also bounds how long the driver waits for an answer at this place: its commands then raise
    TimeoutError. Closing it closes the script's end; the driver's own connection stays."""

    _limit = None

    def settimeout(self, value):
        super().settimeout(value)
        if self._limit:
            self._limit(self.gettimeout() or 0)

    def setblocking(self, flag):
        self.settimeout(None if flag else 0)


def connection(fileno, limit=None):
    made = Connection(fileno=fileno)
    made._limit = limit
    return made


__all__ = ["Connection", "connection"]
