"""Records of runs: how long a machine took to boot, what became of it, and where its logs are.

    from test_driver import run_record

    with run_record.recording(machine, log_globs=["/var/log/*.log"]) as record:
        machine.wait_for_unit("multi-user.target")
        record.login()

Each record has a directory of its own, named by the time in UTC. At its end it has metadata.json and what
test_driver.diagnostics has collected, and the ledger (test_driver.ledger) has one line more. The JSON schema
run-record.schema.json beside this module describes both.

Scripts and pytest plugins import this module. A record belongs to one thread at a time.
"""

import json
import os
import re
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from test_driver import diagnostics, ledger
from test_driver.machine import NspawnMachine

FORMAT = 1  # of metadata.json and of the ledger's lines; keys may be added in the same format
CEILING_SECONDS = 3600  # a longer run is noted as such
QMP_SECONDS = 2  # for an answer of QEMU, longer on a slow machine
DIRECTORY = "vm-runs"  # below the machine's output directory, for the directories of runs

# A row of the table of "info usernet" about a port of the host that leads to the guest's port 22.
_FORWARD = re.compile(r"TCP\[HOST_FORWARD\] +\d+ +(\S+) +(\d+) +\S+ +22 ")


# ---- times and directories


def _utc(moment):
    """A moment as ISO 8601 in UTC, with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _now():
    return datetime.now(timezone.utc)


def make_directory(parent):
    """Makes a directory for a run in `parent`, which is made if missing, and returns its path. Its name is the time in
    UTC, as 20261129T143005Z, with -2, -3 and so on when another run has begun in the same second."""
    Path(parent).mkdir(parents=True, exist_ok=True)
    stamp, number = _now().strftime("%Y%m%dT%H%M%SZ"), 1
    while True:
        path = Path(parent).absolute() / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def _write_atomically(path, text):
    """Replaces a file, so that no reader ever sees a part of it."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)


# ---- the processes of a machine


def _stat(pid):
    """The fields of /proc/PID/stat from the state on, which is field 3; [] for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _age(pid):
    """For how many seconds a process has run; None if it is gone."""
    stat = _stat(pid) if pid else []
    if not stat:
        return None
    return max(time.clock_gettime(time.CLOCK_BOOTTIME) - int(stat[19]) / os.sysconf("SC_CLK_TCK"), 0.0)


def _with_descendants(pid):
    """The process and those that it has started, in the order of their generations."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        stat = _stat(entry)
        if stat:
            children.setdefault(int(stat[1]), []).append(int(entry))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def _qemu_command(pid):
    """The words of the command line of the QEMU that a process is or has started; None if there is none."""
    for process in _with_descendants(pid):
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[:-1]
        except OSError:
            continue
        if words and os.path.basename(words[0]).startswith((b"qemu-system-", b".qemu-system-", b"qemu-kvm")):
            return [word.decode(errors="replace") for word in words]
    return None


# ---- records


class RunRecord:
    """The record of a run of one machine, made by begin(), whose arguments are the constructor's."""

    def __init__(self, machine, build_seconds=None, pytest_args=None, directory=None, *, log_globs=(),
                 invocation_directory=None):
        if isinstance(log_globs, str):  # its letters would be patterns, and that of "/" has every file
            raise ValueError(f"log_globs={log_globs!r}: several patterns, in a list")
        self.machine, self.log_globs = machine, list(log_globs)
        self._invocation_directory = Path(invocation_directory or Path.cwd())
        self._began, self._is_ended = time.monotonic(), False
        self._booted_at = None  # when the machine's last process was started, by time.monotonic()
        self._directory = make_directory(directory or Path(machine.out_dir) / DIRECTORY)
        is_container = isinstance(machine, NspawnMachine)
        self._metadata = {
            "format": FORMAT, "run": self.directory.name, "directory": str(self.directory), "machine": machine.name,
            "kind": "container" if is_container else "qemu", "verdict": "running",
            "start": _utc(_now()), "end": None,
            "build_seconds": None if build_seconds is None else round(float(build_seconds), 3),
            "boot_to_login_seconds": None, "boot_to_ssh_seconds": None, "total_seconds": None,
            "ceiling_seconds": CEILING_SECONDS, "ceiling_exceeded": False, "notes": [],
            "pytest_args": None if pytest_args is None else [str(word) for word in pytest_args],
            "start_command": None, "qemu_command": None, "qemu_version": None,
            "ssh_host": None, "ssh_port": None, "diagnostics": {}, "missing": [], "ledger": None,
        }
        self._look()
        self._save()

    @property
    def directory(self):
        """The directory of the run, a Path."""
        return self._directory

    @property
    def metadata(self):
        """What is in metadata.json, a dict."""
        return self._metadata

    def _save(self):
        text = json.dumps(self.metadata, indent=2, allow_nan=False) + "\n"
        _write_atomically(self.directory / "metadata.json", text)

    # ---- what is known of the machine

    def _ask_qemu(self, command, arguments=None):
        """What QEMU returns for a QMP command, or None."""
        text = json.dumps(arguments) if arguments else None
        reply = self.machine._query_qemu(command, text, QMP_SECONDS)
        return json.loads(reply).get("return") if reply else None

    def _version(self):
        value = self._ask_qemu("query-version")
        try:
            version, package = value["qemu"], value["package"]
            return f"{version['major']}.{version['minor']}.{version['micro']}{package}"
        except (KeyError, TypeError):
            return None

    def _look(self):
        """Notes what can be known of the machine by now: it may be started after the record has begun."""
        metadata, pid = self.metadata, self.machine.pid
        age = _age(pid)
        if age is not None:
            self._booted_at = time.monotonic() - age
        if metadata["start_command"] is None:
            process = self.machine.process
            metadata["start_command"] = process and str(process.args) or None
        if metadata["kind"] != "qemu" or age is None:
            return
        metadata["qemu_command"] = metadata["qemu_command"] or _qemu_command(pid)
        metadata["qemu_version"] = metadata["qemu_version"] or self._version()

    def _find_port(self):
        """Notes the address that leads to the guest's port 22, if QEMU forwards one."""
        table = self._ask_qemu("human-monitor-command", {"command-line": "info usernet"})
        match = _FORWARD.search(table) if isinstance(table, str) else None
        if match:
            host = "127.0.0.1" if match[1] in ("*", "0.0.0.0") else match[1]
            self.metadata.update(ssh_host=host, ssh_port=int(match[2]))

    # ---- events of the run

    def _note_boot(self, key):
        self._look()
        if self.metadata[key] is None:
            since = self._began if self._booted_at is None else self._booted_at
            self.metadata[key] = round(time.monotonic() - since, 3)

    def login(self):
        """Notes that the machine has booted to its login: `boot_to_login_seconds` is the time since the start of its
        process. Only the first call counts."""
        self._note_boot("boot_to_login_seconds")
        self._save()

    def ssh(self, host=None, port=None):
        """Notes that the guest has been reached by SSH, as login() does. host, port: of its sshd; default: the port of
        the host that QEMU forwards to the guest's port 22."""
        self._note_boot("boot_to_ssh_seconds")
        if host or port:
            self.metadata.update(ssh_host=host or "127.0.0.1", ssh_port=int(port or 22))
        else:
            self._find_port()
        self._save()

    def note(self, text):
        """Adds a note for people to the metadata."""
        self.metadata["notes"].append(str(text))
        self._save()

    # ---- the end

    def _collect(self, failed, quick):
        try:
            found = diagnostics.collect(self.machine, self.directory, self.log_globs, failed, quick)
            self.metadata.update(diagnostics=found.files, missing=found.missing)
        except Exception as error:  # the record is kept in any case
            self.metadata["missing"] = [f"everything: {type(error).__name__}: {error}"]

    def _append(self):
        """Appends the line of the ledger. A ledger that cannot be written is noted; the test is not at fault."""
        path = ledger.path_of(self._invocation_directory)
        self.metadata["ledger"] = str(path)
        try:
            ledger.append(path, {**self.metadata, "metadata": str(self.directory / "metadata.json")})
        except OSError as error:
            self.metadata["ledger"] = None
            self.metadata["notes"].append(f"the ledger {path} cannot be written: {error}")
            self.machine.log(self.metadata["notes"][-1])

    def end(self, failed=False, quick=False):
        """Ends the run: collects what is kept of it, writes metadata.json, and appends a line to the ledger. Returns
        the metadata. Further calls only return it.

        failed: whether the run has failed; more is collected then.
        quick: collects only the console, and asks nothing of the guest.
        """
        if self._is_ended:
            return self.metadata
        self._is_ended, metadata = True, self.metadata
        total = time.monotonic() - self._began
        metadata.update(end=_utc(_now()), total_seconds=round(total, 3), verdict="failed" if failed else "passed")
        whole = total + (metadata["build_seconds"] or 0)
        if whole > CEILING_SECONDS:
            metadata["ceiling_exceeded"] = True
            metadata["notes"].append(f"the run and its build took {whole:.0f} s, more than {CEILING_SECONDS} s")
        try:
            if not quick:
                self._look()
                if metadata["ssh_port"] is None and metadata["kind"] == "qemu":
                    self._find_port()
            self._collect(failed, quick)
        finally:
            if ledger.is_enabled():
                self._append()
            self._save()
        return metadata


def begin(machine, build_seconds=None, pytest_args=None, directory=None, *, log_globs=(), invocation_directory=None):
    """Begins the record of a run, and returns it. The machine may have been started or not.

    machine: a QemuMachine (of an image, too) or a NspawnMachine.
    build_seconds: how long its image took to be built; default: not known.
    pytest_args: pytest's arguments; default: the run is not pytest's.
    directory: where the directory of the run is made; default: vm-runs in the machine's output directory.
    log_globs: patterns of files of the guest to keep, see test_driver.diagnostics.collect().
    invocation_directory: what the path of the ledger is relative to; default: the current directory.
    OSError when the directory cannot be made, ValueError for log_globs that are one text."""
    return RunRecord(machine, build_seconds, pytest_args, directory, log_globs=log_globs,
                     invocation_directory=invocation_directory)


@contextmanager
def recording(machine, *, build_seconds=None, pytest_args=None, directory=None, log_globs=(), invocation_directory=None):
    """Begins a record and ends it with its `with` block: as failed if an exception leaves the block, other than
    SystemExit with a status of 0. After Ctrl-C or another signal only the console is kept. The arguments are those of
    begin()."""
    record = begin(machine, build_seconds, pytest_args, directory, log_globs=log_globs,
                   invocation_directory=invocation_directory)
    try:
        yield record
    except KeyboardInterrupt:
        record.end(failed=True, quick=True)
        raise
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        record.end(failed=status != 0, quick=status > 128)
        raise
    except BaseException:
        record.end(failed=True)
        raise
    else:
        record.end(failed=False)
