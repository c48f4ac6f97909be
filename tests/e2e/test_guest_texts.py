"""The texts that root shells evaluate use nothing that bash has learnt after its version 4.3."""

import re

import pytest

import harness

NEWER = {
    "4.4": r"\$\{[^}]*@[QEPA]\}|\b(mapfile|readarray)\b.*-d|\blocal -(\s|$)|inherit_errexit|\bPS0\b",
    "5.0": r"EPOCH(REALTIME|SECONDS)|BASH_ARGV0|\bwait\b[^;|&]*-f\b|localvar_inherit",
    "5.1": r"SRANDOM|\bwait\b[^;|&]*-p\b|\$\{[^}]*@[UuLKa]\}",
    "5.3": r"\$\{[ |]",
}
TEXTS = [path for path in sorted((harness.ROOT / "driver").glob("*/*")) if path.suffix in (".bash", ".sh")]


@pytest.mark.parametrize("version", NEWER)
def test_no_newer_bash_is_needed(version):
    found = {(str(path.relative_to(harness.ROOT / "driver")), line.strip()) for path in TEXTS
             for line in path.read_text().splitlines()
             if not line.strip().startswith("#") and re.search(NEWER[version], line)}
    assert not found


def test_the_texts_are_found():
    assert {path.name for path in TEXTS} >= {"guest.bash", "guest_long.bash", "guest_port.bash", "launch.sh", "serial.sh"}
