"""What scripts write to a terminal on which the log has a last line that says what the run waits for.

The line has to go before something else is written, else that would stand in it. So the lowest part of sys.stdout and
sys.stderr, where they are terminals, tells the core before it writes; what is above, such as buffers, is as Python makes
it. embed/log calls watch() before the script runs, on the main thread.
"""

import io
import os
import sys

from _test_driver import make_way


class _Terminal(io.FileIO):
    """A terminal that belongs to the log, too."""

    def write(self, data, /):
        make_way(bytes(memoryview(data)[-1:]) == b"\n")
        return super().write(data)


def _watched(stream, number):
    """A text stream like `stream`, which writes to the descriptor `number`; `stream` itself if that is no terminal."""
    if stream is None or stream.fileno() != number or not os.isatty(number):
        return stream
    stream.flush()
    raw = _Terminal(number, "wb", closefd=False)
    raw.name = stream.name
    watched = io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, stream.errors, "\n", True)
    watched.mode = "w"
    return watched


def watch():
    """Has sys.stdout and sys.stderr tell of what they write."""
    sys.stdout = sys.__stdout__ = _watched(sys.stdout, 1)
    sys.stderr = sys.__stderr__ = _watched(sys.stderr, 2)
