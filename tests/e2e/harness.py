"""Runs the driver as a process, as users do, and checks that a run leaves nothing behind.

    result = harness.run(script, vms)               a run to its end
    with harness.Run(script, vms) as run:           a run that the test watches, signals and so on
        run.wait_for("booting"); run.signal(signal.SIGINT); result = run.finish()
    with harness.Session(vms) as session:           many small tests with machines that are started once
        session("assert machine.succeed('echo a') == 'a\\n'")

`vms` is {name: start script}. Each run has a directory of its own, with the run-time directory `tmp` and the output
directory `out`. If a run takes too long, the test fails with the driver's output, and all processes of the run are
killed. After every run the following must be gone within 2 s:

- processes with the run's mark in their environment, and orphans without the mark, which become children of this
  process because it is a subreaper;
- sockets, and directories of VLANs' switches, below the run's directory.
"""

import ctypes
import functools
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import textwrap
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(os.environ.get("NTD_DRIVER", ROOT / "build/nixos-test-driver")).resolve()
IS_SANITIZED = bool(re.search(rb"__(asan|tsan)_init", DRIVER.read_bytes()))  # such builds take several times as long
SANDBOX = ROOT / "tests/guests/container/sandbox"
MARK = "NTD_E2E"
LEAVE_SECONDS = 2
# Names of variables that could change how the driver and its start scripts behave; runs do not inherit them.
FOREIGN = re.compile(
    r"DISPLAY|WAYLAND_DISPLAY|LOGFILE|logLevel|XDG_RUNTIME_DIR|TEMP|TMP|PYTHON\w*|QEMU_\w+|TEST_VM_\w+|NIX_\w+|IN_NIX_SHELL"
    r"|BOOT_IMAGE_\w+|NIXOS_TEST_DRIVER\w*|NTD_PLAIN_PYTEST"
    r"|\w*[sS]tartScripts|\w*Names|vlans|globalTimeout|testScript|FAKE_\w+|USE_TMPDIR|SHARED_DIR"
)
PR_SET_CHILD_SUBREAPER = 36

ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
own_children = set()  # pids of processes that tests start themselves, which are no leftovers of a run


@functools.cache
def obstacle_to_containers():
    """Returns why containers cannot be started here, "" if they can."""
    if os.geteuid() != 0:
        return "they need root"
    tried = subprocess.run([SANDBOX, "systemd-nspawn", "--version"], capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else ""


# ---- processes and files that a run has left


def stat_of(pid):
    """Returns the state and the parent of a process. (Not every kernel has /proc/PID/task/TID/children.)"""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return state, int(parent)
    except OSError:
        return "X", 0


def processes():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def children_of(pid):
    return [child for child in processes() if stat_of(child)[1] == pid]


def is_alive(pid):
    """Whether a process runs. A zombie that is a child of this process is reaped."""
    state, parent = stat_of(pid)
    if state == "Z" and parent == os.getpid() and pid not in own_children:
        os.waitpid(pid, os.WNOHANG)
    return state not in "ZX"


def has_mark(pid, mark):
    try:
        return f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def left_processes(mark):
    """Returns {pid: command} of the living processes of the run with this mark."""
    found = {pid for pid in processes() if has_mark(pid, mark) or stat_of(pid)[1] == os.getpid()}
    result = {}
    for pid in sorted(filter(is_alive, found - own_children - {os.getpid()})):
        try:
            result[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            pass
    return result


def left_files(directory):
    return [path for path in Path(directory).rglob("*")
            if path.suffix == ".ctl" or stat.S_ISSOCK(path.lstat().st_mode)]


def slowness():
    """By how much, at least 1, this host is busier than it can be without making what runs on it slower."""
    return max(1, os.getloadavg()[0] / os.cpu_count())


def wait_until(condition, seconds):
    """Calls the condition until its value is true or the time is over, and returns its last value."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


# ---- one run


def plain(text):
    """Returns the text without the escape sequences for colours."""
    return re.sub(r"\x1b\[\d*m", "", text)


class Result:
    """The end of a run. `status`: the exit status as a shell shows it. `out`, `err`: standard output and standard
    error. `log`: `err` without colours. `lines`: the lines of `out` that the script printed. `seconds`: the
    duration."""

    def __init__(self, status, out, err, seconds):
        self.status = status if status >= 0 else 128 - status
        self.out, self.err, self.seconds = out, err, seconds
        self.log = plain(err)
        symbols = re.search(r"^additionally exposed symbols:\n(?:    .*\n)+", out, re.M)
        self.lines = (out[symbols.end():] if symbols else out).splitlines()


class Run:
    """A run of the driver, which begins with the `with` block."""

    def __init__(self, script, vms=None, *, vlans=(), options=(), env=None, seconds=60, global_timeout=300,
                 style="json", arguments=None, stdin=subprocess.DEVNULL, directory=None, ignore_interrupts=False,
                 driver=(DRIVER,), containers=None):
        """style: json (a configuration file) or options (the older command line), for machines, VLANs and the script.
        arguments: a whole command line instead, where {dir} stands for the run's directory.
        options: further words for the command line.
        seconds: the longest time that the run may take.
        directory: the run's directory, which is kept; default: a new one, which is removed.
        driver: another program, with its first arguments.
        containers: {name: start script}. With containers the driver gets mount and network namespaces of its own."""
        self.directory = Path(directory or tempfile.mkdtemp(prefix="e2e-")).resolve()
        self.own_directory = not directory
        self.containers = containers or {}
        self.driver = (SANDBOX, *driver) if self.containers else driver
        self.mark, self.seconds, self.process = uuid.uuid4().hex, seconds, None
        for name in "tmp", "out":
            (self.directory / name).mkdir(exist_ok=True)
        (self.directory / "script.py").write_text(textwrap.dedent(script), encoding="utf-8")
        self.vms, self.vlans, self.global_timeout = vms or {}, list(vlans), global_timeout
        if arguments is None:
            arguments = [*getattr(self, f"{style}_arguments")(), "-o", "{dir}/out", *options]
        self.arguments = [str(word).replace("{dir}", str(self.directory)) for word in arguments]
        self.env = {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}
        self.env |= {"TMPDIR": str(self.directory / "tmp"), MARK: self.mark}
        self.env |= {name: str(value).replace("{dir}", str(self.directory)) for name, value in (env or {}).items()}
        self.stdin, self.interrupts = stdin, signal.SIG_IGN if ignore_interrupts else signal.SIG_DFL

    def json_arguments(self):
        config = {
            "vms": {name: {"name": name, "start_script": str(path)} for name, path in self.vms.items()},
            "containers": {name: {"name": name, "start_script": str(path)} for name, path in self.containers.items()},
            "vlans": self.vlans,
            "global_timeout": self.global_timeout,
            "enable_ssh_backdoor": False,
            "test_script": str(self.directory / "script.py"),
        }
        (self.directory / "config.json").write_text(json.dumps(config))
        return ["--config", "{dir}/config.json"]

    def options_arguments(self):
        words = ["--global-timeout", self.global_timeout]
        if self.vms:
            words += ["--vm-names", *self.vms, "--vm-start-scripts", *self.vms.values()]
        if self.containers:
            words += ["--container-names", *self.containers, "--container-start-scripts", *self.containers.values()]
        if self.vlans:
            words += ["--vlans", *self.vlans]
        return ["{dir}/script.py", *words]

    def __enter__(self):
        self.began = time.monotonic()
        with open(self.directory / "stdout", "wb") as out, open(self.directory / "stderr", "wb") as err:
            self.process = subprocess.Popen(
                [*self.driver, *self.arguments], env=self.env, cwd=self.directory, stdin=self.stdin, stdout=out, stderr=err,
                preexec_fn=lambda: signal.signal(signal.SIGINT, self.interrupts))  # it may be ignored here
        own_children.add(self.process.pid)
        return self

    def __exit__(self, kind, error, traceback):
        if self.process.poll() is None or kind:
            self.kill()
        if kind:
            self.show()
        own_children.discard(self.process.pid)
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pid(self):
        return self.process.pid

    @property
    def out(self):
        return (self.directory / "stdout").read_text(errors="replace")

    @property
    def err(self):
        return (self.directory / "stderr").read_text(errors="replace")

    def show(self):
        """Prints the command line and the output for the report of a failed test."""
        print(f"--- {' '.join(map(str, self.process.args))}\n--- exit status {self.process.poll()}")
        print(f"--- standard output\n{self.out[-20_000:]}\n--- standard error\n{self.err[-20_000:]}")

    def kill(self):
        """Kills all processes of the run, by process id."""
        for _ in range(20):
            left = {self.process.pid: ""} if self.process.poll() is None else left_processes(self.mark)
            if not left:
                break
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            wait_until(lambda: self.process.poll() is not None and not any(map(is_alive, left)), 1)

    def fail(self, what):
        raise AssertionError(what)  # __exit__() then prints the output

    def signal(self, number):
        os.kill(self.process.pid, number)

    def wait_for(self, pattern, seconds=60):
        """Waits until the standard output, or the log without colours, matches the regular expression. Returns the
        match."""
        regex = re.compile(pattern, re.M)

        def found():
            return regex.search(self.out) or regex.search(plain(self.err)) or self.process.poll() is not None

        match = wait_until(found, seconds)
        if match is True:
            match = regex.search(self.out) or regex.search(plain(self.err))
        if not match:
            self.fail(f"{pattern!r} did not appear within {seconds} s, or the driver ended before")
        return match

    def finish(self, seconds=None, leaves_nothing=True):
        """Waits for the end of the run, checks that nothing is left, and returns the Result. seconds: the limit from
        now on; default: the rest of the run's time."""
        limit = self.began + self.seconds - time.monotonic() if seconds is None else seconds
        try:
            self.process.wait(max(limit, 0.1))
        except subprocess.TimeoutExpired:
            self.fail(f"the driver has not ended in time ({seconds or self.seconds} s)")
        took = time.monotonic() - self.began
        if leaves_nothing:
            self.check_nothing_left()
        return Result(self.process.returncode, self.out, self.err, took)

    def check_nothing_left(self):
        wait_until(lambda: not left_processes(self.mark) and not left_files(self.directory), LEAVE_SECONDS)
        assert left_processes(self.mark) == {}, f"processes {LEAVE_SECONDS} s after the driver's end"
        assert left_files(self.directory) == [], f"sockets {LEAVE_SECONDS} s after the driver's end"


def run(script, vms=None, *, status=0, **named):
    """Does a whole run, which must end with this exit status (None: any), and returns its Result."""
    with Run(script, vms, **named) as running:
        result = running.finish()
        if status is not None and result.status != status:
            running.fail(f"exit status {result.status}, expected {status}")
        return result


# ---- definitions for scripts

# Functions that tests put before a script. qemu() is needed where /bin/sh does not replace itself by its only command:
# there machine.pid is the shell.
PROCESSES = '''
import os, time

def below(pid):
    parents = {}
    for child in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(open(f"/proc/{child}/stat").read().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(child))
        except OSError:
            pass
    found = [pid]
    for parent in found:
        found += parents.get(parent, [])
    return found[1:]

def qemu(machine):
    pid, = [pid for pid in [machine.pid, *below(machine.pid)]
            if open(f"/proc/{pid}/comm").read().startswith("qemu-system")]
    return pid

def held():
    """The kinds of files that the driver has open, the number of its descendants, and the number of its threads."""
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    kinds = sorted(os.readlink(link).split(":")[0] for link in links if os.path.lexists(link))
    return kinds, len(below(os.getpid())), len(os.listdir("/proc/self/task"))

def held_at_rest():
    """Returns held() when all machines are down: waits until their raw consoles have been written and closed, which
    another thread does."""
    end = time.monotonic() + 60
    while any(kind.endswith("/console.log") for kind in held()[0]):
        assert time.monotonic() < end, held()
    return held()

def assert_held_again(before):
    """Waits up to a minute until held() is as before, since a process that has ended exists until its parent reaps
    it."""
    end = time.monotonic() + 60
    while held() != before:
        assert time.monotonic() < end, (before, held())

'''


ERROR_OF = '''
def error_of(function, *arguments, **named):
    """Returns the exception that the call raises, as "Type: text", and its notes, each on a line of its own."""
    try:
        function(*arguments, **named)
    except Exception as error:
        return "\\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    raise AssertionError("nothing was raised")

'''

# ---- many tests in one run

SERVER = ERROR_OF + r'''
import json, linecache, socket, traceback

def serve():
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ["E2E_SESSION"])
    stream = connection.makefile("rw")
    for line in stream:
        code, reply, names = json.loads(line), {}, dict(globals())
        linecache.cache["<test>"] = (len(code), None, code.splitlines(True), "<test>")
        try:
            exec(compile(code, "<test>", "exec"), names)
            reply["result"] = names.get("result")
        except BaseException:
            reply["error"] = traceback.format_exc()
        stream.write(json.dumps(reply) + "\n")
        stream.flush()

serve()
'''


class Session(Run):
    """A run whose script executes code on demand: session(code) has the script execute the code in a copy of its
    globals."""

    def __init__(self, vms, first="", **named):
        """first: code that the script executes at its beginning, such as definitions for all calls."""
        named = {"seconds": 600, "global_timeout": 600, **named}
        super().__init__(textwrap.dedent(first) + SERVER, vms, **named)
        path = self.directory / "session"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.env["E2E_SESSION"] = str(path)
        self.stream = None

    def __enter__(self):
        super().__enter__()
        self.listener.settimeout(60)
        try:
            connection, _ = self.listener.accept()
        except TimeoutError:
            self.kill()
            self.show()
            raise AssertionError("the script did not begin") from None
        self.connection, self.stream = connection, connection.makefile("rw")
        return self

    def __call__(self, code, seconds=60, **values):
        """Executes the code and returns the value that it gives to `result`. values: names for the code and their
        values. seconds: the limit, after which the driver is killed. AssertionError, with the traceback, for an
        exception in the code."""
        __tracebackhide__ = True
        if not self.stream:
            raise AssertionError("the driver of this session is gone")
        before = len(self.err)
        named = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        self.connection.settimeout(seconds)
        try:
            self.stream.write(json.dumps(named + textwrap.dedent(code)) + "\n")
            self.stream.flush()
            reply = json.loads(self.stream.readline() or '{"error": "the driver ended"}')
        except TimeoutError:
            self.stream = None
            self.kill()
            reply = {"error": f"no end within {seconds} s; the driver was killed"}
        except OSError:
            reply = {"error": "the driver ended"}
        if "error" in reply:
            print(f"--- log of this call\n{self.err[before:][-20_000:]}")
            raise AssertionError(reply["error"])
        return reply["result"]

    def __exit__(self, kind, error, traceback):
        if self.stream:
            self.stream.close()
            self.connection.close()
        self.listener.close()
        (self.directory / "session").unlink(missing_ok=True)
        try:
            if self.stream and not kind:
                status = self.finish(seconds=30).status
                if status:
                    self.fail(f"exit status {status} of the session")
        finally:
            super().__exit__(kind, error, traceback)
