"""Waits re-check quickly, are driven by events where there are any, and say what they saw last."""

import re

import pytest

import harness


@pytest.fixture(scope="module")
def session(fake):
    first = """
        import os, subprocess, time

        def took(function, *arguments, **named):
            began = time.monotonic()
            function(*arguments, **named)
            return time.monotonic() - began

        def path(name):
            return f"{machine.state_dir}/{name}"

        machine.start()
        machine.connect()
    """
    with harness.Session(fake, first) as running:
        yield running


@pytest.fixture(scope="module")
def systemd(guests):
    with harness.Session({"machine": guests.systemd()}, "machine.wait_for_unit('multi-user.target')\n") as running:
        yield running


# ---- pace

# What makes the condition true, run beside the wait, and the wait; each by itself is a matter of milliseconds.
QUICK = {
    "file": ("touch FILE", "machine.wait_for_file(FILE)"),
    "console": ("echo here it is >&2", "machine.wait_for_console_text('here it is')"),
}


@pytest.mark.parametrize("kind", QUICK)
def test_waits_end_soon_after_their_condition(session, kind):
    """Not after a second, on average half a one. The best of several: other things run on this machine, too."""
    cause, wait = QUICK[kind]
    best = session(f"""
        FILE = path("appears")
        delays = []
        for _ in range(8):
            machine.succeed(f"rm -f {{FILE}}; (sleep 0.33; date +%s.%N > {{FILE}}.when; {cause.replace("FILE", "{FILE}")}) > /dev/null &")
            {wait}
            delays.append(time.time() - float(open(FILE + ".when").read()))
        result = min(delays)
    """)
    assert best < 0.2


def test_a_probe_is_repeated_more_than_once_a_second(session):
    """By counting them: 10 ms at first, then a tenth of the time waited."""
    count = session("""
        error_of(machine.wait_for_file, f"/no || ! echo x >> {path('tries')}", timeout=3)
        result = len(open(path("tries")).readlines())
    """)
    assert 8 <= count <= 60


def test_scripts_own_commands_keep_their_interval(session):
    count = session("""
        error_of(machine.wait_until_succeeds, f"echo x >> {path('own')}; false", timeout=3)
        result = len(open(path("own")).readlines())
    """)
    assert count <= 5


def test_retry_keeps_its_interval(session):
    calls = session("""
        calls = []
        retry(lambda last: calls.append(time.monotonic()) or len(calls) == 3)
        result = [b - a for a, b in zip(calls, calls[1:])]
    """)
    assert all(step >= 1 for step in calls)


def test_the_end_of_a_machine_is_an_event(fake):
    result = harness.run("""
        import time
        delays = []
        for _ in range(5):
            machine.succeed("(sleep 0.3; date +%s.%N > when; poweroff) > /dev/null 2>&1 &")
            machine.wait_for_shutdown()
            delays.append(time.time() - float(open(machine.state_dir / "when").read()))
        print(min(delays) < 0.3)
    """, fake)
    assert result.lines == ["True"]


# ---- a probe that hangs


def test_a_probe_that_hangs_does_not_hold_the_wait(session):
    """As nc does at a port that swallows what is sent to it."""
    assert session("""
        result = took(lambda: error_of(machine.wait_for_file, "/no || sleep 300", timeout=1))
    """) < 60


# ---- errors


def error(session, call):
    return session(f"result = error_of(lambda: {call})")


START = "RequestedAssertionFailed: action timed out after "


@pytest.mark.parametrize("call, what, seen", [
    ("machine.wait_for_file('/no', timeout=0.2)", "waiting for file '/no'", "`test -e /no`: exit code 1, no output"),
    ("machine.wait_for_open_port(1, timeout=0.2)", "waiting for TCP port 1 on localhost",
     "`nc -z localhost 1`: exit code 1"),
    ("machine.wait_for_open_port(7, 'no such host', timeout=0.2)", "waiting for TCP port 7 on no such host",
     "`nc -z no such host 7`: exit code "),
    ("machine.wait_until_succeeds('echo a; echo b; exit 3', timeout=2)", "waiting for success: echo a; echo b; exit 3",
     "exit code 3, output:\n    a\n    b"),
    ("machine.wait_until_succeeds('false', timeout=2)", "waiting for success: false", "exit code 1, no output"),
    ("machine.wait_until_fails('echo well', timeout=2)", "waiting for failure: echo well",
     "exit code 0, output:\n    well"),
    ("machine.wait_until_tty_matches('99', 'x', timeout=0.2)", "waiting for x to appear on tty 99", "no text"),
])
def test_the_last_observation(session, call, what, seen):
    text = error(session, call)
    assert text.startswith(START)
    assert re.search(r" seconds \(timeout=\d\.\d\): machine 'machine': " + re.escape(f"{what}; last seen: {seen}"), text)


def test_a_missing_program_is_named(session):
    text = error(session, "machine.wait_for_file('/no || not-a-program-at-all', timeout=0.2)")
    assert "exit code 127, output:\n    bash: line 1: not-a-program-at-all: command not found" in text


def test_the_end_of_a_long_output(session):
    text = error(session, "machine.wait_until_succeeds('seq 100000; printf \"\\n\\n   \\n\"; exit 1', timeout=3)")
    lines = text.partition("exit code 1, output:\n")[2].splitlines()
    assert len(lines) == 20 and lines[0] == "    99981" and lines[-1] == "    100000"
    text = error(session, "machine.wait_until_succeeds('head -c 1000000 /dev/zero | tr \"\\\\\\\\0\" x; exit 1', timeout=3)")
    assert 3000 < len(text) < 6000


def test_no_time_at_all(session):
    """One attempt, and the last one."""
    assert error(session, "machine.wait_for_file('/no', timeout=0)").startswith(START + "0.")


def test_retry_says_no_more_than_ever(session):
    text = error(session, "retry(lambda last: False, timeout=0.2)")
    assert text.startswith(START) and text.endswith(" seconds (timeout=0.2)")


def test_qmp_events(session):
    text = error(session, "machine.wait_for_qmp_event(lambda event: False, timeout=0.2)")
    assert text.startswith("MachineTimeout: machine 'machine': waiting for a QMP event: timed out after ")
    assert text.endswith(" seconds (timeout=0.2); last seen: no event")


def test_qmp_events_that_were_refused(tiny):
    result = harness.run("""
        machine.start()
        machine.wait_for_console_text("SeaBIOS")
        machine.qmp_client.send("stop")
        try:
            machine.wait_for_qmp_event(lambda event: event["event"] == "RESET", timeout=0.5)
        except TimeoutError as error:
            print(error)
    """, tiny)
    assert "(timeout=0.5); last seen: {'" in result.lines[0] and "'event': 'STOP'" in result.lines[0]


def test_a_machine_that_does_not_end(session):
    text = session("""
        machine.succeed("echo still here >&2")
        machine.wait_for_console_text("still here")
        try:
            machine.wait_for_shutdown(timeout=0.2)
        except subprocess.TimeoutExpired as error:
            result = [str(error), *error.__notes__]
    """)
    assert text[0] == "Command 'qemu' timed out after 0.2 seconds"
    assert text[1].startswith("machine 'machine': waiting for the VM to power off: it still runs after ")
    assert "; last console lines:\n" in text[1] and "    still here\n" in text[1]


def test_a_tty(tiny):
    result = harness.run("""
        machine.wait_until_tty_matches("1", "tty1-sh#")
        try:
            machine.wait_until_tty_matches("1", "never", timeout=0.5)
        except Exception as error:
            print(error)
    """, tiny)
    text = "\n".join(result.lines)
    assert "(timeout=0.5): machine 'machine': waiting for never to appear on tty 1; last seen: the text\n" in text
    assert text.endswith("\n    tty1-sh#")


# ---- units

UNIT = """
    machine.succeed(r'''printf '[Service]\\nType=notify\\nNotifyAccess=all\\nTimeoutStartSec=600\\n"""


def test_a_unit_that_stays_activating(systemd):
    text = systemd(UNIT + """ExecStart=/bin/sh -c "systemd-notify --status=half-way; sleep 600"\\n' > /run/systemd/system/e2e-slow.service
                   systemctl start --no-block e2e-slow.service''')
    machine.wait_until_succeeds("systemctl show e2e-slow.service | grep half-way")
    result = error_of(machine.wait_for_unit, "e2e-slow.service", timeout=1)
    machine.systemctl("stop e2e-slow.service")
    """, seconds=200)
    assert text.startswith(START)
    assert "(timeout=1.0): machine 'machine': waiting for unit e2e-slow.service; last seen: state \"activating\", " \
           "sub-state \"start\", result \"success\", status \"half-way\"" in text


def test_a_unit_whose_job_waits_for_another(systemd):
    text = systemd(r"""
    machine.succeed(r'''cd /run/systemd/system
        printf '[Service]\nType=oneshot\nExecStart=/bin/sleep 600\nTimeoutStartSec=600\n' > first.service
        printf '[Unit]\nRequires=first.service\nAfter=first.service\n[Service]\nExecStart=/bin/sleep 600\n' > second.service
        systemctl start --no-block second.service''')
    result = error_of(machine.wait_for_unit, "second.service", timeout=1)
    machine.systemctl("stop first.service second.service")
    """, seconds=200)
    assert "waiting for unit second.service; last seen: state \"inactive\", jobs:\n" in text
    assert "first.service" in text.partition("jobs:")[2] and "second.service" in text.partition("jobs:")[2]


def test_a_unit_that_fails(systemd):
    """At once, with the text that scripts know."""
    assert systemd("""
        machine.execute("systemd-run --unit=fails --property=RemainAfterExit=yes false")
        machine.wait_until_fails("systemctl is-active --quiet fails && systemctl show fails -p SubState | grep running")
        result = error_of(machine.wait_for_unit, "fails", timeout=60)
    """, seconds=200) == 'RequestedAssertionFailed: unit "fails" reached state "failed"'
