"""The root shell's channel of the fake machine, between QEMU's socket and the bash that is the guest."""

import contextlib
import os
import secrets
import signal
import socket
import threading
import time
from pathlib import Path

from fake_settings import setting


class Wire:
    """Joins `outer`, the socket to the driver, with `guest`, the one that bash has. The guest never has `outer` itself:
    once this process is killed, nothing of the guest reaches the driver any more, as with QEMU. Nothing passes while
    `runs`, an event, is not set, since a guest that is stopped neither reads nor writes."""

    def __init__(self, outer, runs):
        self.outer, self.runs = outer, runs
        self.guest, self.ours = socket.socketpair()
        self.is_whole = True  # whether what was written to bash ends with a line's end
        self.age = 0  # counts the states that were loaded; what was written in an older one is dropped
        self.token, self.dropped, self.settled = None, b"", threading.Event()
        for forward in self.forward_to_guest, self.forward_to_host:
            threading.Thread(target=forward, daemon=True).start()

    def forward_to_guest(self):
        lag = float(setting("LAG") or 0)
        with contextlib.suppress(OSError):  # one side hung up
            while data := self.outer.recv(65536):
                time.sleep(lag)
                self.runs.wait()
                self.is_whole = data.endswith(b"\n")
                self.ours.sendall(data)
            self.ours.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            self.outer.shutdown(socket.SHUT_RD)

    def forward_to_host(self):
        size = int(setting("CHUNK") or 65536)
        with contextlib.suppress(OSError):
            while data := self.ours.recv(65536):
                age = self.age
                data = self.behind_token(data)
                while not self.runs.wait(0.02) and age == self.age:
                    pass
                for start in range(0, len(data) if age == self.age else 0, size):
                    self.outer.sendall(data[start : start + size])
            self.outer.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            self.ours.shutdown(socket.SHUT_RD)

    def behind_token(self, data):
        if not self.token:
            return data
        self.dropped += data
        _, token, data = self.dropped.partition(self.token)
        if token:
            self.token = None
            self.settled.set()
        return data

    def settle(self, seconds):
        """Drops what bash has written and the driver has not got. Returns whether bash is idle, which it proves by an
        answer within so many seconds. Else drain() has to follow, when it has ended."""
        token = secrets.token_hex(16).encode() + b"\n"
        self.dropped, self.token = b"", token
        self.settled.clear()
        self.age += 1
        command = b"echo " + token
        try:
            return (self.is_whole and self.ours.send(command, socket.MSG_DONTWAIT) == len(command)
                    and self.settled.wait(seconds))
        except BlockingIOError:
            return False

    def drain(self):
        """Drops what one bash has left, before the next one begins."""
        for end in self.guest, self.ours:
            with contextlib.suppress(BlockingIOError):
                while end.recv(65536, socket.MSG_DONTWAIT):
                    pass
        self.token, self.is_whole = None, True


def processes_of(session):
    """The processes of the session that this process leads, without it."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[3]) == session:
                found.append(int(name))
    return [pid for pid in found if pid != session]


def kill(processes):
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
