"""The process of one start of a machine, as subprocess.Popen shows it. The driver starts, watches and ends it."""

import subprocess
from datetime import timedelta

from test_driver.errors import MachineError


class SerialInput:
    """The process's standard input: for QEMU, the guest's serial port."""

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
    """The process's standard output, which the driver reads: the lines that nothing has used yet."""

    def __init__(self, process):
        self._process = process
        self.closed = False

    def _take(self, seconds):
        machine = self._process._machine
        if self.closed or machine.process is not self._process:
            return b""
        try:
            line = machine._take_console_line(seconds)
        except MachineError:  # the end
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
    """A machine's process, QEMU's or systemd-nspawn's. It stays what it is when the machine is started again."""

    def __init__(self, machine, number):
        self._machine, self._number = machine, number
        self.pid, self.args, _ = machine._describe_process(number)
        self.stdin, self.stderr, self.text_mode = SerialInput(self), None, None
        self.stdout = SerialOutput(self) if hasattr(machine, "_take_console_line") else None

    @property
    def returncode(self):
        """The exit status, or minus the signal; None while the process runs."""
        return self._machine._describe_process(self._number)[2]

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        """Waits for the end, and does nothing to the machine: the exit status."""
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if not self._machine._wait_for_process(self._number, -1 if seconds is None else max(seconds, 0)):
            raise subprocess.TimeoutExpired(self.args, seconds)
        return self.returncode

    def communicate(self, input=None, timeout=None):
        """Writes `input`, waits for the end, and returns the output that nothing has used yet."""
        if input:
            self.stdin.write(input)
        self.wait(timeout)
        return self.stdout.read() if self.stdout else None, None

    def send_signal(self, sig):
        self._machine._signal_process(self._number, sig)


__all__ = ["Process", "SerialInput", "SerialOutput"]
