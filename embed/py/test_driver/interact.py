"""machine.shell_interact() and machine.console_interact(): a person at a machine.

The shell for a person is not the root shell on hvc0, which stays free for commands. QEMU gets one more virtual
console while it is used, and a shell is started on it in the guest with that console as its controlling
terminal: so the guest's kernel edits lines, Ctrl-C becomes a signal there, and bash has job control.

Which /dev/hvcN the new console is in the guest, nobody says. So something is written to all of them but hvc0,
until it arrives here. When the shell ends, the guest writes to the console; that ends the interaction. When
the person leaves before, the console is unplugged, which hangs up on the shell.
"""

import codecs
import contextlib
import os
import secrets
import select
import shlex
import shutil
import socket
import subprocess
import termios
import time

from _test_driver import show_serial
from test_driver.errors import MachineError

LEAVE = b"\x1d"  # Ctrl-]
MARK = b"\x1e"  # begins what the guest says to us, not to the person
ATTACH_SECONDS = 30
WRITE_SECONDS = 5  # a guest that takes no keys for so long loses them
CHUNK = 1 << 16
BACKLOG = 64 << 20  # what a terminal that is slower than the guest is behind with, at most


# ---- the person's side


class _Terminal:
    """The terminal that is standard input, in a mode in which every key is the guest's, and without console lines
    of the log. It is opened anew: what makes it non-blocking here must not concern other programs that use it."""

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
        with contextlib.suppress(OSError, termios.error):  # it may be gone
            os.write(self.fd, b"\x1b[?2004l\r\n")  # pasted text was marked for the guest's bash
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self.mode)
        os.close(self.fd)

    def size(self):
        return os.get_terminal_size(self.fd)

    def read(self):
        try:
            return os.read(self.fd, CHUNK) or LEAVE
        except BlockingIOError:
            return b""
        except OSError:
            return LEAVE  # hung up

    def write(self, data):
        """Returns what is left of it."""
        try:
            return data[os.write(self.fd, data):]
        except BlockingIOError:
            return data


def _need_terminal(machine, what):
    if not os.isatty(0):
        raise MachineError(f"machine '{machine.name}': {what} needs a terminal, and standard input is none")


def _exchange(terminal, guest):
    """Passes bytes to and fro until the person leaves (True) or the guest's side ends (False)."""
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


class _Console:
    """One more virtual console of a machine that is connected."""

    interval = 1000  # ms; the terminal's size is looked at this often

    def __init__(self, machine):
        self.machine, self.id = machine, f"interact-{secrets.token_hex(4)}"
        self.mark = f"{MARK.decode()}{secrets.token_hex(8)} "
        self.tty, self.held, self.ended = None, b"", False

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
        """The guest's shell is hung up on."""
        self.socket.close()
        with contextlib.suppress(Exception):  # QEMU, or the device, may be gone
            self._qmp("device_del", id=self.id)
        for _ in range(50):
            try:
                return self._qmp("chardev-remove", id=self.id)
            except Exception:  # busy: QEMU frees the device a little later
                if not self.machine.booted:
                    return
                time.sleep(0.02)

    def _qmp(self, command, **arguments):
        client = self.machine.qmp_client
        if not client:
            raise MachineError(f"machine '{self.machine.name}' is not running")
        client.send(command, arguments)

    def _find(self):
        """Which one it is in the guest."""
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
        """The word that the guest says behind a mark, or None when it says none for that long."""
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
        return self.machine.execute(command, timeout=ATTACH_SECONDS)

    def start(self, shell, mode):
        """Starts it as the leader of a session on the console, and says so here when it has ended. The terminal is
        held open: its mode is lost when nobody has it open."""
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

    @property
    def fd(self):
        return self.socket.fileno()

    def read(self):
        mark = self.mark.encode()
        with contextlib.suppress(BlockingIOError):
            try:
                data = self.socket.recv(CHUNK)
            except ConnectionError:
                data = b""
            self.ended = not data
            self.held += data
        data, found, _ = self.held.partition(mark)
        self.ended |= bool(found)
        at = data.rfind(MARK)  # the beginning of a mark may be at the end
        cut = at if at >= 0 and mark.startswith(data[at:]) else len(data)
        self.held = data[cut:]
        return data[:cut]

    def write(self, keys):
        with contextlib.suppress(OSError):  # the end of the connection is seen by reading
            self.socket.settimeout(WRITE_SECONDS)
            self.socket.sendall(keys)
        self.socket.setblocking(False)

    def resize(self, size):
        if self.machine.connected:
            with contextlib.suppress(Exception):
                self._run(f"stty rows {size.lines} cols {size.columns} < {self.tty}")


def shell(machine):
    _need_terminal(machine, "shell_interact() without an address")
    machine.connect()
    with _Console(machine) as console:
        size = os.get_terminal_size(0)
        console.start("bash -i", f"rows {size.lines} cols {size.columns}")
        machine.log("Terminal is ready, Ctrl-] leaves it")
        with _Terminal() as terminal:
            left = _exchange(terminal, console)
        machine.log("Left the terminal" if left else "The shell has ended")


def shell_at(machine, address):
    """A shell without prompt and echo, for a program or another terminal: at an address of socat's."""
    if not shutil.which("socat"):
        raise MachineError(f"machine '{machine.name}': shell_interact() with an address needs the program socat, which "
                           "is not on PATH")
    machine.connect()
    with _Console(machine) as console:
        console.start(f"bash --norc {console.tty}", "raw -echo")
        console.socket.setblocking(True)
        with contextlib.suppress(KeyboardInterrupt):  # ends this, not the test
            subprocess.run(["socat", address, f"FD:{console.fd}"], pass_fds=[console.fd])


# ---- the serial console


class _Serial:
    """Its output is what the driver writes to the console's file."""

    fd, interval = None, 30  # ms
    ended = False

    def __init__(self, machine):
        self.machine = machine
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __enter__(self):
        self.file = open(self.machine.state_dir / "console.log", "rb", buffering=0)
        end = self.file.seek(0, os.SEEK_END)
        self.file.seek(max(0, end - 4096))
        begun = self.file.read(4096).rpartition(b"\n")[2]  # such as a prompt
        self.file.seek(end - len(begun))
        return self

    def __exit__(self, *_):
        self.file.close()

    def read(self):
        booted = self.machine.booted  # looked at first: what the machine wrote before its end is not lost
        data = self.file.read(CHUNK)
        self.ended = not (data or booted)
        return data

    def write(self, keys):
        with contextlib.suppress(MachineError):
            self.machine.send_console(self.decoder.decode(keys))

    def resize(self, size):
        pass


def serial(machine):
    if not machine.booted:
        raise MachineError(f"machine '{machine.name}' is not running")
    _need_terminal(machine, "console_interact()")
    machine.log("Ctrl-] leaves the console")
    machine.log("Terminal is ready (there is no prompt):")
    with _Serial(machine) as console, _Terminal() as terminal:
        left = _exchange(terminal, console)
    machine.log("Closing connection to the console" if left else "The machine has ended")
