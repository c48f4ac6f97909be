"""The last five lines of a failed run."""

import re
import signal
import textwrap

import pytest

import harness

LABELS = ["the test failed: ", "  where    ", "  line     ", "  machine  ", "  look in  "]


def summary(result):
    """The texts of the five lines, which are the last ones of standard error."""
    lines = result.err.splitlines()[-5:]
    assert [line[:len(label)] for line, label in zip(lines, LABELS, strict=True)] == LABELS, result.err
    assert result.err.count(LABELS[0]) == 1
    return [line[len(label):] for line, label in zip(lines, LABELS)]


def failed(script, vms, status=1, **named):
    """The five texts of a run, and its directory as a string, which they have instead of {dir}."""
    with harness.Run(script, vms, options=["--junit-xml", "{dir}/out/junit.xml"], **named) as running:
        result = running.finish()
    assert result.status == status
    return [text.replace(str(running.directory), "{dir}") for text in summary(result)]


def test_a_command_in_a_function(fakes):
    what, where, line, machine, files = failed("""\
        def check(machine):
            machine.succeed("echo the last words >&2; exit 3")
        a.start()
        b.start()
        check(b)
        """, fakes("a", "b"))
    assert what == "RequestedAssertionFailed: command `echo the last words >&2; exit 3` failed (exit code 3)"
    assert re.fullmatch(r"\{dir}/script.py:2, after \d+\.\d seconds", where)
    assert line == 'machine.succeed("echo the last words >&2; exit 3")'
    assert machine == "b is connected; its console's last line: the last words"
    assert files == "{dir}/out: failure, console-logs, junit.xml"


def test_an_error_of_the_script(fakes):
    what, where, line, machine, _ = failed("""\
        a.succeed("true")
        try:
            b.succeed("false")
        except Exception:
            a.succeed("true")
        raise ValueError("two\\nlines\\x1b]0;title\\x07 and " + 400 * "x")
        """, fakes("a", "b"))
    assert what.startswith("ValueError: two lines and xxx") and what.endswith("xxx...") and len(what) == 300
    assert where.startswith("{dir}/script.py:6, ") and line.startswith("raise ValueError(")
    assert machine == "a is connected, b is connected"


def test_a_machine_that_died(fakes):
    what, where, line, machine, _ = failed("""\
        a.connect()
        b.connect()
        b.process.send_signal(9)
        b.execute("true")
        """, fakes("a", "b"))
    assert what.startswith("MachineDied: ") and where.startswith("{dir}/script.py:") and "b." in line
    assert machine.startswith("b is dead; its console's last line: ")


@pytest.mark.parametrize("script, status, what", [
    ("import sys\nsys.exit(7)", 7, "the script exits with status 7"),
    ("log.error('no')", 1, "the script exits with status 1"),
    ("raise SystemExit('a message')", 1, "a message"),
])
def test_an_exit(script, status, what):
    # As NixOS sets it; there is nothing to look into.
    told, where, line, machine, files = failed(script, None, status, env={"LOGFILE": "/dev/null"})
    assert told == what and line == script.splitlines()[-1] and machine == "there are none"
    assert files == "{dir}/out: junit.xml"


def test_the_time_limit(fakes):
    what, where, line, machine, _ = failed("""\
        b.start()
        b.wait_for_console_text("never")
        """, fakes("a", "b"), status=143, global_timeout=4)
    assert what == "timeout reached; test terminating..."
    assert where.startswith("{dir}/script.py:2, ") and line == 'b.wait_for_console_text("never")'
    assert machine.startswith("b is ")


def test_sigterm(fake):
    with harness.Run("machine.start()\nprint('here')\nmachine.wait_for_console_text('never')", fake) as running:
        running.wait_for("here")
        running.process.send_signal(signal.SIGTERM)
        result = running.finish()
    what, where, line, _, _ = summary(result)
    assert what == "SIGTERM ended the run" and ":3, " in where and line == "machine.wait_for_console_text('never')"


def test_sigterm_in_pytest_style(fake):
    with harness.Run("""
        def check(machine):
            machine.execute("echo here >&2; sleep 100")
        def test_it(machine):
            check(machine)
        """, fake) as running:
        running.wait_for("machine # here")
        running.process.send_signal(signal.SIGTERM)
        result = running.finish()
    what, where, line, _, _ = summary(result)
    assert what == "script.py::test_it: SIGTERM ended the run"
    assert ":3, " in where and line == 'machine.execute("echo here >&2; sleep 100")'


def test_a_package_beside_the_tests_is_not_the_place(fake, tmp_path):
    """The test does not end when the run does, so only the frames of its thread say where it is."""
    packages = tmp_path / "venv/lib/site-packages"
    packages.mkdir(parents=True)
    (packages / "helper.py").write_text(textwrap.dedent("""\
        def wait(machine):
            machine.log("the test waits")
            while True:
                try:
                    machine.wait_for_console_text("never")
                except BaseException:
                    pass
        """))
    (tmp_path / "test_it.py").write_text(textwrap.dedent(f"""\
        import sys
        sys.path.insert(0, {str(packages)!r})
        import helper
        def test_it(machine):
            helper.wait(machine)
        """))
    with harness.Run("", fake, options=["--script", tmp_path]) as running:
        running.wait_for("the test waits")
        running.process.send_signal(signal.SIGTERM)
        result = running.finish()
    _, where, line, _, _ = summary(result)
    assert where.startswith(f"{tmp_path}/test_it.py:5, ") and line == "helper.wait(machine)"


def test_a_test_in_pytest_style(fakes):
    what, where, line, machine, files = failed("""\
        def test_good(a):
            a.succeed("true")
        def check(machine):
            machine.succeed("false")
        def test_bad(a, b):
            check(b)
        def test_worse(a):
            assert a.succeed("echo 1") == "2"
        """, fakes("a", "b"))
    assert what.startswith("script.py::test_bad: ") and what.endswith("command `false` failed (exit code 1)")
    assert where.startswith("{dir}/script.py:4, ") and line == 'machine.succeed("false")'
    assert machine.startswith("b is connected; ")
    assert files.startswith("{dir}/out: failure, ")


@pytest.mark.parametrize("script", ["machine.succeed('true')", "import sys\nsys.exit(0)", "def test_a(machine): pass"])
def test_none_after_a_success(fake, script):
    assert LABELS[0] not in harness.run(script, fake).err


def test_none_after_ctrl_c(fake):
    with harness.Run("machine.start()\nprint('here')\nmachine.wait_for_console_text('never')", fake) as running:
        running.wait_for("here")
        running.process.send_signal(signal.SIGINT)
        result = running.finish()
    assert result.status == 130 and LABELS[0] not in result.err


def test_none_before_the_script_runs(fake):
    assert LABELS[0] not in harness.run("a syntax error", fake, status=1).err
