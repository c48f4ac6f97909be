"""Waits: their pace, things that have just appeared, answers that tell nothing, probes that hang, and errors with the
last answer."""

import re
import textwrap

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

# {kind: (command that makes the condition true while the script waits, the wait)}; each takes milliseconds.
QUICK = {
    "file": ("echo written > FILE", "machine.wait_for_file(FILE)"),
    "console": ("echo here it is >&2", "machine.wait_for_console_text('here it is')"),
}


@pytest.mark.parametrize("kind", QUICK)
def test_waits_end_soon_after_their_condition(session, kind):
    """A wait ends much less than a second after its condition has become true. The best of several tries counts, since
    other programs run on this host, too."""
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
    assert best < 0.4


def test_a_probe_is_repeated_more_than_once_a_second(session):
    """The probes are counted: the pause is 10 ms at first, then a tenth of the time waited."""
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


# ---- things that have just appeared

APPEARING = {
    "in two steps": (">> FILE", "echo whole", True),
    "under another name": ("> FILE.new", "echo whole; mv FILE.new FILE", True),
    "empty for good": ("> FILE", "true", False),
}


@pytest.mark.parametrize("how", APPEARING)
def test_a_file_that_appears_is_not_half_written(session, how):
    """A file that is written in two steps within a moment is complete when the wait ends."""
    target, writing, has_content = APPEARING[how]
    text = session(f"""
        FILE = path("appearing")
        machine.succeed("rm -f FILE; (sleep 0.3; (sleep 0.05; {writing}) {target}) > /dev/null 2>&1 &".replace("FILE", FILE))
        machine.wait_for_file(FILE)
        result = machine.succeed("cat " + FILE)
    """)
    assert ("whole" in text) == has_content


# Functions that put a program before all others in the PATH of the session's root shell, and remove it.
FIRST = """
    def put_first(name, text):
        machine.succeed(f"mkdir -p first; rm -f first/*; cat > first/{name} <<'END'\\n#!/bin/bash\\n{text}\\nEND\\nchmod +x first/{name}")
        machine.shell.send(b'OLD=$PATH; PATH=$PWD/first:$PATH\\n')

    def put_back():
        machine.shell.send(b'PATH=$OLD\\n')
"""
COUNTED = "echo x >> $0.calls; n=$(wc -l < $0.calls)\n"


def with_program(session, name, text, code):
    return session(textwrap.dedent(FIRST) + f"put_first({name!r}, {text!r})\ntry:\n"
                   + textwrap.indent(textwrap.dedent(code).strip(), "    ") + "\nfinally:\n    put_back()\n")


def test_a_guest_without_stat(session):
    """In a guest without stat, a file counts once it is not empty."""
    assert with_program(session, "stat", "exit 1", """
        machine.succeed("! stat /; rm -f late; (sleep 0.3; (sleep 0.05; echo whole) > late) > /dev/null 2>&1 &")
        machine.wait_for_file("late")
        result = machine.succeed("cat late")
    """) == "whole\n"


def looks_at(session, made):
    """Returns how often a wait looked at something that was made meanwhile. One look names the file three or four
    times."""
    return session(f"""
        machine.succeed("rm -rf tries kind; (sleep 0.3; {made}) > /dev/null 2>&1 &")
        machine.wait_for_file("kind && echo x >> tries")
        result = len(open(path("tries")).readlines())
    """)


@pytest.mark.parametrize("made", ["mkdir kind", "mkfifo kind", "ln -s /dev/null kind", "ln -s . kind"])
def test_what_is_not_a_regular_file_counts_at_once(session, made):
    assert looks_at(session, made) <= 4 < looks_at(session, ": > kind")


def test_a_file_that_is_there_counts_at_once(session):
    assert session("""
        machine.succeed(": > there; rm -f tries")
        machine.wait_for_file("there && echo x >> tries")
        result = len(open(path("tries")).readlines())
    """) <= 4


def test_a_screen_is_not_half_drawn(session):
    """The text that matches at the second look is longer at the third. The wait ends once two further looks agree."""
    assert with_program(session, "fold", COUNTED + "printf 'login\\nwhole\\n' | head -n $((n - 1))", """
        machine.wait_until_tty_matches("1", "login")
        result = len(open(path("first/fold.calls")).readlines())
    """) >= 4


# ---- answers that tell nothing


@pytest.mark.parametrize("nothing", ["echo", "true", "exit 1", "echo Other=1"])
def test_a_unit_is_asked_for_again(session, nothing):
    with_program(session, "systemctl", f"{COUNTED}if [ $n -ge 4 ]; then echo ActiveState=active; else {nothing}; fi",
                 "machine.wait_for_unit('late')")


def test_a_unit_whose_state_never_comes(session):
    text = with_program(session, "systemctl", "echo", "result = error_of(machine.wait_for_unit, 'never', timeout=1)")
    assert text.startswith(START)
    assert 'last seen: systemctl show --property "ActiveState" "never"produced invalid output: ' in text


def test_a_systemctl_that_goes_on_failing(session):
    text = with_program(session, "systemctl", "exit 4", "result = error_of(machine.wait_for_unit, 'never', timeout=1)")
    assert text == ('RequestedAssertionFailed: retrieving systemctl property "ActiveState" for unit "never" failed with '
                    "exit code 4")


@pytest.mark.parametrize("jobs", ["true", "exit 1", "echo No jobs running."])
def test_jobs_that_are_not_told(session, jobs):
    """An answer about jobs that tells nothing, and a state that is not told, are asked for again."""
    with_program(session, "systemctl", COUNTED + f"""case "$*" in *list-jobs*) {jobs};; *Active*)
        if [ $n -ge 6 ]; then echo ActiveState=active; else echo ActiveState=inactive; fi;; *) echo;; esac""",
                 "machine.wait_for_unit('late')")


def test_a_state_is_asked_for_again(session):
    with_program(session, "systemctl", COUNTED + "if [ $n -ge 3 ]; then echo ActiveState=active; else echo; fi",
                 "machine.require_unit_state('late')")


def test_a_property_that_a_unit_has_not(session):
    text = with_program(session, "systemctl", "echo", "result = error_of(machine.get_unit_property, 'U', 'P')")
    assert text == 'RequestedAssertionFailed: systemctl show --property "P" "U"produced invalid output: \n'


def test_a_tty_that_is_not_there_matches_nothing(session):
    assert "last seen: no text" in error(session, "machine.wait_until_tty_matches('99', '', timeout=0.5)")


def test_windows_of_a_server_that_is_not_there_yet(session):
    with_program(session, "xwininfo", COUNTED + """[ $n -ge 4 ] && echo '   0x1 "a window": ()'""",
                 "machine.wait_for_window('a window')")


# ---- a probe that hangs


def test_a_probe_that_hangs_does_not_hold_the_wait(session):
    """nc hangs like that at a port that drops all packets."""
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
    """A time-out of 0 allows one attempt."""
    assert error(session, "machine.wait_for_file('/no', timeout=0)").startswith(START)
    assert session("""
        calls = []
        result = error_of(retry, lambda last: calls.append(last), timeout=0), calls
    """) == ["RequestedAssertionFailed: action timed out after 0.00 seconds (timeout=0.0)", [True]]
    assert session("""
        machine.succeed("rm -f tries")
        error_of(machine.wait_until_succeeds, "echo x >> tries; false", timeout=0)
        error_of(machine.wait_for_file, "/no || ! echo x >> tries", timeout=0)
        result = len(open(path("tries")).readlines())
    """) == 2


@pytest.mark.parametrize("call", [
    "retry(lambda last: True, timeout=3, timeout_seconds=3)",
    "machine.sleep(1, duration=1)",
    "polling_condition(lambda: True).wait(timeout=3, timeout_seconds=3)",
    "polling_condition(interval=3, seconds_interval=3)(lambda: True)",
])
def test_an_old_and_a_new_name_together(session, call):
    assert error(session, call).startswith("TypeError: ")


def test_a_key_that_qemu_does_not_know(tiny):
    result = harness.run("""
        machine.start()
        machine.send_key("nosuchkey")
        machine.send_chars("é")
    """, tiny)
    assert "QEMU refuses key 'nosuchkey', which was not sent: invalid parameter: nosuchkey" in result.log
    assert "QEMU refuses key 'é'" in result.log


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
    """The wait ends at once, with the message that scripts know from upstream; a note names the file with the journal."""
    text = systemd("""
        machine.execute("systemd-run --unit=fails --property=RemainAfterExit=yes false")
        machine.wait_until_fails("systemctl is-active --quiet fails && systemctl show fails -p SubState | grep running")
        result = error_of(machine.wait_for_unit, "fails", timeout=60)
    """, seconds=200)
    assert text.startswith('RequestedAssertionFailed: unit "fails" reached state "failed"\nThe unit\'s status and journal are in /')
