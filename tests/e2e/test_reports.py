"""Reports of a run: raw console logs, the quiet log, and JUnit and XML files after each kind of end."""

import os
import re
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import harness


# ---- raw console logs


def test_console_logs_are_raw_and_of_all_starts(fakes, tmp_path):
    script = """
        start_all()
        a.succeed("printf 'one\\\\r\\\\n\\\\377\\\\000 \\\\033[1m' >&2")
        a.shutdown()
        a.succeed("echo again >&2")
        a.shutdown()
        a.cleanup_statedir()
        a.succeed("echo elsewhere >&2")
        for _ in range(2):
            made = create_machine(os.environ["START"], name="made")
            made.succeed("echo from made >&2; echo not on the console")
            made.shutdown()
        assert os.listdir(a.out_dir) == []  # the driver writes nothing else there while the script runs
    """
    vms = fakes("a", "b", "made")
    start = vms.pop("made")
    for _ in range(2):  # the second run replaces the logs
        harness.run(script, vms, directory=tmp_path, env={"START": start})
        logs = {path.name: path.read_bytes() for path in (tmp_path / "out/console-logs").iterdir()}
        hello = b"connecting to host...\n"
        assert logs == {
            "a.log": hello + b"one\r\n\377\0 \033[1m" + hello + b"again\n" + hello + b"elsewhere\n",
            "b.log": hello,
            "made.log": 2 * (hello + b"from made\n"),
        }
        assert logs["a.log"].endswith((tmp_path / "tmp/vm-state-a/console.log").read_bytes())


def test_console_logs_of_the_last_run_stay_as_they_are(fake, tmp_path):
    """The next run does not change them, even if both share their state."""
    for name in "one", "two":
        (tmp_path / name).mkdir()
        harness.run(f"machine.succeed('echo {name} >&2')", fake, directory=tmp_path, options=["-K", "-o", tmp_path / name])
    assert (tmp_path / "one/console-logs/machine.log").read_text() == "connecting to host...\none\n"


def test_console_log_on_another_file_system(fake):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as out:
        assert os.stat(out).st_dev != os.stat(tempfile.gettempdir()).st_dev
        harness.run("machine.succeed('seq 1 20000 >&2')\nmachine.wait_for_console_text('20000')", fake, options=["-o", out])
        assert Path(out, "console-logs/machine.log").read_text().split()[3:] == [str(n) for n in range(1, 20001)]


def test_console_log_of_a_killed_driver(fake):
    with harness.Run("""
        machine.succeed("seq 1 20000 >&2")
        machine.wait_for_console_text("20000")
        os.kill(os.getpid(), 9)
    """, fake) as run:
        assert run.finish().status == 137
        log = run.directory / "out/console-logs/machine.log"
        harness.wait_until(lambda: log.exists() and log.read_text().endswith("\n20000\n"), 5)
        assert log.read_text().splitlines()[1:] == [str(n) for n in range(1, 20001)]


def test_no_console_logs_in_the_current_directory(fake):
    """Console logs need the option for an output directory; without it they are only in the state directory."""
    with harness.Run("machine.succeed('echo hello >&2')", fake,
                     arguments=["{dir}/script.py", "--vm-start-scripts", fake["machine"]]) as run:
        before = set(os.listdir(run.directory))
        assert run.finish().status == 0
        assert set(os.listdir(run.directory)) == before
        assert (run.directory / "tmp/vm-state-machine/console.log").read_text().endswith("hello\n")


# ---- quiet


def test_quiet(fakes):
    result = harness.run("""
        start_all()
        with subtest("a part"):
            a.succeed("seq -f 'line %.0f' 30 >&2")
        serial_stdout_on()
        log.log("of no interest")
        log.warning("careful")
        b.succeed("echo its output; false")
    """, fakes("a", "b"), status=1, options=["--quiet"])
    lines, tails = result.log.partition("cleanup\n")[::2]
    assert result.out == ""
    assert [line for line in lines.splitlines() if "(finished" not in line] == [
        "start all VLans",
        "run the VM test script",
        "start all VMs",
        "subtest: a part",
        "a: must succeed: seq -f 'line %.0f' 30 >&2",
        "a: waiting for the VM to finish booting",
        "careful",
        "b: must succeed: echo its output; false",
        "b: waiting for the VM to finish booting",
        "b: output: its output", "",
        "!!! Traceback (most recent call last):",
        '!!!   File "<string>", line 8, in <module>',
        '!!!     b.succeed("echo its output; false")',
        "!!! ",
        "!!! RequestedAssertionFailed: command `echo its output; false` failed (exit code 1)",
    ]
    assert "b: last console lines:\nb # connecting to host...\n" in tails
    assert "a: last console lines:\n" + "".join(f"a # line {n}\n" for n in range(11, 31)) in tails


def test_quiet_success(fake):
    result = harness.run("machine.succeed('echo hello >&2')", fake, options=["--quiet"])
    assert " # " not in result.log and "kill" not in result.log and "last console lines" not in result.log
    assert "machine: must succeed: echo hello >&2" in result.log


def test_quiet_tells_of_the_time_limit(fake):
    result = harness.run("machine.succeed('sleep 1000')", fake, options=["--quiet"], global_timeout=1, status=143)
    assert "timeout reached; test terminating..." in result.log.splitlines()
    *_, console, summary, _, _, _, _ = result.log.splitlines()
    assert console == "machine # connecting to host..." and summary.startswith("the test failed: timeout reached")


# ---- JUnit and XML, however the run ends


def run_with_reports(script, vms, **named):
    """Does a run with both reports. Returns the result, the root of the XML log, and the JUnit cases by name."""
    with harness.Run(script, vms, env={"LOGFILE": "{dir}/log.xml"}, options=["--junit-xml", "junit.xml"],
                     **named) as run:
        result = run.finish()
        log = ElementTree.parse(run.directory / "log.xml").getroot()
        junit = ElementTree.parse(run.directory / "out/junit.xml").getroot()
        return result, log, {case.get("name"): case for case in junit.iter("testcase")}


@pytest.mark.parametrize("ending, status, where, reason", [
    ("machine.succeed('false')", 1, "main", r"command `false` failed \(exit code 1\)"),
    ("with subtest('bad'): machine.succeed('false')", 1, "bad", r"command `false` failed \(exit code 1\)"),
    ("with subtest('bad'): raise ValueError('mine')", 1, "bad", 'Test "bad" failed with error: "mine"'),
    ("raise ValueError('mine')", 1, "main", "The run ended with exit status 1."),
    ("import sys; sys.exit(3)", 3, "main", "The run ended with exit status 3."),
    ("os.kill(os.getpid(), 15)", 143, "main", "The run ended with exit status 143."),
    ("with subtest('bad'): machine.succeed('sleep 1000')", 143, "bad",
     "timeout reached; test terminating..."),
    ("machine.wait_for_console_text('never')", 143, "main", "timeout reached; test terminating..."),
    ("raise KeyboardInterrupt", 130, "main",
     "The run ended with exit status 130."),
], ids=["check", "check in subtest", "exception in subtest", "exception", "exit", "sigterm", "limit in subtest", "limit",
        "interrupt"])
def test_reports_of_an_ending(fake, ending, status, where, reason):
    result, log, cases = run_with_reports(f"""
machine.connect()
with subtest("good"):
    machine.succeed("echo good output >&2")
    machine.wait_for_console_text("good output")
{ending}
""", fake, global_timeout=2)
    assert result.status == status
    failed = {name: case.findtext("failure") for name, case in cases.items() if case.find("failure") is not None}
    assert where in failed and re.search(reason, failed[where])
    assert "good" not in failed
    assert "machine # good output" in cases["good"].findtext("system-out")
    assert set(cases) == {"good", where}
    assert "good output" in [line.text for line in log.iter("line") if line.get("type") == "serial"]


def test_reports_when_a_thread_does_not_end(fake):
    _, log, cases = run_with_reports("""
        import threading
        threading.Thread(target=threading.Event().wait).start()
    """, fake)
    assert "a thread of the test script does not end; leaving without it" in [line.text for line in log.iter("line")]
    assert cases["main"].find("failure") is None


def test_times_of_cases(fake):
    _, _, cases = run_with_reports("""
        machine.connect()
        with subtest("short"):
            pass
        with subtest("long"):
            machine.succeed("sleep 0.5")
    """, fake)
    times = {name: float(case.get("time")) for name, case in cases.items()}
    assert times["long"] >= 0.5
    assert times["short"] < times["long"]
