"""Additions to pytest's report: logs and evidence of tests that failed, and a table of where time went. `plugin`
imports this module."""

import linecache
import re
import zlib
from concurrent.futures import ThreadPoolExecutor

from _test_driver import collect, recall

CONSOLE_LINES, LOG_LINES, NAME_LENGTH = 100, 200, 120  # most lines of a section, most characters of a directory's name
# The whole output of journalctl when there is no journal.
NO_JOURNAL = re.compile(r"(No journal files were found\.\n|-- No entries --\n)*")


def directory_name(nodeid):
    """Returns a unique name for a test's directory, similar to pytest's id of the test."""
    plain = nodeid.replace("/", "-").replace("::", "-").lstrip(".-")
    safe = re.sub(r"[^\w.\[\]=+-]", "_", plain, flags=re.ASCII)
    if safe == plain and len(safe) <= NAME_LENGTH:
        return safe
    return f"{safe[:NAME_LENGTH]}-{zlib.crc32(nodeid.encode()):08x}"


def _last_lines(text, count):
    lines = text.splitlines()
    cut = [f"({len(lines) - count} lines before)"] if len(lines) > count else []
    return "\n".join(cut + lines[-count:])


def failure(report):
    """What failed: the error in words, the whole report, and the file and line of it, "" and 0 if they are unknown."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = report.longreprtext
    if crash is None:
        return (text.strip().splitlines() or ["?"])[-1], text, "", 0
    return crash.message, text, crash.path, crash.lineno


def add_sections(report, position, machines):
    """Adds the last lines of the log and of the machines' consoles since the test began as sections of the report.
    position: where the test's log begins, from begin_test()."""
    log = recall(position, None)
    if log.strip():
        report.sections.append(("log of this test", _last_lines(log, LOG_LINES)))
    for machine in machines:
        console = recall(position, machine.name)
        if console.strip():
            report.sections.append((f"console of {machine.name} during this test",
                                    _last_lines(console, CONSOLE_LINES)))


def add_artifacts(report, base, machines):
    """Collects files about the machines in BASE/MACHINE, for all machines at the same time on threads of their own, and
    adds the journals and the path as sections of the report. base: a Path."""
    with ThreadPoolExecutor(len(machines) or 1) as pool:
        list(pool.map(lambda machine: collect(machine, str(base / machine.name)), machines))
    for machine in machines:
        journal = base / machine.name / "journal.txt"
        text = journal.read_text(errors="replace") if journal.exists() else ""
        if not NO_JOURNAL.fullmatch(text):
            report.sections.append((f"journal of {machine.name}", _last_lines(text, CONSOLE_LINES)))
    if base.exists():
        report.sections.append(("artifacts", str(base)))


def failure_of(item, excinfo, report):
    """Returns what has failed in a test as (the error, "FILE:LINE" of the innermost line of the test's file that led to
    it, the text of that line). excinfo: pytest's, None without an exception."""
    if not excinfo:
        return report.longreprtext, "", ""
    own = [entry for entry in excinfo.traceback if entry.path == item.path] or list(excinfo.traceback)
    path, number = str(own[-1].path), own[-1].lineno + 1
    return excinfo.exconly(), f"{path}:{number}", linecache.getline(path, number)


class Times:
    """The table of the tests' times: seconds of each test by what they were spent on (KINDS, and the rest)."""

    KINDS = ("boot", "waiting", "commands")

    def __init__(self):
        self.rows = []

    def add(self, nodeid, total, spent):
        """Adds a test. total: its seconds. spent: its seconds of each of KINDS."""
        self.rows.append((nodeid, total, *spent, max(total - sum(spent), 0.0)))

    def write(self, terminal, shown=50):
        """Writes the `shown` slowest tests, in the order of their runs, to pytest's terminal reporter."""
        if not self.rows:
            return
        of = f" (the {shown} slowest tests)" if len(self.rows) > shown else ""
        terminal.write_sep("-", f"seconds: all, boot, waiting, commands, rest{of}")
        slowest = sorted(self.rows, key=lambda row: row[1], reverse=True)[:shown]
        for nodeid, *seconds in (row for row in self.rows if row in slowest):
            terminal.write_line(" ".join(f"{value:8.2f}" for value in seconds) + f"  {nodeid}")
