"""The ledger of runs: a file of JSON lines to which concurrent runs append; test_driver.run_record imports this module.

A line is appended by a single write to a file that is open for appending, under a lock (flock), so that lines of
several processes do not mix. A line that a killed run has left unfinished is ended before the next one.
"""

import fcntl
import json
import os
import time
from pathlib import Path

DEFAULT_PATH = "notes/vm-run-ledger.jsonl"  # relative to the directory of the invocation
LOCK_SECONDS = 30  # for a lock that another process holds; a line takes it a few milliseconds


def is_enabled():
    """Whether runs are noted in the ledger: BOOT_IMAGE_VM_DISABLE_LEDGER in the environment is not set, empty, or 0."""
    return os.environ.get("BOOT_IMAGE_VM_DISABLE_LEDGER", "") in ("", "0")


def path_of(directory=None):
    """Returns the path of the ledger: BOOT_IMAGE_VM_LEDGER_PATH in the environment, else DEFAULT_PATH. directory: what
    a relative path is relative to; default: the current directory."""
    return Path(directory or Path.cwd()) / (os.environ.get("BOOT_IMAGE_VM_LEDGER_PATH") or DEFAULT_PATH)


def _lock(file):
    """Locks a file, waiting at most LOCK_SECONDS; returns whether it is locked. Some file systems have no locks."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.01)
        except OSError:
            return False


def _is_at(file, path):
    """Whether an open file is the one at the path: it may have been moved while this process waited for the lock."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(file)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _write(file, line, is_locked):
    """Writes the line, after a newline if the last line has none. When the disk is full, what was written of it is
    taken back, unless another process may have written after it."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        line = b"\n" + line
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[os.write(file, rest):]  # all at once, but for a disk that is almost full
    except OSError:
        if is_locked:
            os.ftruncate(file, size)
        raise


def append(path, entry):
    """Appends an object as a line to the ledger, which is made if missing, with the directories above it.

    path: of the ledger. entry: a dict that JSON can express. OSError when the line cannot be written."""
    line = json.dumps(entry, allow_nan=False).encode() + b"\n"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            is_locked = _lock(file)
            if not is_locked or _is_at(file, path):
                return _write(file, line, is_locked)
        finally:
            os.close(file)  # unlocks it, too
