"""tests/nixos/run: the table and the counts of NixOS tests, with a program in the place of the one that boots them."""

import os
import subprocess

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
[ -d "$XDG_RUNTIME_DIR" ] || exit 3
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
hangs.nix) sleep 600 & wait ;;
esac
"""


@pytest.fixture
def genuine(tmp_path):
    """A function that runs the lines of a list; returns status, lines of the output and the directory of logs."""
    program = tmp_path / "boots/boots"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)

    def run(*lines, names=(), **env):
        (tmp_path / "list").write_text("# a comment\n\n" + "".join(f"{line}\n" for line in lines))
        variables = {"NIXTRUTH": str(program.parent), "BUILD": str(tmp_path / "build"), **env}
        done = subprocess.run([RUN, "--list", tmp_path / "list", *names], env={**os.environ, "PEER": "", **variables},
                              stdout=subprocess.PIPE, text=True, timeout=300)
        return done.returncode, done.stdout.splitlines(), tmp_path / "build/nixos"
    return run


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
    status, lines, logs = genuine("ends-with-7.nix | status=7 boot=5 args='--isolation restore' |", "here-fails.nix | product |",
                                  "works.nix | status=7 | ", "hangs.nix | limit=1 | ")
    assert [row[1:] for row in rows(lines)] == [
        ["passed", ""], ["passed", ""], ["failed", "here: exit status 0; arguments: here nixos/tests/works.nix --"],
        ["failed", "here: no end after 1 seconds; arguments: here nixos/tests/hangs.nix --"]]
    assert "-- --isolation restore --boot-timeout 5\n" in (logs / "ends-with-7/here/run.log").read_text()
    assert "arguments: package" in (logs / "here-fails-product/here/run.log").read_text()


def test_names_choose_tests(genuine):
    assert [row[0] for row in rows(genuine("a.nix | | ", "@b.c | | ", "d.nix | | ", names=["@b.c", "d.nix"])[1])] == ["@b.c", "d.nix"]
    assert genuine("a.nix | | ", names=["b.nix"])[0] == 2


def test_without_the_program_nothing_is_run(genuine):
    status, lines, _ = genuine("a.nix | | ", "b.nix | | ", NIXTRUTH="")
    assert status == 1 and lines[0].startswith("NOT RUN: 2 NixOS tests need") and "make test-nixos" in lines[0]
    assert lines[-1] == "0 passed, 0 failed, 2 not run"


def test_every_line_of_the_list_can_be_read(genuine):
    done = subprocess.run([RUN], env={**os.environ, "NIXTRUTH": ""}, stdout=subprocess.PIPE, text=True)
    assert done.stdout.endswith(" not run\n")
