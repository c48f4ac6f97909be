"""The serial console as older drivers show it: a queue of lines, a thread that reads them."""

import queue
import subprocess
from datetime import timedelta


class LastLines(queue.Queue):
    """The console's lines that nothing has used yet; machine.wait_for_console_text() takes them from here, too."""

    def __init__(self, machine):
        super().__init__()
        self._machine = machine

    def get(self, block=True, timeout=None):
        if super().qsize():  # put there by the script
            return super().get(block, timeout)
        line = self._machine._take_console_line(timeout if block else 0)
        if line is None:
            raise queue.Empty
        return line

    def get_nowait(self):
        return self.get(block=False)

    def qsize(self):
        return super().qsize() + self._machine._count_console_lines()

    def empty(self):
        return not self.qsize()


def adopt(machine, lines):
    """What a script sets as machine.last_lines: an ordinary queue gets the lines from now on."""
    if type(lines) is queue.Queue:
        lines.__class__ = LastLines
        lines._machine = machine
    while machine._take_console_line(timedelta(0)) is not None:
        pass
    return lines


class SerialThread:
    """What reads the console, for as long as QEMU runs."""

    def __init__(self, machine):
        self._process = machine.process

    def is_alive(self):
        return self._process.poll() is None

    def join(self, timeout=None):
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass


__all__ = ["LastLines", "SerialThread", "adopt"]
