"""Sockets through which scripts speak to a machine's shell, monitor or QMP themselves.

embed/machine imports this module when a script first uses `machine.shell`, `machine.monitor` or `qmp_client.sock`.
"""

import socket


class Connection(socket.socket):
    """The script's end of a socket pair; the driver passes bytes between the other end and its own connection.

    The script receives all bytes that are not an answer to the driver. Bytes that the script sends reach the guest or
    QEMU before anything that the driver sends later. A time-out of the socket also limits how long the driver waits
    for answers on its connection: commands then raise TimeoutError. close() closes only the script's end.
    """

    _limit = None  # a function that tells the driver of the time-out, in seconds; 0: none

    def settimeout(self, value):
        super().settimeout(value)
        if self._limit:
            self._limit(self.gettimeout() or 0)

    def setblocking(self, flag):
        self.settimeout(None if flag else 0)


def connection(fileno, limit=None):
    """Makes the Connection of descriptor `fileno`, which it owns from then on. limit: see Connection._limit."""
    made = Connection(fileno=fileno)
    made._limit = limit
    return made


__all__ = ["Connection", "connection"]
