"""Several runs with the same run-time directory at the same time, and the state that is kept there."""

import os
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import harness

SCRIPT = """
print(NAME.tmp_dir, NAME.shell_path, os.path.dirname(os.environ["QEMU_VDE_SOCKET_1"]))
NAME.succeed("touch ours")
NAME.wait_for_file(os.environ["GO_ON"])
assert (NAME.state_dir / "ours").exists() and NAME.succeed("echo alive") == "alive\\n"
print("alive")
"""


@pytest.fixture
def base():
    with tempfile.TemporaryDirectory(prefix="e2e-") as path:  # tmp_path would be too long for sockets
        yield Path(path)


@contextmanager
def running(base, vms, *options, script=SCRIPT):
    """A run whose script has started its machine and waits. At the end of the `with` block the script goes on, and the
    machine must still be alive then."""
    name, = vms
    with harness.Run(script.replace("NAME", name), vms, vlans=[1], options=options,
                     env={"XDG_RUNTIME_DIR": base, "GO_ON": "{dir}/go"}) as run:
        run.places = run.wait_for(r"^(/.*) (/.*) (/.*)$").groups()
        try:
            yield run
            (run.directory / "go").touch()
            assert run.process.wait(30) == 0 and "alive" in run.out
        finally:
            harness.own_children.discard(run.pid)


def all_in(place):
    return str(place), f"{place}/vm-state-machine/shell", str(place)


def refused(base, vms, *options):
    """Does a run that must be refused. Returns its error message."""
    result = harness.run("1 / 0", vms, options=options, env={"XDG_RUNTIME_DIR": base}, status=2)
    assert result.out == ""
    return result.err


def test_each_has_its_own(fake, base):
    """The first run uses the directory itself, where scripts and users look. A later run takes a place that has become
    free."""
    places = [str(base), f"{base}/ntd-run-2", f"{base}/ntd-run-3"]
    with running(base, fake) as first:
        assert first.places == all_in(places[0])
        with running(base, fake) as second, running(base, fake) as third:
            assert second.places == all_in(places[1]) and third.places == all_in(places[2])
            said = f"{base} is in use by process {first.pid}; this run is in "
            assert said + places[1] in second.err and said + places[2] in third.err
            assert "in use" not in first.err
        with running(base, fake) as another:
            assert another.places == all_in(places[1])
    with running(base, fake) as last:
        assert last.places == all_in(places[0])
    assert harness.left_files(base) == []


@pytest.mark.parametrize("script, status", [("pass", 0), ("1 / 0", 1), ("os.kill(os.getpid(), 15)", 143)])
def test_what_is_empty_is_not_left(fake, base, script, status):
    with running(base, fake):
        harness.run(script, env={"XDG_RUNTIME_DIR": base}, status=status)
        assert not (base / "ntd-run-2").exists()
    harness.run(script, env={"XDG_RUNTIME_DIR": base}, status=status)
    assert {path.name for path in base.iterdir()} <= {"vm-state-machine", "shared-xchg"}


def test_runs_that_come_and_go(base):
    """Each run finds a place, though the lock files are removed and made again all the time."""
    for _ in range(8):
        with ExitStack() as stack:
            runs = [stack.enter_context(harness.Run("", env={"XDG_RUNTIME_DIR": base})) for _ in range(4)]
            assert [run.finish().status for run in runs] == [0] * 4
    assert list(base.iterdir()) == []


def test_a_place_of_a_killed_run_is_free(fake, base):
    with running(base, fake) as first:
        harness.run("machine.connect(); os.kill(os.getpid(), 9)", fake, env={"XDG_RUNTIME_DIR": base}, status=137)
        with running(base, fake) as second:
            assert second.places == all_in(f"{base}/ntd-run-2")
    harness.run("machine.connect(); os.kill(os.getpid(), 9)", fake, env={"XDG_RUNTIME_DIR": base}, status=137)
    with running(base, fake) as last:
        assert last.places == all_in(base)


@pytest.mark.parametrize("option", [[], ["--keep-machine-state"]])
def test_kept_state_that_is_in_use_is_refused(fake, base, option):
    with running(base, fake, *option) as first:
        error = refused(base, fake, "--keep-machine-state")
        assert f"the state of machine 'machine', {base}/vm-state-machine, is in use by process {first.pid}" in error


def test_kept_state_in_use_is_not_reset_by_others(fakes, fake, base):
    with running(base, fake, "-K"):
        with running(base, fake) as other:
            assert other.places == all_in(f"{base}/ntd-run-2")
        with running(base, fakes("b"), "-K") as beside:
            assert beside.places == (str(base), f"{base}/ntd-run-2/b-shell", f"{base}/ntd-run-2")
    assert (base / "vm-state-machine/ours").exists() and (base / "vm-state-b/ours").exists()


def test_state_of_a_machine_that_a_script_makes(fakes, fake, base):
    """The state is locked like the state of machines of the configuration, and becomes free with the end of the run."""
    with running(base, fakes("b"), "-K"):
        script = """
            for start in "echo 1; false", "echo 2; false":
                create_machine(start, name="free", keep_machine_state=True)
            try:
                create_machine("false", name="b", keep_machine_state=True)
            except Exception as error:
                print(error)
        """
        result = harness.run(script, options=["-K"], env={"XDG_RUNTIME_DIR": base})
        assert f"the state of machine 'b', {base}/vm-state-b, is in use by process " in result.lines[0]
    harness.run("create_machine('false', name='b', keep_machine_state=True)", options=["-K"],
                env={"XDG_RUNTIME_DIR": base})


def test_state_that_another_user_has_left(fake, base):
    if os.geteuid() != 0:
        pytest.skip("only root can make files of others")
    (base / "vm-state-machine").mkdir()
    (base / "ntd-run-2").mkdir()
    for name in "vm-state-machine", "ntd-run-2":
        os.chown(base / name, 1, 1)
    with running(base, fake) as run:
        assert run.places == all_in(f"{base}/ntd-run-3")
        assert f"{base}/vm-state-machine belongs to user 1; this run is in {base}/ntd-run-3" in run.err


def test_a_long_directory(fake, base):
    """With a long directory, sockets are made in a short one; the state stays where it belongs."""
    long = base / ("d" * 70)
    long.mkdir()
    with running(long, fake) as first, running(long, fake) as second:
        assert first.places[0] == str(long) and second.places[0] == f"{long}/ntd-run-2"
        assert second.places[2].startswith("/tmp/ntd-")
    assert harness.left_files(long) == [] and not os.path.exists(second.places[2])
