"""What is told of a test that failed, and where its time went."""

import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _test_driver import collect, recall

CONSOLE_LINES, LOG_LINES, NAME_LENGTH = 100, 200, 120
NO_JOURNAL = re.compile(r"(No journal files were found\.\n|-- No entries --\n)*")


def directory_name(nodeid):
    """A file name for each test, readable as far as it can be."""
    plain = nodeid.replace("/", "-").replace("::", "-").lstrip(".-")
    safe = re.sub(r"[^\w.\[\]=+-]", "_", plain, flags=re.ASCII)
    if safe == plain and len(safe) <= NAME_LENGTH:
        return safe
    return f"{safe[:NAME_LENGTH]}-{zlib.crc32(nodeid.encode()):08x}"


def _last_lines(text, count):
    lines = text.splitlines()
    cut = [f"({len(lines) - count} lines before)"] if len(lines) > count else []
    return "\n".join(cut + lines[-count:])


def add_sections(report, position, machines):
    """The log and the consoles since the test began."""
    log = recall(position, None)
    if log.strip():
        report.sections.append(("log of this test", _last_lines(log, LOG_LINES)))
    for machine in machines:
        console = recall(position, machine.name)
        if console.strip():
            report.sections.append((f"console of {machine.name} during this test",
                                    _last_lines(console, CONSOLE_LINES)))


def add_artifacts(report, out_dir, nodeid, machines):
    """Files about each machine, in OUT/failure/TEST/MACHINE."""
    base = Path(out_dir) / "failure" / directory_name(nodeid)
    with ThreadPoolExecutor(len(machines) or 1) as pool:
        list(pool.map(lambda machine: collect(machine, str(base / machine.name)), machines))
    for machine in machines:
        journal = base / machine.name / "journal.txt"
        text = journal.read_text(errors="replace") if journal.exists() else ""
        if not NO_JOURNAL.fullmatch(text):
            report.sections.append((f"journal of {machine.name}", _last_lines(text, CONSOLE_LINES)))
    if base.exists():
        report.sections.append(("artifacts", str(base)))


class Times:
    """Seconds by what they were spent on, a row a test."""

    KINDS = ("boot", "waiting", "commands")

    def __init__(self):
        self.rows = []

    def add(self, nodeid, total, spent):
        self.rows.append((nodeid, total, *spent, max(total - sum(spent), 0.0)))

    def write(self, terminal, shown=50):
        if not self.rows:
            return
        of = f" (the {shown} slowest tests)" if len(self.rows) > shown else ""
        terminal.write_sep("-", f"seconds: all, boot, waiting, commands, rest{of}")
        slowest = sorted(self.rows, key=lambda row: row[1], reverse=True)[:shown]
        for nodeid, *seconds in (row for row in self.rows if row in slowest):
            terminal.write_line(" ".join(f"{value:8.2f}" for value in seconds) + f"  {nodeid}")
