"""The ledger of runs, by itself: many processes that append at the same time, and what a killed one has left. The
module needs no driver, so that plain Python runs it here."""

import fcntl
import json
import os
import subprocess
import sys
import threading

import pytest

import harness

sys.path.insert(0, str(harness.ROOT / "embed/py"))
from test_driver import ledger  # noqa: E402

# Lines of many lengths, up to more than a pipe or a page holds. The processes begin together, when their input ends.
WRITER = f"""
import sys
sys.path.insert(0, {str(harness.ROOT / "embed/py")!r})
from test_driver import ledger
path, writer, lines = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.stdin.read()
for number in range(lines):
    ledger.append(path, {{"writer": writer, "number": number, "text": "x" * (number * 7919 % 70_000)}})
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in "BOOT_IMAGE_VM_LEDGER_PATH", "BOOT_IMAGE_VM_DISABLE_LEDGER":
        monkeypatch.delenv(name, raising=False)


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def append_together(path, writers, lines):
    """Has so many processes append so many lines each at the same time."""
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(writer), str(lines)], stdin=subprocess.PIPE)
                 for writer in range(writers)]
    for process in processes:
        process.stdin.close()
    assert [process.wait() for process in processes] == [0] * writers


def test_lines_of_eight_processes_at_once(tmp_path):
    path, writers, lines = tmp_path / "notes/ledger.jsonl", 8, 150
    append_together(path, writers, lines)
    found = entries(path)
    assert len(found) == writers * lines
    for writer in range(writers):
        mine = [entry for entry in found if entry["writer"] == writer]
        assert [entry["number"] for entry in mine] == list(range(lines))
        assert all(len(entry["text"]) == entry["number"] * 7919 % 70_000 for entry in mine)


def test_one_line_is_torn_and_many_processes_come(tmp_path):
    """The first to come ends the torn line, and no other makes an empty one."""
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"whole": 1}\n{"torn": ')
    append_together(path, 8, 1)
    first, torn, *rest = path.read_text().split("\n")
    assert (first, torn) == ('{"whole": 1}', '{"torn": ') and rest.pop() == ""
    assert sorted(json.loads(line)["writer"] for line in rest) == list(range(8))


def test_a_line_is_one_line(tmp_path):
    path, entry = tmp_path / "ledger.jsonl", {"text": "a\nb\u2028\x85ä\udcff"}
    ledger.append(path, entry)
    assert path.read_bytes().count(b"\n") == 1 and path.read_bytes().isascii() and entries(path) == [entry]
    with pytest.raises(ValueError):
        ledger.append(path, {"seconds": float("nan")})
    assert entries(path) == [entry]


def test_a_writer_waits_for_the_lock(tmp_path):
    path = tmp_path / "ledger.jsonl"
    thread = threading.Thread(target=ledger.append, args=(path, {"number": 2}))
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive() and path.read_text() == ""
        file.write('{"number": 1}\n')
    thread.join()
    assert entries(path) == [{"number": 1}, {"number": 2}]


def test_a_lock_that_is_never_released(tmp_path, monkeypatch):
    """It does not keep the run for ever. The line is written all the same: a write by itself does not tear."""
    monkeypatch.setattr(ledger, "LOCK_SECONDS", 0.05)
    path = tmp_path / "ledger.jsonl"
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ledger.append(path, {"number": 1})
    assert entries(path) == [{"number": 1}]


def test_a_ledger_that_is_moved_while_a_writer_waits(tmp_path):
    path = tmp_path / "ledger.jsonl"
    thread = threading.Thread(target=ledger.append, args=(path, {"number": 1}))
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        thread.start()
        thread.join(0.3)
        path.rename(tmp_path / "old.jsonl")
    thread.join()
    assert entries(path) == [{"number": 1}] and (tmp_path / "old.jsonl").read_text() == ""


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    """What was written of the line is taken back."""
    path, write = tmp_path / "ledger.jsonl", os.write

    def write_a_little(file, data):
        if len(data) < 30:
            raise OSError(28, "No space left on device")
        return write(file, data[:10])

    ledger.append(path, {"number": 1})
    monkeypatch.setattr(os, "write", write_a_little)
    with pytest.raises(OSError, match="No space left"):
        ledger.append(path, {"text": "x" * 100})
    assert entries(path) == [{"number": 1}]


def test_the_place_of_the_ledger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ledger.path_of() == tmp_path / "notes/vm-run-ledger.jsonl"
    assert ledger.path_of("/some/where") == ledger.Path("/some/where/notes/vm-run-ledger.jsonl")
    for value, expected in ("", "/d/notes/vm-run-ledger.jsonl"), ("own.jsonl", "/d/own.jsonl"), ("/a/b", "/a/b"):
        monkeypatch.setenv("BOOT_IMAGE_VM_LEDGER_PATH", value)
        assert str(ledger.path_of("/d")) == expected


def test_the_switch(monkeypatch):
    assert ledger.is_enabled()
    for value, expected in ("", True), ("0", True), ("1", False), ("yes", False):
        monkeypatch.setenv("BOOT_IMAGE_VM_DISABLE_LEDGER", value)
        assert ledger.is_enabled() == expected
