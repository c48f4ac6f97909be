"""machine.shell_interact() and machine.console_interact(): they connect a person's terminal to a machine.

Where commands run over SSH, the person's shell is a login shell on a terminal that sshd makes. Elsewhere it is not the
root shell on hvc0, which stays free for commands: the driver plugs one more virtual
console into QEMU for the time of the interaction and has the guest start a shell with that console as its controlling
terminal. Thus the guest's kernel edits lines and turns Ctrl-C into a signal, and bash has job control.

Nothing tells which /dev/hvcN the new console is in the guest. The driver therefore has the guest write a mark with the
name of each console but hvc0 to that console, until a mark arrives at the driver's end. When the shell ends, the guest
writes another mark, which ends the interaction. If the person leaves first, the driver unplugs the console, and the
guest's kernel sends the shell SIGHUP.

embed/machine imports this module for the first such call; it runs on the script's thread that calls, usually the main
thread at a prompt.
"""

import codecs
import contextlib
import datetime
import os
import secrets
import select
import shlex
import shutil
import socket
import subprocess
import termios
import time

from _test_driver import open_terminal, show_serial
from test_driver.errors import MachineError

LEAVE = b"\x1d"  # Ctrl-]
MARK = b"\x1e"  # begins the guest's messages to the driver, which the person does not see
ATTACH_SECONDS = 30  # limit of each command in the guest and of each answer
WRITE_SECONDS = 5  # a guest that takes no keys for this long loses them
CHUNK = 1 << 16  # bytes of one read
BACKLOG = 64 << 20  # bytes of output that wait for a slow terminal; beyond, the guest has to wait


# ---- the person's side


class _Terminal:
    """The terminal at standard input. Within the `with` block every key goes to the guest, and the log shows no console
    lines. The terminal is opened a second time, because O_NONBLOCK on the inherited descriptor would reach the other
    programs that share it."""

    def __enter__(self):
        self.fd = os.open("/proc/self/fd/0", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.mode = termios.tcgetattr(self.fd)
        raw = termios.tcgetattr(self.fd)
        raw[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.IXON)
        raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
        termios.tcsetattr(self.fd, termios.TCSADRAIN, raw)
        self.shown = show_serial(False)
        return self

    def __exit__(self, *_):
        show_serial(self.shown)
        with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
            os.write(self.fd, b"\x1b[?2004l\r\n")  # turns off bracketed paste, which the guest's bash turned on
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self.mode)
        os.close(self.fd)

    def size(self):
        return os.get_terminal_size(self.fd)

    def read(self):
        """Returns the keys that were pressed, perhaps none; LEAVE when the terminal is gone."""
        try:
            return os.read(self.fd, CHUNK) or LEAVE
        except BlockingIOError:
            return b""
        except OSError:
            return LEAVE  # hung up

    def write(self, data):
        """Writes as much of `data` as the terminal takes now and returns the rest."""
        try:
            return data[os.write(self.fd, data):]
        except BlockingIOError:
            return data


def _need_terminal(machine, what):
    if not os.isatty(0):
        raise MachineError(f"machine '{machine.name}': {what} needs a terminal, and standard input is none")


def _exchange(terminal, guest):
    """Passes bytes to and fro until the person leaves (returns True) or the guest's side ends (returns False).

    terminal: a _Terminal. guest: an object with read(), write(keys), resize(size), `ended`, `fd` (None: nothing to
    poll) and `interval` (milliseconds after which the guest and the terminal's size are looked at again).
    """
    pending, size = b"", terminal.size()
    while pending or not guest.ended:
        listens = not guest.ended and len(pending) <= BACKLOG
        poll = select.poll()
        poll.register(terminal.fd, select.POLLIN | (select.POLLOUT if pending else 0))
        if listens and guest.fd is not None:
            poll.register(guest.fd, select.POLLIN)
        poll.poll(guest.interval)
        keys, leaves, _ = terminal.read().partition(LEAVE)
        if size != terminal.size():
            size = terminal.size()
            guest.resize(size)
        if keys and not guest.ended:
            guest.write(keys)
        if leaves:
            return True
        if listens:
            pending += guest.read()
        if pending:
            pending = terminal.write(pending)
    return False


# ---- a console of its own


class _Stream:
    """The part of _exchange()'s shells that come by a socket: `socket`, which does not block once they run."""

    interval = 1000  # ms; see _exchange()
    ended = False

    @property
    def fd(self):
        return self.socket.fileno()

    def receive(self):
        """Returns what has come, perhaps nothing, and notes in `ended` that the connection has ended."""
        try:
            data = self.socket.recv(CHUNK)
        except BlockingIOError:
            return b""
        except ConnectionError:
            data = b""
        self.ended = not data
        return data

    def write(self, keys):
        with contextlib.suppress(OSError):  # receive() notices the end of the connection
            self.socket.settimeout(WRITE_SECONDS)
            self.socket.sendall(keys)
        self.socket.setblocking(False)


class _Console(_Stream):
    """One more virtual console of a connected machine, plugged in for the time of the `with` block."""

    def __init__(self, machine):
        self.machine, self.id = machine, f"interact-{secrets.token_hex(4)}"
        self.mark = f"{MARK.decode()}{secrets.token_hex(8)} "
        self.tty = None  # the console's path in the guest
        self.held = b""  # bytes received but not yet handed out

    def __enter__(self):
        path = self.machine.shell_path
        path = path.with_name(f"{path.name.removesuffix('shell')}tty")
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
            listener.bind(str(path))
            stack.callback(path.unlink)
            listener.listen()
            listener.settimeout(ATTACH_SECONDS)
            address = {"type": "unix", "data": {"path": str(path)}}
            self._qmp("chardev-add", id=self.id, backend={"type": "socket", "data": {"addr": address, "server": False}})
            self.socket, _ = listener.accept()
        try:
            self._qmp("device_add", driver="virtconsole", id=self.id, chardev=self.id)
            self._find()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """Unplugs the console, so that the guest's shell gets SIGHUP."""
        self.socket.close()
        with contextlib.suppress(Exception):  # QEMU, or the device, may be gone
            self._qmp("device_del", id=self.id)
        for _ in range(50):
            try:
                return self._qmp("chardev-remove", id=self.id)
            except Exception:  # the character device is busy until QEMU has freed the console, a little later
                if not self.machine.booted:
                    return
                time.sleep(0.02)

    def _qmp(self, command, **arguments):
        client = self.machine.qmp_client
        if not client:
            raise MachineError(f"machine '{self.machine.name}' is not running")
        client.send(command, arguments)

    def _find(self):
        """Finds the console's name in the guest. MachineError if it does not appear in time."""
        end = time.monotonic() + ATTACH_SECONDS
        while not (name := self._heard(0.1)):
            if time.monotonic() > end:
                raise MachineError(f"machine '{self.machine.name}': one more virtual console (virtconsole) did not "
                                   f"appear in the guest within {ATTACH_SECONDS} seconds")
            self._run(f"""for tty in /dev/hvc[1-9]*; do
                if [ -c "$tty" ]; then printf '{self.mark}%s;' "$tty" > "$tty"; fi
            done 2> /dev/null || true""")
        self.tty = name

    def _heard(self, seconds):
        """Returns the word that the guest sends behind a mark, or None if none arrives within `seconds`."""
        end = time.monotonic() + seconds
        while b";" not in self.held.partition(self.mark.encode())[2]:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(CHUNK)
            except TimeoutError:
                return None
            if not data:
                raise MachineError(f"machine '{self.machine.name}' has ended")
            self.held = (self.held + data)[-CHUNK:]
        word, _, self.held = self.held.partition(self.mark.encode())[2].partition(b";")
        return word.decode(errors="replace")

    def _run(self, command):
        return self.machine.execute(command, timeout=datetime.timedelta(seconds=ATTACH_SECONDS))

    def start(self, shell, mode):
        """Has the guest start the command `shell` as the leader of a session on the console, set up by the stty words
        `mode`, and write a mark when the shell has ended. The guest keeps the console open all the time, since a
        terminal that no process has open loses its mode. MachineError if the shell does not start in time."""
        self._run(f"""set +e
            (exec < {self.tty} > {self.tty} 2>&1
            unset PS1 PAGER; export TERM={shlex.quote(os.environ.get("TERM", "linux"))}
            stty {mode}
            printf '{self.mark}started;'
            setsid -c {shell}
            [ $? = 129 ] || # the console is gone
            printf '{self.mark}ended;' > {self.tty}) < /dev/null > /dev/null 2>&1 &""")
        while (said := self._heard(ATTACH_SECONDS)) != "started":
            if not said:
                raise MachineError(f"machine '{self.machine.name}': no shell within {ATTACH_SECONDS} seconds")
        self.socket.setblocking(False)

    # ---- for _exchange()

    def read(self):
        """Returns the shell's output, perhaps none, and notes in `ended` that the shell or the machine has ended."""
        mark = self.mark.encode()
        self.held += self.receive()
        data, found, _ = self.held.partition(mark)
        self.ended |= bool(found)
        at = data.rfind(MARK)  # a mark may have arrived in part, at the end of the data
        cut = at if at >= 0 and mark.startswith(data[at:]) else len(data)
        self.held = data[cut:]
        return data[:cut]

    def resize(self, size):
        if self.machine.connected:
            with contextlib.suppress(Exception):
                self._run(f"stty rows {size.lines} cols {size.columns} < {self.tty}")


class _LoginShell(_Stream):
    """A login shell on a terminal that the machine's channel has started; `fd` has the terminal's bytes."""

    def __init__(self, fd):
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Hangs up."""
        self.socket.close()

    # ---- for _exchange()

    read = _Stream.receive

    def resize(self, size):
        """A terminal of a channel keeps the size that it began with."""


def shell(machine):
    """Connects the terminal to a new shell in the guest until the person or the shell leaves: shell_interact() without
    an address. MachineError without a terminal or if the shell cannot be started."""
    _need_terminal(machine, "shell_interact() without an address")
    machine.connect()
    size = os.get_terminal_size(0)
    fd = open_terminal(machine, size.lines, size.columns)
    with _Console(machine) if fd is None else _LoginShell(fd) as guest:
        if fd is None:
            guest.start("bash -i", f"rows {size.lines} cols {size.columns}")
        machine.log("Terminal is ready, Ctrl-] leaves it")
        with _Terminal() as terminal:
            left = _exchange(terminal, guest)
        machine.log("Left the terminal" if left else "The shell has ended")


def shell_at(machine, address):
    """Connects socat's address `address` to a new shell in the guest, without prompt and echo, for a program or another
    terminal. Returns when either side has ended or on Ctrl-C. MachineError without socat or if the shell cannot be
    started."""
    if not shutil.which("socat"):
        raise MachineError(f"machine '{machine.name}': shell_interact() with an address needs the program socat, which "
                           "is not on PATH")
    machine.connect()
    with _Console(machine) as console:
        console.start(f"bash --norc {console.tty}", "raw -echo")
        console.socket.setblocking(True)
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends the interaction, not the test
            subprocess.run(["socat", address, f"FD:{console.fd}"], pass_fds=[console.fd])


# ---- the serial console


class _Serial:
    """The serial console of a machine. Its output is read from the file that the driver writes it to."""

    fd, interval = None, 30  # ms; see _exchange()
    ended = False

    def __init__(self, machine):
        self.machine = machine
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __enter__(self):
        self.file = open(self.machine.state_dir / "console.log", "rb", buffering=0)
        end = self.file.seek(0, os.SEEK_END)
        self.file.seek(max(0, end - 4096))
        begun = self.file.read(4096).rpartition(b"\n")[2]  # the unfinished last line, such as a prompt
        self.file.seek(end - len(begun))
        return self

    def __exit__(self, *_):
        self.file.close()

    def read(self):
        booted = self.machine.booted  # before reading, so that output up to the machine's end is not lost
        data = self.file.read(CHUNK)
        self.ended = not (data or booted)
        return data

    def write(self, keys):
        with contextlib.suppress(MachineError):
            self.machine.send_console(self.decoder.decode(keys))

    def resize(self, size):
        pass


def serial(machine):
    """Connects the terminal to the serial console until the person leaves or the machine ends: console_interact().
    MachineError without a terminal or if the machine does not run."""
    if not machine.booted:
        raise MachineError(f"machine '{machine.name}' is not running")
    _need_terminal(machine, "console_interact()")
    machine.log("Ctrl-] leaves the console")
    machine.log("Terminal is ready (there is no prompt):")
    with _Serial(machine) as console, _Terminal() as terminal:
        left = _exchange(terminal, console)
    machine.log("Closing connection to the console" if left else "The machine has ended")
