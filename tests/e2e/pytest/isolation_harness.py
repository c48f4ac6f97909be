"""Runs isolated tests on fake machines. What takes the place of a guest's memory and disk is the directory guest-state;
the tests put files there (put) and look at them (has)."""

import re
import textwrap

from pytest_harness import PytestRun

TOOLS = """
import os, signal, threading, time
import pytest

def put(machine, name):
    machine.succeed(f"mkdir -p $PWD/guest-state; touch $PWD/guest-state/{name}")

def has(machine):
    return machine.succeed("ls $PWD/guest-state 2>/dev/null || true").split()

def give(machine, name):
    before = has(machine)
    put(machine, name)
    return before

def stand_still(machine):
    print("stand", "still", flush=True)  # in pieces: a report may show this line
    machine.succeed("sleep 1000")

@pytest.fixture(scope="session")
def prepared(machine):
    put(machine, "prepared")
    return machine
"""
FOUR = """
def test_a(prepared): assert give(prepared, "a") == ["prepared"]
def test_b(prepared): assert give(prepared, "b") == ["prepared"]
def test_c(prepared): assert give(prepared, "c") == ["prepared"]
def test_d(prepared): assert give(prepared, "d") == ["prepared"]
"""
RESTORE = ("--isolation", "restore")


class IsolatedRun(PytestRun):
    """script: the text of a file of tests, or {name: text} of several, which find TOOLS in `tools`. Of the end:
    `saves`, `restores` and `boots`, how often each has been done; `verdicts`, {test: that of --rerun}; `files`,
    {path: text} of the output directory; `events`, the text of events.jsonl."""

    def __init__(self, script, vms, *, options=RESTORE, **named):
        if isinstance(script, dict):
            files = {name: f"from tools import *\n{textwrap.dedent(text)}" for name, text in script.items()}
            super().__init__("", vms, files={"tools.py": TOOLS, **files}, options=options, **named)
        else:
            super().__init__(TOOLS + textwrap.dedent(script), vms, options=options, **named)

    def finish(self, *arguments, **named):
        result = super().finish(*arguments, **named)
        count = lambda pattern: len(re.findall(pattern, result.log, re.M))  # noqa: E731
        result.saves = count(r"^(\w+: )?saving the snapshot 'pytest-isolation")
        result.restores = count(r"^(\w+: )?restoring the snapshot 'pytest-isolation")
        result.boots = count(r"^\S+: connected to guest root shell")
        result.verdicts = {title.partition("::")[2]: self.verdict(case) for title, case in result.cases.items()
                           if self.verdict(case)}
        out = self.directory / "out"
        result.files = {str(path.relative_to(out)): path.read_text(errors="replace") for path in out.rglob("*")
                        if path.is_file() and ".pytest_cache" not in path.parts}
        result.events = result.files.get("events.jsonl", "")
        return result

    @staticmethod
    def verdict(case):
        found = [one.get("value") for one in case.findall("properties/property") if one.get("name") == "rerun"]
        return found[0] if found else None


def run(script, vms, *, status=0, **named):
    """Does a whole run, which must end with this exit status."""
    with IsolatedRun(script, vms, **named) as running:
        result = running.finish()
        if result.status != status:
            running.fail(f"exit status {result.status}, expected {status}")
        return result
