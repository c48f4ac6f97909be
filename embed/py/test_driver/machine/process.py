"""`machine.process`: the process of one start of a machine, in the form of a subprocess.Popen.

The driver's C code starts, watches and ends the process; the classes here only ask it. embed/machine imports this
module when a script first uses `machine.process`.
"""

import subprocess
from datetime import timedelta

from test_driver.errors import MachineError


class SerialInput:
    """The process's standard input; QEMU passes it to the guest's serial port. ValueError after close(),
    BrokenPipeError after the end of the process."""

    def __init__(self, process):
        self._process = process
        self.closed = False

    def write(self, data):
        if self.closed:
            raise ValueError("write to closed file")
        if self._process.poll() is not None:
            raise BrokenPipeError("the process has ended")
        return self._process._machine._write_to_process(data)

    def flush(self):
        pass

    def close(self):
        self.closed = True


class SerialOutput:
    """The process's standard output as far as lines have not been used yet: the driver reads the output itself, and
    machine.wait_for_console_text() and machine.last_lines take lines from the same store."""

    def __init__(self, process):
        self._process = process
        self.closed = False

    def _take(self, seconds):
        """Waits for a line for that long (None: without limit) and returns it, b"" without one."""
        machine = self._process._machine
        if self.closed or machine.process is not self._process:
            return b""
        try:
            line = machine._take_console_line(seconds)
        except MachineError:  # the machine has ended
            line = None
        return b"" if line is None else line.encode() + b"\n"

    def readline(self):
        return self._take(timedelta(0)) or (self._take(None) if self._process.poll() is None else b"")

    def __iter__(self):
        return iter(self.readline, b"")

    def read(self):
        return b"".join(self)

    def close(self):
        self.closed = True


class Process(subprocess.Popen):
    """The process of one start of a machine: QEMU or systemd-nspawn. After another start of the machine the object
    still stands for the old process.

    machine: the machine. number: the number of the start, from the C code.
    """

    def __init__(self, machine, number):
        self._machine, self._number = machine, number
        self.pid, self.args, _ = machine._describe_process(number)
        self.stdin, self.stderr, self.text_mode = SerialInput(self), None, None
        self.stdout = SerialOutput(self) if hasattr(machine, "_take_console_line") else None

    @property
    def returncode(self):
        """The exit status, or minus the number of the signal that ended the process; None while the process runs."""
        return self._machine._describe_process(self._number)[2]

    def poll(self):
        """Returns `returncode`."""
        return self.returncode

    def wait(self, timeout=None):
        """Waits for the end of the process and returns `returncode`; the machine's state does not change. timeout:
        seconds or a timedelta, None for no limit. subprocess.TimeoutExpired after that time."""
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if not self._machine._wait_for_process(self._number, -1 if seconds is None else max(seconds, 0)):
            raise subprocess.TimeoutExpired(self.args, seconds)
        return self.returncode

    def communicate(self, input=None, timeout=None):
        """Writes the bytes `input`, waits like wait(), and returns (the output that has not been used yet, None)."""
        if input:
            self.stdin.write(input)
        self.wait(timeout)
        return self.stdout.read() if self.stdout else None, None

    def send_signal(self, sig):
        """Sends signal number `sig` to the process; does nothing after its end."""
        self._machine._signal_process(self._number, sig)


__all__ = ["Process", "SerialInput", "SerialOutput"]
