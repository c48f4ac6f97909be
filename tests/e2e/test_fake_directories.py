"""Directories at run time: long and strange names, state that is kept, and nothing left behind."""

import os
import tempfile
from pathlib import Path

import pytest

import harness

CHECK = """
    start_all()
    assert machine.succeed("echo fine") == "fine\\n"
    assert machine.succeed("pwd") == f"{machine.state_dir}\\n"
    assert "running" in machine.send_monitor_command("info status")
    print(machine.state_dir)
    print(machine.shell_path)
    print(os.environ["QEMU_VDE_SOCKET_1"])
"""


@pytest.mark.parametrize("name", [
    "with spaces  and 'quotes'", 'a "double" one', "$HOME `id` \\n !", "commas,and=equals", "new\nline", "é€",
    "-dash", "*?[a]", "%s%n",
])
def test_strange_directories(fake, tmp_path, name):
    base = tmp_path / name
    base.mkdir()
    result = harness.run(CHECK, fake, vlans=[1], env={"TMPDIR": base})
    assert f"{base}/vm-state-machine" in result.out
    assert harness.left_files(base) == []


@pytest.mark.parametrize("length", [75, 150, 1000])
def test_long_directories(fake, tmp_path, length):
    """Sockets are made in a short directory of their own, which is removed; all other files stay where they belong."""
    base = tmp_path
    while len(str(base)) < length:
        base /= "d" * min(length - len(str(base)), 200)
    base.mkdir(parents=True)
    result = harness.run(CHECK, fake, vlans=[1], env={"TMPDIR": base})
    state, shell, vlan = result.lines
    assert state == f"{base}/vm-state-machine"
    assert len(shell) <= 107 and len(vlan) <= 100
    if length > 107:
        assert not shell.startswith(str(tmp_path))
    assert not os.path.exists(os.path.dirname(vlan)) or os.path.dirname(vlan) == str(base)
    assert not os.path.exists(shell) and not os.path.exists(vlan)


@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)", "1 / 0", "while True: pass"])
def test_short_directory_is_always_removed(fake, tmp_path, ending):
    base = tmp_path / ("d" * 120)
    base.mkdir()
    with harness.Run(f"machine.connect()\nprint(machine.shell_path.parent)\n{ending}\n", fake, vlans=[1],
                     env={"TMPDIR": base}, global_timeout=2) as run:
        result = run.finish()
        short = result.lines[0]
        assert short.startswith("/tmp/ntd-")
        gone = harness.wait_until(lambda: not os.path.exists(short), harness.LEAVE_SECONDS)
        assert gone, os.listdir(short)


def test_long_machine_name(fakes):
    name = "a-machine-with-a-name-of-sixty-three-letters-which-is-a-lot-now"
    harness.run("assert machine.succeed('echo fine') == 'fine\\n'", fakes(name))


def test_output_directory_of_a_strange_name(fake, tmp_path):
    out = tmp_path / "it's the \"output\",\n$HOME"
    out.mkdir()
    result = harness.run("machine.connect(); print(repr(str(machine.out_dir)))", fake,
                         options=["-o", out, "--junit-xml", "report.xml"])
    assert result.lines == [repr(str(out))]
    assert (out / "report.xml").exists()


def test_start_script_of_a_strange_name(fake, tmp_path):
    directory = tmp_path / "my 'own' $vms"
    directory.mkdir()
    script = directory / "run-machine-vm"
    script.symlink_to(fake["machine"])
    assert harness.run("print(machine.succeed('echo fine'))", {"machine": script}).lines[0] == "fine"


def test_variables_for_the_run_time_directory(fake, tmp_path):
    names = ["XDG_RUNTIME_DIR", "TMPDIR", "TEMP", "TMP"]
    for name in names:
        (tmp_path / name).mkdir()
    for n, first in enumerate(names):
        env = {name: tmp_path / name if name in names[n:] else "" for name in names}
        result = harness.run("print(machine.tmp_dir)", fake, env=env)
        assert result.lines == [str(tmp_path / first)]


def test_run_time_directory_is_made(fake, tmp_path):
    harness.run("machine.start()", fake, env={"XDG_RUNTIME_DIR": tmp_path / "new"})
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_state_is_kept_or_not(fake, tmp_path):
    script = """
        print((machine.state_dir / "mark").exists())
        machine.succeed("touch mark")
        machine.shutdown()
    """
    for option, expected in (None, "False"), ("-K", "True"), ("--keep-vm-state", "True"), (None, "False"):
        result = harness.run(script, fake, directory=tmp_path, options=[option] if option else [])
        assert result.lines == [expected]
        assert ("Machine state will be reset. To keep it, pass --keep-machine-state" in result.log) == (not option)


def test_state_that_was_left_by_a_killed_driver(fake):
    with tempfile.TemporaryDirectory(prefix="e2e-") as directory:  # tmp_path would be too long for sockets
        harness.run("machine.connect(); os.kill(os.getpid(), 9)", fake, status=137, directory=directory)
        for name in "monitor", "shell", "qmp":  # as a killed driver leaves them
            Path(directory, "tmp/vm-state-machine", name).touch()
        Path(directory, "tmp/vde1.ctl").mkdir()
        for _ in range(2):
            result = harness.run("print(machine.succeed('echo fine'))", fake, directory=directory, options=["-K"],
                                 vlans=[1])
            assert result.lines[0] == "fine"
            assert f"{directory}/tmp/vde1.ctl" in result.log


def test_cleanup_statedir(fake):
    result = harness.run("""
        machine.succeed("touch file")
        machine.shutdown()
        machine.cleanup_statedir()
        assert not machine.state_dir.exists()
        assert machine.succeed("test ! -e file; echo again") == "again\\n"
    """, fake)
    assert "\ndeleting machine state directory " in result.log
    assert "if you want to keep the machine state, pass --keep-machine-state" in result.log


def test_two_drivers_at_the_same_time(fake):
    with harness.Run("machine.succeed('sleep 1')", fake, vlans=[1]) as first, \
            harness.Run("machine.succeed('sleep 1')", fake, vlans=[1]) as second:
        for run in first, second:
            assert run.process.wait(20) == 0
            harness.own_children.discard(run.pid)
