"""What the scripts of the measurements share. They run in the driver to be measured."""

import json
import os
import socket
import struct
import time

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
HOST = "10.0.2.2"  # the host's loopback, seen from QEMU's user network


def report(results):
    """Hands figures, by name, to the caller of the driver; a second call replaces the first."""
    with open(os.environ["BENCH_RESULT"], "w") as file:
        json.dump(results, file)


def duration(function, *arguments):
    """How long a call takes, in ms."""
    began = time.perf_counter()
    function(*arguments)
    return (time.perf_counter() - began) * 1e3


class Notices:
    """Tells when something happens in a guest. The guest sends a datagram, by a builtin of bash,
    through QEMU's user network to this process, and the host's kernel notes when it came: one
    clock, and no thread that competes with what is measured."""

    def __init__(self, machine):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.settimeout(30)
        self.socket.bind(("127.0.0.1", 0))
        self.command = f"echo > /dev/udp/{HOST}/{self.socket.getsockname()[1]}"
        machine.succeed(self.command)  # the first packet waits for an address to be resolved
        self.receive()

    def receive(self):
        """The time of the next notice, comparable with time.time()."""
        ancillary = self.socket.recvmsg(16, socket.CMSG_SPACE(16))[1]
        seconds, nanoseconds = struct.unpack("@ll", ancillary[0][2])
        return seconds + nanoseconds / 1e9

    def since(self):
        """How long ago the next notice came, in ms."""
        now = time.time()
        return (now - self.receive()) * 1e3


class Turn:
    """`with Turn():` waits until no other driver measures, and lets the next one in at the end."""

    mine = next = None

    def __enter__(self):
        if not Turn.mine:
            Turn.mine, Turn.next = [
                open(os.environ[name], "r+b", buffering=0) for name in ("BENCH_TURN", "BENCH_NEXT")
            ]
        self.mine.read(1)

    def __exit__(self, *exception):
        self.next.write(b"x")
