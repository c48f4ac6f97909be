"""What a run keeps of a machine: its console, the kernel's log, files of the guest, and more after a failure;
test_driver.run_record imports this module.

The guest is asked by whichever channel is ready. It is not started or connected for this, and may hang or be dead: each
question has a limit of time, nothing is asked of a guest that has once not answered, and what is missing is listed with
the reason. Sizes are bounded, too. The functions run on the script's thread that calls them and block it.
"""

import os
import re
import shlex
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from _test_driver import collect as collect_evidence

MEGABYTE = 1 << 20
CONSOLE_BYTES, GLOB_BYTES, TEXT_BYTES = 64 * MEGABYTE, 64 * MEGABYTE, 8 * MEGABYTE  # the ends of longer texts are kept
CONSOLE_LINES = 1_000_000  # of a console that has no file of its own
GLOB_FILES, UNITS = 200, 20  # most files of a glob, most units that have failed
# For the first answer, which shows whether the guest answers at all; for others; for a file. All are longer on a slow
# machine.
FIRST_SECONDS, QUESTION_SECONDS, FILE_SECONDS = 3, 10, 60
TOTAL_SECONDS = 180  # after this time nothing else is begun

# Prints the names of files, each followed by NUL. Only pathname expansion applies to the variable `pattern`.
_LIST = """IFS=; shopt -s nullglob globstar; pattern={pattern}; number=0
for name in $pattern; do
    names=("$name"); [ ! -d "$name" ] || names=("$name"/**)
    for file in "${{names[@]}}"; do
        [ -f "$file" ] || continue
        printf '%s\\0' "$file"; number=$((number + 1)); [ $number -le {most} ] || break 2
    done
done"""
_HAS_SYSTEMD = "type -P systemctl > /dev/null || { echo 'the guest has no systemctl'; exit 3; }; "
_UNITS = _HAS_SYSTEMD + "{ systemctl --failed --no-pager --full; systemctl status --no-pager --full --lines=0 || :; } 2>&1"
_FAILED = "if type -P systemctl > /dev/null; then systemctl --failed --no-legend --plain --no-pager; fi"
_JOURNAL = ("{{ systemctl status --no-pager --full --lines=0 -- {unit} || :; echo; "
            "journalctl --no-pager --lines=10000 --unit={unit} || :; }} 2>&1")


@dataclass
class Diagnostics:
    """What was collected. files: {kind: path, or list of paths}, where kinds are console, dmesg, logs, units, journals
    and evidence. missing: texts "name: why"."""

    files: dict = field(default_factory=dict)
    missing: list = field(default_factory=list)

    def add(self, kind, path):
        """Adds a path to the list of a kind."""
        self.files.setdefault(kind, []).append(str(path))


def _inside(directory, name):
    """The path of a file of the guest, by its name there, below a directory. ValueError for a name that leads out of
    it, or that cannot be one here."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or any(len(os.fsencode(part)) > 255 for part in parts):
        raise ValueError("its name cannot be used here")
    return directory.joinpath(*parts)


class _Collector:
    """Collects from one machine into one directory."""

    def __init__(self, machine, directory):
        self.machine, self.directory, self.result = machine, Path(directory), Diagnostics()
        self.barrier = None  # why the guest is not asked any more
        self.is_silent = False  # because it does not answer
        self.end = time.monotonic() + TOTAL_SECONDS

    def miss(self, name, why):
        self.result.missing.append(f"{name}: {why}")

    def ask(self, command, seconds=QUESTION_SECONDS):
        """Returns (output in bytes, what went wrong or None)."""
        if not self.barrier and time.monotonic() >= self.end:
            self.barrier = "no time was left for it"
        if self.barrier:
            return b"", self.barrier
        output, trouble, self.is_silent = self.machine._ask(command, seconds)
        if self.is_silent:
            self.barrier = trouble
        return output, trouble

    def write(self, name, contents):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
        return path

    def text(self, name, command, seconds=QUESTION_SECONDS):
        """Keeps the output of a command, also of one that fails; returns the path, or None."""
        output, trouble = self.ask(f"{command} | tail -c {TEXT_BYTES}", seconds)
        if trouble:
            self.miss(name, trouble)
        if output:
            return self.write(name, output)
        return None

    # ---- every run

    def console(self):
        """The raw console; without a file of it, its lines."""
        source, path = Path(self.machine.state_dir) / "console.log", self.directory / "console.log"
        try:
            with open(source, "rb") as file, open(path, "wb") as copy:
                file.seek(max(os.fstat(file.fileno()).st_size - CONSOLE_BYTES, 0))
                shutil.copyfileobj(file, copy)
        except FileNotFoundError:
            path.write_bytes(self.machine._console_tail(CONSOLE_LINES)[-CONSOLE_BYTES:])
        self.result.files["console"] = str(path)

    def dmesg(self):
        path = self.text("dmesg.txt", "dmesg 2>&1", FIRST_SECONDS)
        if path:
            self.result.files["dmesg"] = str(path)

    def logs(self, glob):
        output, trouble = self.ask(_LIST.format(pattern=shlex.quote(glob), most=GLOB_FILES))
        names = [os.fsdecode(name) for name in output.split(b"\0")[:-1]]
        if trouble:
            self.miss(glob, trouble)
        elif not names:
            self.miss(glob, "no file matches")
        if len(names) > GLOB_FILES:
            self.miss(glob, f"more than {GLOB_FILES} files match")
        budget = GLOB_BYTES
        for name in names[:GLOB_FILES]:
            budget -= self.log(name, budget) if budget else 0
        if not budget:
            self.miss(glob, f"only the first {GLOB_BYTES // MEGABYTE} MiB are kept")

    def log(self, name, most):
        """Keeps the end of a file of the guest; returns its bytes."""
        output, trouble = self.ask(f"tail -c {most} -- {shlex.quote(name)}", FILE_SECONDS)
        if trouble:
            self.miss(name, trouble)
            if not output:
                return 0
        try:
            self.result.add("logs", self.write(_inside(Path("logs"), name), output[-most:]))
        except (OSError, ValueError) as error:
            self.miss(name, error)
        return min(len(output), most)

    # ---- after a failure

    def units(self):
        path = self.text("units.txt", _UNITS)
        if path:
            self.result.files["units"] = str(path)
        output, _ = self.ask(_FAILED)
        units = [line.split()[0] for line in output.decode(errors="replace").splitlines() if line.split()]
        for number, unit in enumerate(units[:UNITS], 1):
            safe = re.sub(r"[^\w.@-]", "_", unit, flags=re.ASCII)[:150]
            path = self.text(f"journals/{number}-{safe}.txt", _JOURNAL.format(unit=shlex.quote(unit)))
            if path:
                self.result.add("journals", path)
        if len(units) > UNITS:
            self.miss("journals", f"more than {UNITS} units have failed")

    def evidence(self):
        """What the driver collects after every failed run: the screen, QEMU's state, processes and so on. It would wait
        for each part of a machine that does not answer."""
        if self.is_silent and not self.machine._query_qemu("query-status", None, FIRST_SECONDS):
            self.miss("evidence", "neither the guest nor QEMU answers")
            return
        directory = self.directory / "evidence"
        collect_evidence(self.machine, str(directory))
        if directory.is_dir():
            self.result.files["evidence"] = sorted(str(path) for path in directory.iterdir())

    def attempt(self, name, work, *arguments):
        """Does a part of the work; a failure of it is no obstacle to the other parts."""
        try:
            work(*arguments)
        except Exception as error:
            self.miss(name, f"{type(error).__name__}: {error}")


def collect(machine, directory, log_globs=(), failed=False, quick=False):
    """Collects what a run keeps of a machine, and returns it as Diagnostics.

    machine: any machine, in any state; one that was never started has nothing.
    directory: where the files go; it exists.
    log_globs: patterns of the guest's bash (with `**`) for files to keep; of a directory all files below it are kept.
        The end of each is kept, 64 MiB and 200 files of a pattern at most.
    failed: collects the states of units, the journals of units that have failed, and the driver's own evidence, too.
    quick: only the console, which asks nothing of the guest.
    """
    collector = _Collector(machine, directory)
    if not machine._was_started():
        collector.miss("everything", "the machine was never started")
        return collector.result
    if not quick:
        collector.attempt("dmesg.txt", collector.dmesg)
    collector.attempt("console.log", collector.console)
    if not quick and failed:
        collector.attempt("units.txt", collector.units)
        collector.attempt("evidence", collector.evidence)
    for glob in () if quick else log_globs:
        collector.attempt(str(glob), collector.logs, str(glob))
    return collector.result
