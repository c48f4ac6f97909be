"""Commands that read their standard input: they get an end of file, and never the driver's own text for the shell."""

import pytest

import harness

FIRST = """
import signal

def alarm(*_):
    raise InterruptedError("alarm")

signal.signal(signal.SIGALRM, alarm)

def in_step():
    for word in "one", "two":
        assert machine.execute(f"echo {word}; exit 3", timeout=None) == (3, word + "\\n")
"""
READERS = ["cat", "read x", "head -c 5", "while read -r line; do echo $line; done; false", "setsid -w cat",
           "bash -c 'cat & wait $!; false'", "(cat <&3 > /dev/null 2>&1 &) 3<&0; false"]


@pytest.fixture(scope="module", params=["fake", "tiny", "systemd"])
def guest(request, guests, fakes):
    return request.param, fakes("machine") if request.param == "fake" else {"machine": getattr(guests, request.param)()}


@pytest.fixture(scope="module")
def session(guest):
    kind, vms = guest
    with harness.Session(vms, FIRST) as running:
        running.has_terminal = kind != "fake"
        yield running


@pytest.mark.parametrize("reader", READERS)
def test_without_a_time_out_reading_ends_at_once(session, reader):
    session("""
        status, output = machine.execute(reader, timeout=None)
        assert output == "" and status in (0, 1), (status, output)
        in_step()
    """, reader=reader, seconds=200)


@pytest.mark.parametrize("reader", READERS[:3])
def test_with_a_time_out_a_terminal_is_waited_for(session, reader):
    session("""
        result = machine.execute(reader, timeout=2)
        assert result == (124, "") if has_terminal else result[0] in (0, 1), result
        in_step()
    """, reader=reader, has_terminal=session.has_terminal)


# The fake machine's shell has no terminal.
with_terminal = pytest.mark.parametrize("guest", ["tiny", "systemd"], indirect=True, scope="module")


@with_terminal
@pytest.mark.parametrize("limit", [None, 900])
def test_standard_input_is_a_terminal(session, limit):
    session("""
        for command, output in (("tty", "/dev/hvc0\\n"), ("stty size", "0 0\\n"), ("[ -t 0 ]; echo $?", "0\\n"),
                                ("su root -s /bin/bash -c tty", "/dev/hvc0\\n")):
            assert machine.execute(command, timeout=limit) == (0, output), command
        in_step()
    """, limit=limit)


@with_terminal
@pytest.mark.parametrize("reader", ["cat /dev/hvc0", "cat /dev/hvc0 & cat /dev/hvc0; cat /dev/hvc0", "sleep 1000 & sleep 1000"])
def test_what_reads_the_terminal_itself_can_be_interrupted(session, reader):
    """When a wait for a command is interrupted, the driver ends the command even if that reads the terminal itself."""
    session("""
        signal.setitimer(signal.ITIMER_REAL, 2)
        assert "InterruptedError" in error_of(machine.succeed, reader)
        in_step()
    """, reader=reader, seconds=200)
