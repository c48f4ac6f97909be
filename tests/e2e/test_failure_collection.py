"""Evidence about the machines that the driver collects in OUT/failure when a test fails, always and quickly."""

import json
import os
import re
import signal

import pytest

import harness

NOTICE = "collecting what is known of the machines in "
# The collection may take no longer. A machine that answers takes a fraction of a second, one that hangs two deadlines
# of 2.5 and 3.5 s; the rest is for a busy host.
MOST_SECONDS = 15


def read_failure(run):
    """Returns the collected evidence, {machine: {file: text}}; a picture is bytes instead of text."""
    directory = run.directory / "out/failure"
    if not directory.exists():
        return {}
    return {machine.name: {path.name: path.read_bytes() if path.suffix == ".png" else path.read_text()
                           for path in machine.iterdir()} for machine in directory.iterdir()}


def fail(script, vms, *, status=1, **named):
    """Does a run that must fail. Returns its result and the evidence."""
    with harness.Run(script, vms, **named) as run:
        result = run.finish()
        assert result.status == status
        failure = read_failure(run)
        assert (f"{NOTICE}{run.directory}/out/failure" in result.log.splitlines()) == bool(failure)
        return result, failure


def notes(files):
    return dict(line.split(": ", 1) for line in files["notes.txt"].splitlines())


# ---- when evidence is collected


@pytest.mark.parametrize("ending, status", [
    ("machine.succeed('false')", 1),
    ("raise ValueError('mine')", 1),
    ("import sys; sys.exit(3)", 3),
    ("log.error('the reason')", 1),
    ("machine.wait_for_console_text('never')", 143),
    ("while True: pass", 143),
], ids=["check", "exception", "exit", "error", "limit", "limit in Python"])
def test_failures(fake, ending, status):
    limit = {"global_timeout": 1} if status == 143 else {}
    result, failure = fail(f"machine.connect()\n{ending}\n", fake, status=status, **limit)
    assert set(failure) == {"machine"}
    assert json.loads(failure["machine"]["qmp-status.json"])["status"] == "running"
    assert "run-machine-vm" in failure["machine"]["processes.txt"]
    assert result.log.count(NOTICE) == 1


@pytest.mark.parametrize("ending, status", [
    ("", 0),
    ("import sys; sys.exit(0)", 0),
    ("raise KeyboardInterrupt", 130),
    ("os.kill(os.getpid(), 2)", 130),
    ("os.kill(os.getpid(), 15)", 143),
    ("os.kill(os.getpid(), 1)", 129),
    ("try:\n    os.kill(os.getpid(), 15); machine.succeed('sleep 1000')\nfinally:\n    raise ValueError('told to end')", 1),
], ids=["success", "exit", "KeyboardInterrupt", "SIGINT", "SIGTERM", "SIGHUP", "failure after SIGTERM"])
def test_no_failures(fake, ending, status):
    _, failure = fail(f"machine.connect()\n{ending}\n", fake, status=status)
    assert failure == {}


def test_machines_that_were_never_started(fakes):
    assert fail("raise ValueError()", fakes("a", "b"))[1] == {}
    assert fail("print(", fakes("a", "b"))[1] == {}
    assert set(fail("b.start(); raise ValueError()", fakes("a", "b"))[1]) == {"b"}


def test_traceback_comes_first_and_the_log_is_as_ever(fake):
    with_it, _ = fail("machine.succeed('false')", fake)
    lines = with_it.log.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(NOTICE))
    assert lines[at - 1] == "!!! RequestedAssertionFailed: command `false` failed (exit code 1)"
    assert lines[at + 1] == "cleanup"


# ---- which evidence is collected


def test_two_machines_at_the_same_time(fakes):
    _, failure = fail("""
        start_all()
        a.succeed("seq 1 300 >&2; printf 'a prompt: ' >&2")
        made = create_machine(os.environ["START"], name="made")
        made.succeed("false")
    """, {name: path for name, path in fakes("a", "b", "made").items() if name != "made"},
        env={"START": fakes("made")["made"]})
    assert set(failure) == {"a", "b", "made"}
    *lines, last = failure["a"]["console.log"].splitlines()
    assert lines == [str(n) for n in range(102, 301)] and last.rstrip() == "a prompt:"
    assert failure["b"]["console.log"] == "connecting to host...\n"
    for files in failure.values():
        assert {"qmp-status.json", "processes.txt", "journal.txt"} <= set(files)
        assert "screendump has not been found" in notes(files)["screen.png"]


def test_names_that_lead_nowhere(fake):
    _, failure = fail(f"""
        for _ in range(2):
            create_machine({fake["machine"]!r}, name="..").start()
        raise ValueError()
    """, {})
    assert set(failure) == {"_..", "_..-2"}


@pytest.mark.parametrize("script", [
    "machine.connect(); assert os.environ['GOOD'] == 'yes'",
    "import os\ndef test_it(machine):\n    machine.connect()\n    assert os.environ['GOOD'] == 'yes'\n",
], ids=["legacy", "pytest"])
def test_what_a_run_left_is_gone_after_the_next(fake, tmp_path, script):
    for good, expected in ("no", True), ("yes", False):
        harness.run(script, fake, directory=tmp_path, env={"GOOD": good}, status=int(expected))
        assert (tmp_path / "out/failure").exists() == expected
        assert len(list((tmp_path / "out").rglob("qmp-status.json"))) == expected
    for name in "x.service.txt", "mine":
        (tmp_path / "out/failed-units/machine").mkdir(parents=True, exist_ok=True)
        (tmp_path / "out/failed-units/machine" / name).touch()
    (tmp_path / "out/failure/machine").mkdir(parents=True)
    (tmp_path / "out/failure/machine/mine").touch()
    harness.run(script, fake, directory=tmp_path, env={"GOOD": "yes"})
    assert (tmp_path / "out/failure/machine/mine").exists()
    assert os.listdir(tmp_path / "out/failed-units/machine") == ["mine"]


def test_directory_that_cannot_be_made(fake, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/failure").write_text("in the way")
    result = harness.run("machine.succeed('false')", fake, directory=tmp_path, status=1)
    assert "machine: cannot make directory" in result.log
    assert "RequestedAssertionFailed: command `false` failed (exit code 1)" in result.log


# ---- machines that do not answer


@pytest.mark.parametrize("fault, note", [
    ("threading.Thread(target=a.succeed, args=['sleep 1000']).start(); time.sleep(0.3)",
     "the root shell is busy with `sleep 1000`"),
    ("os.kill(a.pid, signal.SIGSTOP)", "QEMU does not answer"),
    ("os.kill(a.pid, signal.SIGKILL)\n        while a.booted: time.sleep(0.01)", r"the QEMU process was killed by signal 9 \(Killed\)"),
    ("a.shutdown()", "the QEMU process exited with code 0"),
    ("a.shell.send(b'sleep 1000\\n')", "the root shell does not answer"),
    ("a.execute('kill -STOP $$', check_output=False)", "the root shell does not answer"),
    ("a.execute('echo \"[    1.0] Kernel panic - not syncing: no\" >&2; kill -STOP $PPID', check_output=False)",
     "the root shell does not answer|machine 'a': the guest does not answer any more; .*"),
], ids=["busy", "stopped", "killed", "off", "raw", "shell stopped", "panicked"])
def test_faults(fakes, fault, note):
    """A machine that does not answer does not delay the end, and the evidence about the other machine is complete."""
    result, failure = fail(f"""
        import signal, threading, time
        start_all()
        a.connect()
        b.connect()
        {fault}
        raise ValueError("mine")
    """, fakes("a", "b"), options=["--no-agent"])
    assert result.seconds < MOST_SECONDS
    assert re.fullmatch(note, notes(failure["a"])["journal.txt"])
    assert "processes.txt" not in failure["a"]
    assert "connecting to host..." in failure["a"]["console.log"]
    assert "journal.txt" in failure["b"] and "journal.txt" not in notes(failure["b"])


def test_guest_that_has_not_booted(fake):
    result, failure = fail("machine.start(); raise ValueError()", fake, env={"FAKE_BANNER": "no"})
    assert notes(failure["machine"])["processes.txt"] == "the guest has not shown a root shell yet"
    _, failure = fail("machine.connect()", fake, env={"FAKE_EXIT": "start:4", "FAKE_OUTPUT": "why\\n"})
    assert notes(failure["machine"])["processes.txt"] == "the QEMU process exited with code 4"
    assert failure["machine"]["console.log"] == "why\n"


def test_guest_that_nobody_has_met(fake):
    """The driver uses the root shell for evidence though the script has only started the machine."""
    _, failure = fail("""
        machine.start()
        machine.wait_for_console_text("connecting")
        import time; time.sleep(0.5)
        raise ValueError()
    """, fake)
    assert "run-machine-vm" in failure["machine"]["processes.txt"]


def test_a_guest_that_takes_long_for_everything(fake):
    """Each answer takes longer than the limit for a fast guest."""
    result, failure = fail("machine.succeed('true')\n1 / 0\n", fake, env={"FAKE_LAG": "4"}, seconds=120)
    assert {"processes.txt", "journal.txt"} <= set(failure["machine"])
    assert not {"processes.txt", "journal.txt"} & set(notes(failure["machine"]))


@pytest.mark.parametrize("seconds, options, env", [
    (4, [], {}), (7, ["--timeout-scale", "4"], {}), (7, [], {"FAKE_ACCELERATOR": "tcg"}),
], ids=["one miss", "time scale", "TCG"])
def test_a_shell_that_is_late_once(fake, seconds, options, env):
    """One answer may exceed the limit, which is longer for a machine that is known to be slow."""
    _, failure = fail(f"""
        machine.connect()
        machine.wait_for_console_text("connecting")
        machine.shell.send(b"sleep {seconds}\\n")
        raise ValueError()
    """, fake, options=options, env=env, seconds=120)
    assert {"processes.txt", "journal.txt"} <= set(failure["machine"])


def test_time_limit_while_a_command_runs(fake):
    result, failure = fail("machine.succeed('sleep 1000')", fake, status=143, global_timeout=1, options=["--no-agent"])
    assert result.seconds < 1 + MOST_SECONDS
    assert notes(failure["machine"])["journal.txt"] == "the root shell is busy with `sleep 1000`"


def test_an_agent_is_asked_while_a_command_runs(fake):
    _, failure = fail("machine.succeed('true')\nmachine.succeed('sleep 1000')", fake, status=143, global_timeout=3)
    assert "processes.txt" in failure["machine"] and "journal.txt" in failure["machine"]


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_collection_is_interrupted(fake, number, status):
    with harness.Run("import signal\nmachine.connect()\nos.kill(machine.pid, signal.SIGSTOP)\n1 / 0\n", fake) as run:
        run.wait_for(NOTICE)
        run.signal(number)
        assert run.finish(MOST_SECONDS).status == status
        assert set(read_failure(run)["machine"]) == {"console.log"}  # the interrupted collection does not write notes.txt


# ---- real guests


def test_tiny_guest(tiny):
    _, failure = fail("machine.succeed('echo hello > /dev/console; false')", tiny, seconds=120)
    files = failure["machine"]
    assert "hello" in files["console.log"]
    assert files["screen.png"].startswith(b"\x89PNG\r\n\x1a\n")
    assert json.loads(files["qmp-status.json"])["running"] is True
    assert "bash" in files["processes.txt"]
    assert re.match(r"\[ +\d+\.\d+\] ", files["journal.txt"])  # the kernel's log, since the guest has no systemd
    assert "systemctl: command not found" in files["failed-units.txt"]
    assert notes(files) == {"failed-units.txt": "exit status 127"}


def test_tiny_guest_that_panicked(tiny):
    result, failure = fail("""
        machine.succeed("echo 1 > /proc/sys/kernel/sysrq; echo 8 > /proc/sys/kernel/printk")
        machine.execute("echo c > /proc/sysrq-trigger", check_output=False)
        machine.wait_for_console_text("Kernel panic - not syncing")
        raise ValueError()
    """, tiny, seconds=120)
    files = failure["machine"]
    assert "Kernel panic - not syncing" in files["console.log"]
    assert files["screen.png"].startswith(b"\x89PNG\r\n\x1a\n")
    assert set(notes(files)) == {"processes.txt", "failed-units.txt", "journal.txt"}


def test_tiny_guest_that_is_stopped(tiny):
    _, failure = fail("""
        machine.succeed("true")
        machine.send_monitor_command("stop")
        raise ValueError()
    """, tiny, seconds=120)
    assert json.loads(failure["machine"]["qmp-status.json"])["status"] == "paused"
    assert notes(failure["machine"])["processes.txt"] == "the guest is stopped: paused"


def test_systemd_guest(guests):
    _, failure = fail("""
        machine.wait_for_unit("multi-user.target")
        machine.execute("systemd-run --unit=broken sh -c 'echo my reason; exit 3'")
        machine.wait_until_succeeds("systemctl is-failed broken.service")
        machine.wait_for_unit("broken.service")
    """, {"machine": guests.systemd()}, seconds=240)
    files = failure["machine"]
    assert "broken.service" in files["failed-units.txt"] and "status=3" in files["failed-units.txt"]
    assert "my reason" in files["journal.txt"]
    assert "systemd-journal" in files["processes.txt"]
    assert files["screen.png"].startswith(b"\x89PNG\r\n\x1a\n")
    assert "notes.txt" not in files
