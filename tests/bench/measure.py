"""Functions for the scripts of the measurements (scripts/), which run in the driver that is measured."""

import json
import os
import socket
import struct
import time

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
HOST = "10.0.2.2"  # the host's loopback, seen from QEMU's user network


def report(results):
    """Passes figures, {name: number}, to the program that has started the driver; a second call replaces the first."""
    with open(os.environ["BENCH_RESULT"], "w") as file:
        json.dump(results, file)


def duration(function, *arguments):
    """Returns the duration of a call in ms."""
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
        machine.succeed(self.command)  # resolves the address, for which a first packet would wait
        self.receive()

    def receive(self):
        """Waits for the next notice and returns when it came, comparable with time.time()."""
        ancillary = self.socket.recvmsg(16, socket.CMSG_SPACE(16))[1]
        seconds, nanoseconds = struct.unpack("@ll", ancillary[0][2])
        return seconds + nanoseconds / 1e9

    def since(self):
        """Waits for the next notice and returns how long ago it came, in ms."""
        now = time.time()
        return (now - self.receive()) * 1e3


class Turn:
    """Within `with Turn():` no other driver measures: the beginning waits for the turn, the end passes it on."""

    mine = next = None

    def __enter__(self):
        if not Turn.mine:
            Turn.mine, Turn.next = [
                open(os.environ[name], "r+b", buffering=0) for name in ("BENCH_TURN", "BENCH_NEXT")
            ]
        self.mine.read(1)

    def __exit__(self, *exception):
        self.next.write(b"x")
