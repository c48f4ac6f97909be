"""Breakpoints: `debug`, and the debugger that waits after a failure when --debug-hook-attach is given."""

import os
import re
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

import harness

ATTACH = ["--debug-hook-attach", "/bin/attach"]
STOPS = """
    def compute(a):
        debug.breakpoint({arguments})
        b = a + 1
        return b

    print("result", compute(41))
    print("end")
"""


class Client:
    """A client, like telnet, of the debugger at the n-th breakpoint of a run."""

    def __init__(self, run, n=1):
        found = run.wait_for(f"(?s:(?:.*?session open at 127.0.0.1:(\\d+), waiting){{{n}}})")
        self.socket = socket.create_connection(("127.0.0.1", int(found[1])), timeout=10)
        self.replies = self.socket.makefile("r", encoding="utf-8", newline="")

    def __enter__(self):
        self.first = self.behind_the_call(self.answer())
        return self

    def behind_the_call(self, text):
        """Returns the text of the debugger at the line after the call of breakpoint(). From Python 3.13 on, pdb stops
        in the line of the call itself."""
        return self("next") if "-> debug.breakpoint(" in text else text

    def __exit__(self, *_):
        self.replies.close()
        self.socket.close()

    def answer(self):
        """Returns the debugger's output up to its prompt, or to the end of the connection."""
        text = ""
        while not text.endswith("(Pdb) ") and (character := self.replies.read(1)):
            text += character
        return text.removesuffix("(Pdb) ")

    def __call__(self, command):
        self.socket.sendall(f"{command}\r\n".encode())
        return self.answer()


def debugged(arguments="port=0", **named):
    return harness.Run(STOPS.format(arguments=arguments), options=ATTACH, **named)


def markers(run):
    """{NUMBER: pid} of the processes `sleep NUMBER`."""
    return {command.split()[1]: pid for pid, command in harness.left_processes(run.mark).items()
            if command.startswith("sleep ")}


def marker(run):
    number = run.wait_for(r"!!! Breakpoint reached, run 'sudo /bin/attach (\d{6,7})'")[1]
    assert harness.wait_until(lambda: number in markers(run), 5), "no process `sleep NUMBER`"
    return markers(run)[number]


# ---- without the option


def test_without_the_option_nothing_happens():
    result = harness.run("""
        from test_driver.debug import Debug, DebugAbstract, DebugNop
        assert isinstance(debug, DebugNop) and isinstance(debug, DebugAbstract) and not isinstance(debug, Debug)
        assert driver.debug.breakpoint() is None
        debug.breakpoint(host="127.0.0.1", port=4444)
        print("on")
    """)
    assert result.lines == ["on"] and "Breakpoint" not in result.log


# ---- debug.breakpoint()


def test_a_client_looks_and_changes():
    with debugged() as run, Client(run) as client:
        assert "-> b = a + 1\r\n" in client.first
        assert "debug.breakpoint(port=0)" in client("list")
        assert client("p a") == "41\r\n"
        client("!a = 1")
        assert "-> return b" in client("next")
        assert client("p b, 'ü'") == "(2, 'ü')\r\n"
        assert client("p machines, t.failureException.__name__") == "([], 'RequestedAssertionFailed')\r\n"
        assert client("continue") == ""
        result = run.finish()
        assert (result.status, result.lines) == (0, ["result 2", "end"])


def test_the_attach_program_finds_the_sandbox():
    with debugged() as run:
        pid = marker(run)
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        shell, = [variable for variable in variables if variable.startswith(b"bashInteractive=")]
        assert shell.endswith(b"/bash")
        assert os.getsid(pid) != os.getsid(run.pid)  # Ctrl-C at the driver's terminal does not reach the process
        with Client(run) as client:
            client("continue")
        assert run.finish().status == 0
        assert not harness.is_alive(pid)


@pytest.mark.parametrize("leave", ["quit", "exit", "hang up", "end of file", "reset"])
def test_leaving_lets_the_script_go_on(leave):
    with debugged() as run, Client(run) as client:
        if leave == "reset":
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if leave in ("hang up", "reset"):
            client.__exit__()
        elif leave == "end of file":
            client.socket.shutdown(socket.SHUT_WR)
        else:
            client(leave)
        result = run.finish()
        assert (result.status, result.lines) == (0, ["result 42", "end"])


def test_a_client_that_vanishes_while_the_script_runs():
    with harness.Run("""
        debug.breakpoint(port=0)
        input()
        a = 1
        debug.breakpoint(port=0)
        print("end")
    """, options=ATTACH, stdin=subprocess.PIPE) as run:
        with Client(run) as client:
            client("break 4")
            client.socket.sendall(b"continue\n")
        run.process.stdin.write(b"x" * 10 + b"\n")
        run.process.stdin.close()
        with Client(run, 2) as client:  # the second breakpoint starts another debugger
            client("continue")
        assert run.finish().lines == ["end"]


def test_breakpoints_of_pdb_keep_the_connection():
    with harness.Run("""
        debug.breakpoint(port=0)
        for n in range(3):
            square = n * n
        debug.breakpoint()
        print("end")
    """, options=ATTACH) as run, Client(run) as client:
        client("break 4, n == 2")
        assert "-> square = n * n" in client("continue")
        assert client("p n") == "2\r\n"
        assert "print(\"end\")" in client.behind_the_call(client("continue"))  # the next call of debug.breakpoint()
        assert "Deleted breakpoint" in client("clear 1")
        assert client("continue") == ""
        result = run.finish()
        assert result.lines == ["end"] and result.log.count("Breakpoint reached") == 1


def test_stepping_past_the_end_of_the_script():
    with harness.Run("debug.breakpoint(port=0)\nlast = 1", options=ATTACH) as run, Client(run) as client:
        assert "-> last = 1" in client.first
        assert "--Return--" in client("next")
        assert client("next") == ""
        assert run.finish().status == 0


def test_a_given_port_is_used_unless_it_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with debugged(f"'127.0.0.1', {port}") as run, Client(run) as client:
            assert client.socket.getpeername()[1] != port
            client("quit")
            assert run.finish().status == 0
    with debugged(f"'127.0.0.1', {port}") as run, Client(run) as client:
        assert client.socket.getpeername()[1] == port
        client("quit")
        assert run.finish().status == 0


# ---- after failures


@pytest.mark.parametrize("statement, report, place", [
    ("t.assertEqual(a, 2)", "!!! RequestedAssertionFailed: 1 != 2", "-> t.assertEqual(a, 2)"),
    ("a / 0", "ZeroDivisionError: division by zero", "-> a / 0"),
    ("import json; json.loads('{')", "json.decoder.JSONDecodeError", "-> import json; json.loads('{')"),
    ("driver.create_machine('false').start()", "exited with code 1", "-> driver.create_machine('false').start()"),
])
def test_failures_wait_for_a_debugger(statement, report, place):
    script = f"def check(a):\n    {statement}\n\ncheck(1)\n"
    with harness.Run(script, options=ATTACH) as run, Client(run) as client:
        assert place in client.first
        assert report in harness.plain(run.err)
        assert client("p a") == "1\r\n"
        assert "-> check(1)" in client("up")
        client("quit")
        assert run.finish().status == 1


def test_an_exit_is_no_failure():
    result = harness.run("import sys\nsys.exit(3)", options=ATTACH, status=3)
    assert "Breakpoint" not in result.log


def test_machines_are_there_while_the_debugger_is(fake):
    with harness.Run("machine.succeed('true')\nassert False", fake, options=ATTACH) as run, Client(run) as client:
        assert client("p machine.succeed('echo here')") == "'here\\n'\r\n"
        client("continue")
        assert run.finish().status == 1


# ---- the end of the run while the debugger waits for a client or has one


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, 137)])
@pytest.mark.parametrize("connected", [False, True])
def test_signals(number, status, connected):
    with debugged() as run:
        pid = marker(run)
        client = connected and Client(run).__enter__()
        run.wait_for("RemotePdb accepted" if connected else "waiting for connection")
        run.signal(number)
        assert run.finish(10).status == status
        assert harness.wait_until(lambda: not harness.is_alive(pid), 2)
        if client:
            client.__exit__()


def test_the_time_limit():
    with debugged(global_timeout=1) as run:
        pid = marker(run)
        assert run.finish(10).status == 143
        assert harness.wait_until(lambda: not harness.is_alive(pid), 2)


def test_signals_after_a_failure():
    with harness.Run("assert False", options=ATTACH) as run:
        marker(run)
        run.wait_for("waiting for connection")
        run.signal(signal.SIGTERM)
        assert run.finish(10).status == 143
        assert re.search(r"^AssertionError", run.err, re.M)
