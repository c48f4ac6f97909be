"""tests/nixos/run: the table and the counts of NixOS tests, with a program in the place of the one that boots them."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import toolchain

RUN = toolchain.ROOT / "tests/nixos/run"

# Does what the name of a test says: of `peer-fails.nix`, the peer fails.
PROGRAM = r"""#!/bin/bash
build='' driver=package
while true; do
    case $1 in
    --build) build=1; shift ;;
    --driver) driver=$2; shift 2 ;;
    --product | --out) shift 2 ;;
    *) break ;;
    esac
done
[ -d "$XDG_RUNTIME_DIR" ] && [ -z "$PYTEST_CURRENT_TEST$MAKELEVEL" ] || exit 3
case $driver in */nixos-test-driver) driver=here ;; esac
test=${1##*/}
if [ -n "$build" ]; then
    case $test in unbuildable.nix) echo "error: no kernel"; exit 1 ;; esac
    exit 0
fi
echo "arguments: $driver $*"
case $test in
"$driver"-fails.nix | all-fail.nix)
    printf 'machine # Error: of the guest\nRequestedAssertionFailed: it is broken\nmore\n'
    exit 1 ;;
unreachable.nix)
    printf '!!! test_driver.errors.MachineTimeout: no shell; last lines:\n!!! nothing\n'
    printf '\e[1mthe test failed: MachineTimeout: no shell\e[0m\n  look in  /out\n'
    exit 1 ;;
ends-with-7.nix) exit 7 ;;
hangs.nix)
    trap 'touch told; exit 143' TERM
    (trap '' TERM; echo "$BASHPID" >pid; exec sleep 600) &
    wait ;;
esac
"""


@pytest.fixture
def genuine(tmp_path):
    """A function that runs the lines of a list; returns status, lines of the output and the directory of logs. `send`:
    a signal for it when hangs.nix hangs."""
    program = tmp_path / "boots/boots"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)

    def run(*lines, names=(), send=None, **env):
        (tmp_path / "list").write_text("# a comment\n\n" + "".join(f"{line}\n" for line in lines))
        variables = {"MAKELEVEL": "1", "NIXTRUTH": str(program.parent), "BUILD": str(tmp_path / "build"), **env}
        logs = tmp_path / "build/nixos"
        with subprocess.Popen([RUN, "--list", tmp_path / "list", *names], env={**os.environ, "PEER": "", **variables},
                              stdout=subprocess.PIPE, text=True) as process:
            if send:
                assert wait_until(lambda: hanging(logs))
                process.send_signal(send)
            output, _ = process.communicate(timeout=300)
        return process.returncode, output.splitlines(), logs
    return run


def wait_until(condition):
    end = time.monotonic() + 300
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


def hanging(logs):
    """Returns the process of hangs.nix that only SIGKILL ends, or 0."""
    path = logs / "hangs/here/pid"
    return int(path.exists() and path.read_text() or 0)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def rows(lines):
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines if line.startswith("| ")]
    return [[row[0], row[2], *row[4:]] for row in cells[2:]]


def test_a_table_of_this_driver(genuine):
    status, lines, logs = genuine("works.nix | | a boot", "here-fails.nix | | a | or b", "unbuildable.nix | | nothing")
    assert rows(lines[:-1]) == [
        ["works.nix", "passed", ""],
        ["here-fails.nix", "failed", "here: RequestedAssertionFailed: it is broken"],
        ["unbuildable.nix", "not run", "here: does not build: error: no kernel"],
    ]
    assert lines[-1] == "1 passed, 1 failed, 1 not run"
    assert status == 1
    assert "nixos/tests/works.nix --\n" in (logs / "works/here/run.log").read_text()


def test_a_table_of_two_drivers(genuine):
    status, lines, _ = genuine("here-fails.nix | |", "peer-fails.nix | | ", "all-fail.nix | | ", "own.nix | own | ", PEER="peer")
    broken = "RequestedAssertionFailed: it is broken"
    assert [row[:2] + [row[2], row[-1]] for row in rows(lines)] == [
        ["here-fails.nix", "failed", "passed", f"**differ** here: {broken}"],
        ["peer-fails.nix", "passed", "failed", f"**differ** peer: {broken}"],
        ["all-fail.nix", "failed", "failed", f"here: {broken}; peer: {broken}"],
        ["own.nix", "passed", "not run", "peer: of this driver only"],
    ]
    assert (status, lines[-1]) == (1, "2 passed, 2 failed, 0 not run")


def test_the_error_is_that_of_the_summary(genuine):
    assert rows(genuine("unreachable.nix | | ")[1]) == [["unreachable.nix", "failed", "here: MachineTimeout: no shell"]]


def test_what_the_peer_fails_as_well_is_no_fault(genuine):
    assert genuine("all-fail.nix | | ", PEER="peer")[0] == 0


def test_options_of_a_test(genuine):
    status, lines, logs = genuine("ends-with-7.nix | status=7 args='--isolation restore' |", "here-fails.nix | product |",
                                  "works.nix | status=7 | ", "hangs.nix | limit=1 | ")
    assert [row[1:] for row in rows(lines)] == [
        ["passed", ""], ["passed", ""], ["failed", "here: exit status 0; arguments: here nixos/tests/works.nix --"],
        ["failed", "here: no end after 1 seconds; arguments: here nixos/tests/hangs.nix --"]]
    assert "-- --isolation restore\n" in (logs / "ends-with-7/here/run.log").read_text()
    assert "arguments: package" in (logs / "here-fails-product/here/run.log").read_text()
    assert (logs / "hangs/here/told").exists() and wait_until(lambda: not is_alive(hanging(logs)))
    assert genuine("works.nix | prodcut | ")[0] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_what_runs_and_starts_nothing_more(genuine, number):
    status, lines, logs = genuine("works.nix | own | ", "hangs.nix | | ", "later.nix | | ", send=number, PEER="peer")
    assert [row[:3] + [row[-1]] for row in rows(lines)] == [
        ["works.nix", "passed", "not run", "peer: of this driver only"],
        ["hangs.nix", "not run", "not run", "here: interrupted; peer: interrupted"],
        ["later.nix", "not run", "not run", "here: interrupted; peer: interrupted"],
    ]
    assert (status, lines[-1]) == (128 + number, "1 passed, 0 failed, 2 not run")
    assert {str(path.relative_to(logs)) for path in logs.glob("*/*")} == {"works/here", "hangs/here"}
    assert (logs / "hangs/here/told").exists() and wait_until(lambda: not is_alive(hanging(logs)))


def test_names_choose_tests(genuine):
    assert [row[0] for row in rows(genuine("a.nix | | ", "@b.c | | ", "d.nix | | ", names=["@b.c", "d.nix"])[1])] == ["@b.c", "d.nix"]
    assert genuine("a.nix | | ", names=["b.nix"])[0] == 2


def test_a_run_replaces_the_one_before(genuine):
    assert genuine("here-fails.nix | | ")[0] == 1
    assert genuine("here-fails.nix | status=1 | ")[0] == 0


def test_that_nothing_ran_is_a_fault(genuine):
    status, lines, _ = genuine("unbuildable.nix | | ")
    assert (status, lines[-1]) == (1, "0 passed, 0 failed, 1 not run")


def test_without_the_program_nothing_is_run(genuine):
    status, lines, _ = genuine("a.nix | | ", "b.nix | | ", NIXTRUTH="")
    assert status == 1 and lines[0].startswith("NOT RUN: 2 NixOS tests need") and "make test-nixos" in lines[0]
    assert lines[-1] == "0 passed, 0 failed, 2 not run"


def test_every_line_of_the_list_can_be_read(genuine):
    done = subprocess.run([RUN], env={**os.environ, "NIXTRUTH": ""}, stdout=subprocess.PIPE, text=True)
    assert done.stdout.endswith(" not run\n")
