"""The methods of machines in Python, used when a script has replaced a method that they call.

Scripts override methods of machines or replace them by mocks, and expect other methods to call the replacement. The
methods in C do not call each other by name. When a script calls a method and has replaced one that upstream's method
would call, embed/machine/calls.c imports this module and calls the method here instead, on the script's thread.
"""

import os
import re
import struct
import tempfile
import time
import warnings
import zlib
from base64 import b64encode
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

from test_driver.errors import MachineDied, MachineError, RequestedAssertionFailed
from test_driver.machine import key_name, make_command

_LONGEST_ARGUMENT = 100_000  # bytes of an argument of a process in the guest; Linux allows 128 KiB


class _Default(int):
    """The default of a time-out. Overridden methods see upstream's number; the script has not passed it, so the methods
    in C, which warn of bare numbers, get a timedelta in its place."""


_LIMIT = _Default(900)


@contextmanager
def _muted(machine):
    """Keeps the core from logging starts, ends and waits of the machine; the methods here log them through replaceable
    methods."""
    machine._mute(True)
    try:
        yield
    finally:
        machine._mute(False)


def _step(kind, step):
    """The step, which is of a kind in the events if it is the driver's own."""
    return step._be(kind) if hasattr(step, "_be") else step


def _seconds(duration):
    return duration.total_seconds() if hasattr(duration, "total_seconds") else float(duration or 0)


def _of_user(user, text):
    return "" if user is None else text.format(user)


def _apart(stderr):
    """Arguments of execute() for a check. A script's own execute() need not know of standard error."""
    return {"stderr": True} if stderr else {}


def _shown(errors=""):
    """Returns what the error of a command says of its standard error."""
    lines = errors[-4000:].splitlines()[-20:]
    return "; standard error:\n    " + "\n    ".join(lines) if lines else ""


def _unit_ended(machine, unit, user, text):
    """Collects the status and the journal of a unit that has ended; the error, with a note of where they are."""
    error = RequestedAssertionFailed(text)
    path = machine._unit_evidence(f"{unit}", None if user is None else f"{user}")
    if path:
        error.add_note(f"The unit's status and journal are in {path}.")
    return error


def _png_of(ppm):
    """Returns a picture in PPM format (P6, 8 bits a colour) as PNG. MachineError for anything else."""
    header = re.match(rb"P6\s+(?:#.*\n)?(\d+)\s+(\d+)\s+255\s", ppm)
    if not header:
        raise MachineError("Cannot convert screenshot: it is no PPM picture")
    width, height = map(int, header.groups())
    rows = (ppm[at:at + 3 * width] for at in range(header.end(), header.end() + 3 * width * height, 3 * width))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
              (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)


class _Calls:
    """The methods. Each has the parameters, steps and calls of upstream's method of that name; the table in
    embed/machine/calls.c lists the calls. `own`: the method in C, which calls no other method. `self`: the machine.
    Waits look once a second, as upstream's do. The docstrings of the methods in C document the parameters."""

    # ---- the log

    def log(own, self, msg):
        self.logger.log(msg, {"machine": self.name})

    def log_serial(own, self, msg):
        self.logger.log_serial(msg, self.name)

    def nested(own, self, msg, attrs={}):
        return self.logger.nested(msg, {"machine": self.name, **attrs})

    # ---- life

    def cleanup_statedir(own, self):
        with _muted(self):
            own(self)
        self.log(f"deleting machine state directory {self.state_dir}")
        self.log("if you want to keep the machine state, pass --keep-machine-state")

    def start(own, self, *args, **named):
        if self.booted:
            return
        if hasattr(self, "connect"):
            self.log("starting vm")
        with _muted(self):
            own(self, *args, **named)
        self.log(f"{'QEMU' if hasattr(self, 'connect') else 'systemd-nspawn'} running (pid {self.pid})")

    def connect(own, self):
        if self.connected:
            return
        with _step("boot", self.nested("waiting for the VM to finish booting")):
            self.start()
            began = time.monotonic()
            with _muted(self):
                own(self)
            self.log(f"connected to guest {self._channel}")
            self.log(f"(connecting took {time.monotonic() - began:.2f} seconds)")

    def wait_for_shutdown(own, self, timeout=None):
        if not self._has_end():
            return own(self, timeout)
        kind = "VM" if hasattr(self, "connect") else "container"
        with _step("stop", self.nested(f"waiting for the {kind} to power off")), _muted(self):
            own(self, timeout)

    def shutdown(own, self):
        if self._begin_end(True):
            self.wait_for_shutdown()

    def crash(own, self):
        if self._begin_end(False):
            self.log("forced crash")
            self.send_monitor_command("quit")
            self.wait_for_shutdown()

    def reboot(own, self):
        self.send_key("ctrl-alt-delete")
        self.connected = False

    def switch_root(own, self):
        self.wait_for_unit("initrd.target")
        self.execute("systemctl isolate --no-block initrd-switch-root.target 2>/dev/null >/dev/null",
                     check_return=False, check_output=False)
        self.connected = False
        self.connect()

    # ---- commands

    def _execute(own, self, command, check_return=True, check_output=True, timeout=_LIMIT, **named):
        (self.connect if hasattr(self, "connect") else self.start)()
        limit = timedelta(seconds=timeout) if isinstance(timeout, _Default) else timeout
        return own(self, command, check_return, check_output, limit, **named)

    def execute(own, self, command, check_return=True, check_output=True, timeout=_LIMIT, **named):
        self.run_callbacks()
        return self._execute(command=command, check_return=check_return, check_output=check_output, timeout=timeout, **named)

    def succeed(own, self, *commands, timeout=None, stderr=False):
        output = ""
        for command in commands:
            with _step("command", self.nested(f"must succeed: {command}")):
                status, out, *errors = self.execute(command, timeout=timeout, **_apart(stderr))
                if status != 0:
                    self.log(f"output: {out}")
                    raise RequestedAssertionFailed(f"command `{command}` failed (exit code {status}){_shown(*errors)}")
                output += out
        return output

    def fail(own, self, *commands, timeout=None, stderr=False):
        output = ""
        for command in commands:
            with _step("command", self.nested(f"must fail: {command}")):
                status, out, *errors = self.execute(command, timeout=timeout, **_apart(stderr))
                if status == 0:
                    raise RequestedAssertionFailed(f"command `{command}` unexpectedly succeeded{_shown(*errors)}")
                output += out
        return output

    def _until(self, step, limit, attempt):
        """Waits until attempt(last) is true; `last` tells it that the time is over. step: the text in the log. limit:
        the time-out, see retry()."""
        with _step("wait", self.nested(step)):
            self._retry(step, attempt, limit)

    def _until_status(self, step, limit, command, succeeds, **named):
        """Waits until `command` succeeds, or fails if `succeeds` is False; returns the output of its last run. named:
        further arguments of execute()."""
        output = ""

        def attempt(last):
            nonlocal output
            status, output = self.execute(command, **named)
            return (status == 0) == succeeds

        _Calls._until(self, step, limit, attempt)
        return output

    def wait_until_succeeds(own, self, command, timeout=_LIMIT):
        return _Calls._until_status(self, f"waiting for success: {command}", timeout, command, True, timeout=timeout)

    def wait_until_fails(own, self, command, timeout=_LIMIT):
        return _Calls._until_status(self, f"waiting for failure: {command}", timeout, command, False, timeout=timeout)

    def sleep(own, self, secs=None, duration=None):
        duration = secs if duration is None else duration
        if duration is None:
            raise TypeError("sleep() needs a duration")
        self.succeed(f"sleep {duration if isinstance(duration, str) else _seconds(duration)}")

    # ---- units

    def systemctl(own, self, q, user=None):
        if user is None:
            return self.execute(f"systemctl {q}")
        escaped = str(q).replace("'", "\\'")
        return self.execute(
            f"su -l {user} --shell /bin/sh -c $'XDG_RUNTIME_DIR=/run/user/`id -u` systemctl --user {escaped}'")

    def start_job(own, self, jobname, user=None):
        return self.systemctl(f"start {jobname}", user)

    def stop_job(own, self, jobname, user=None):
        return self.systemctl(f"stop {jobname}", user)

    def get_unit_info(own, self, unit, user=None):
        status, lines = self.systemctl(f'--no-pager show "{unit}"', user)
        if status != 0:
            raise RequestedAssertionFailed(f'retrieving systemctl info for unit "{unit}"'
                                           + _of_user(user, ' under user "{}"') + f" failed with exit code {status}")
        return dict(match.groups() for line in lines.split("\n") if (match := re.match("([^=]+)=(.*)$", line)))

    def get_unit_property(own, self, unit, property, user=None):
        status, lines = self.systemctl(f'--no-pager show "{unit}" --property="{property}"', user)
        if status != 0:
            raise RequestedAssertionFailed(f'retrieving systemctl property "{property}" for unit "{unit}"'
                                           + _of_user(user, ' under user "{}"') + f" failed with exit code {status}")
        match = re.match("([^=]+)=(.*)", lines)
        if not match or match[1] != property:
            raise RequestedAssertionFailed(f'systemctl show --property "{property}" "{unit}"produced invalid output: {lines}')
        return match[2]

    def require_unit_state(own, self, unit, require_state="active"):
        with _step("check", self.nested(f"checking if unit '{unit}' has reached state '{require_state}'")):
            state = self.get_unit_info(unit).get("ActiveState", "unknown")
            if state != require_state:
                raise RequestedAssertionFailed(
                    f"Expected unit '{unit}' to to be in state '{require_state}' but it is in state '{state}'")

    def wait_for_unit(own, self, unit, user=None, timeout=_LIMIT):
        def attempt(last):
            try:
                state = self.get_unit_property(unit, "ActiveState", user)
            except RequestedAssertionFailed as error:
                if last or "produced invalid output" not in str(error):
                    raise
                return False  # systemctl printed nothing about the unit, as while the bus starts again
            if state == "failed":
                raise _unit_ended(self, unit, user, f'unit "{unit}" reached state "{state}"')
            if state == "inactive" and "No jobs" in self.systemctl("list-jobs --full 2>&1", user)[1]:
                if self.get_unit_info(unit, user).get("ActiveState") == state:
                    raise _unit_ended(self, unit, user, f'unit "{unit}" is inactive and there are no pending jobs')
            return state == "active"

        _Calls._until(self, f"waiting for unit {unit}" + _of_user(user, " with user {}"), timeout, attempt)

    # ---- files, ports, the desktop

    def wait_for_file(own, self, filename, timeout=_LIMIT):
        _Calls._until_status(self, f"waiting for file '{filename}'", timeout, f"test -e {filename}", True)

    def wait_for_open_port(own, self, port, addr="localhost", timeout=_LIMIT):
        _Calls._until_status(self, f"waiting for TCP port {port} on {addr}", timeout, f"nc -z {addr} {port}", True)

    def wait_for_closed_port(own, self, port, addr="localhost", timeout=_LIMIT):
        _Calls._until_status(self, f"waiting for TCP port {port} on {addr} to be closed", timeout,
                             f"nc -z {addr} {port}", False)

    def wait_for_open_unix_socket(own, self, addr, is_datagram=False, timeout=_LIMIT):
        kind, flag = ("datagram", "-uU") if is_datagram else ("stream", "-U")
        _Calls._until_status(self, f"waiting for UNIX-domain {kind} on '{addr}'", timeout, f"nc -z {flag} {addr}", True)

    def wait_for_x(own, self, timeout=_LIMIT):
        def attempt(last):
            target = 'journalctl -b SYSLOG_IDENTIFIER=systemd | grep "Reached target Current graphical"'
            return self.execute(target)[0] == 0 and self.execute("[ -e /tmp/.X11-unix/X0 ]")[0] == 0

        _Calls._until(self, "waiting for the X11 server", timeout, attempt)

    def get_window_names(own, self):
        return self.succeed(r"""xwininfo -root -tree | sed 's/.*0x[0-9a-f]* \"\([^\"]*\)\".*/\1/; t; d'""").splitlines()

    def wait_for_window(own, self, regexp, timeout=_LIMIT):
        pattern = re.compile(regexp)

        def attempt(last):
            names = self.get_window_names()
            if last:
                self.log(f"Last chance to match {regexp} on the window list, which currently contains: " + ", ".join(names))
            return any(map(pattern.search, names))

        _Calls._until(self, "waiting for a window to appear", timeout, attempt)

    def copy_from_host(own, self, source, target):
        self._copy_by(self.succeed, True, source, target)

    def copy_from_machine(own, self, source, target_dir=""):
        self._copy_by(self.succeed, False, source, target_dir)

    def copy_from_host_via_shell(own, self, source, target):
        content = b64encode(Path(source).read_bytes()).decode()
        if len(content) > _LONGEST_ARGUMENT:
            return own(self, source, target)
        self.succeed(f"mkdir -p $(dirname {target})", f"echo -n {content} | base64 -d > {target}")

    def copy_from_vm(own, self, source, target_dir=""):
        warnings.warn("Use copy_from_machine() instead", DeprecationWarning, stacklevel=2)
        self.copy_from_machine(source, target_dir)

    # ---- console, keyboard and screen

    def get_tty_text(own, self, tty):
        return self.execute(f"fold -w$(stty -F /dev/tty{tty} size | awk '{{print $2}}') /dev/vcs{tty}")[1]

    def dump_tty_contents(own, self, tty):
        self.execute(f"fold -w 80 /dev/vcs{tty} | systemd-cat")

    def wait_until_tty_matches(own, self, tty, regexp, timeout=_LIMIT):
        pattern = re.compile(regexp)

        def attempt(last):
            text = self.get_tty_text(tty)
            if last:
                self.log(f"Last chance to match /{regexp}/ on TTY{tty}, which currently contains: {text}")
            return pattern.search(text)

        _Calls._until(self, f"waiting for {regexp} to appear on tty {tty}", timeout, attempt)

    def wait_for_console_text(own, self, regex, timeout=None):
        with _step("wait", self.nested(f"waiting for {regex} to appear on console")), _muted(self):
            own(self, regex, timeout)

    def send_monitor_command(own, self, command):
        if not self.booted:
            return own(self, command)
        self.run_callbacks()
        self.monitor.send(f"{command}\n".encode())
        try:
            return self.wait_for_monitor_prompt()
        except MachineDied:  # the command has ended QEMU
            return ""

    def forward_port(own, self, host_port=8080, guest_port=80):
        self.send_monitor_command(f"hostfwd_add tcp::{host_port}-:{guest_port}")

    def block(own, self):
        self.send_monitor_command("set_link virtio-net-pci.1 off")

    def unblock(own, self):
        self.send_monitor_command("set_link virtio-net-pci.1 on")

    def send_key(own, self, key, delay=0.01, log=True):
        key = key_name(key)
        with _step("keys", self.nested(f"sending key {key!r}")) if log else nullcontext():
            self.send_monitor_command(f"sendkey {key}")
            time.sleep(_seconds(delay))

    def send_chars(own, self, chars, delay=0.01):
        with _step("keys", self.nested(f"sending keys {chars!r}")):
            for char in chars:
                self.send_key(char, delay, log=False)

    @contextmanager
    def _managed_screenshot(own, self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "ppm"
            self.send_monitor_command(f"screendump {path}")
            yield path

    def screenshot(own, self, filename):
        filename = os.fspath(filename)
        filename += "" if "." in filename else ".png"
        path = self.out_dir / filename if "/" not in filename else Path(filename)
        with _step("screen", self.nested(f"making screenshot {path}", {"image": path.name})):
            with self._managed_screenshot() as picture:
                path.write_bytes(_png_of(picture.read_bytes()))

    def get_screen_text(own, self):
        with self._managed_screenshot() as path:
            return self._read_picture(path, False)[0]

    def get_screen_text_variants(own, self):
        with self._managed_screenshot() as path:
            return self._read_picture(path, True)

    def wait_for_text(own, self, regex, timeout=_LIMIT):
        def attempt(last):
            texts = self.get_screen_text_variants()
            found = any(re.search(regex, text) for text in texts)
            if last and not found:
                self.log(f"Last OCR attempt failed. Text was: {texts}")
            return found

        _Calls._until(self, f"waiting for {regex} to appear on screen", timeout, attempt)
