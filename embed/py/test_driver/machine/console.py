"""The serial console in the form of older drivers: a queue of lines, and a thread that seems to read them.

embed/machine imports this module when a script uses `machine.last_lines` or `machine.serial_thread`.
"""

import queue
import subprocess
from datetime import timedelta


class LastLines(queue.Queue):
    """`machine.last_lines`: the console's lines that have not been used yet. A line is used by get() here or by
    machine.wait_for_console_text(), whichever comes first."""

    def __init__(self, machine):
        super().__init__()
        self._machine = machine

    def get(self, block=True, timeout=None):
        if super().qsize():  # lines that the script has put into the queue
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
    """Takes over the object that a script sets as machine.last_lines, and returns it. The lines so far count as used;
    a plain queue.Queue gets the lines that come later."""
    if type(lines) is queue.Queue:
        lines.__class__ = LastLines
        lines._machine = machine
    while machine._take_console_line(timedelta(0)) is not None:
        pass
    return lines


class SerialThread:
    """`machine.serial_thread`: alive for as long as the QEMU of one start runs. There is no such thread; the loop
    thread reads the console."""

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
