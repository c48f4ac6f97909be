"""machine.shell_interact() and machine.console_interact() in a terminal, with a real guest."""

import shutil
import socket
import threading

import pytest

import harness
from terminal import Terminal



@pytest.fixture
def session(tiny, tmp_path):
    """A terminal with the prompt of a run whose machine is not started yet."""
    for module in "ptpython", "IPython":
        (tmp_path / f"{module}.py").write_text("raise ImportError\n")
    with Terminal(harness.Run("", tiny, options=["-I"], env={"PYTHONPATH": tmp_path, "TERM": "screen"})) as terminal:
        terminal.wait_for(">>>")
        yield terminal
        terminal.press("C-d")
        assert terminal.wait_for_end() == 0


def enter(terminal):
    terminal.type("machine.shell_interact()")
    terminal.wait_for("Terminal is ready, Ctrl-] leaves it")
    assert "Warning" not in terminal.screen, terminal.screen
    at_prompt(terminal)


def at_prompt(terminal):
    """Waits for the prompt: keys that are typed earlier may be lost by Ctrl-C or a change of the terminal's mode."""
    assert harness.wait_until(lambda: terminal.screen.rstrip().endswith("bash-5.2#"), 20), terminal.screen


def test_a_root_shell(session):
    enter(session)
    session.type("echo $((40 + 2)) $USER; tty; stty size")
    session.wait_for("42 root\n/dev/hvc1\n50 150\n")
    at_prompt(session)
    session.tmux("resize-window", "-x", "100", "-y", "40")
    session.type("until [ \"$(stty size)\" = '40 100' ]; do usleep 100000; done; echo resi''zed")
    session.wait_for("resized")
    at_prompt(session)
    # The guest's terminal edits lines.
    session.type("echo abcX", enter=False)
    session.press("BSpace", "Enter")
    session.wait_for("\nabc\n")
    at_prompt(session)
    session.press("Up", "Enter")
    assert harness.wait_until(lambda: session.screen.count("\nabc\n") == 2, 10), session.screen
    # Ctrl-C and Ctrl-Z reach the guest.
    at_prompt(session)
    session.type("sh -c 'echo be\"\"gins; sleep 1000'; echo 'not' reached")
    session.wait_for("begins")
    session.press("C-c")
    at_prompt(session)
    session.type("echo status $?")
    session.wait_for("status 130")
    at_prompt(session)
    session.type("sh -c 'echo stops so\"\"on; sleep 1001'")
    session.wait_for("stops soon")
    session.press("C-z")
    session.wait_for("Stopped")
    at_prompt(session)
    session.type("jobs; kill %1; seq 30000 | tail -n 20000")
    session.wait_for("\n30000\n")
    assert "\n12345\n" in session.tmux("capture-pane", "-p", "-S", "-") or "\n29999\n" in session.screen
    session.press("C-]")
    session.wait_for("Left the terminal")
    session.type("print('commands', machine.succeed('echo work'), machine.succeed('pgrep -x sleep || true'), 'again')")
    session.wait_for("commands work\n  again")
    # A second interaction begins like the first, without output of the first.
    enter(session)
    session.type("stty size; printf 'last %s\\n' words; exit")
    session.wait_for("The shell has ended")
    assert "last words" in session.screen
    session.type("print(machine.qmp_client.send('query-chardev')['return'].__len__(), machine.succeed('ps'))")
    session.wait_for("bash --norc")
    assert "bash -i" not in session.screen.rpartition("query-chardev")[2]


def test_the_end_of_the_machine(session):
    enter(session)
    session.type("poweroff -f")
    session.wait_for("The shell has ended")
    session.type("print('booted', machine.booted)")
    session.wait_for("booted False")
    session.type("machine.console_interact()")
    session.wait_for("MachineError: machine 'machine' is not running")


def test_the_serial_console(session):
    session.type("machine.connect(); _ = machine.execute('setsid cat /dev/ttyS0 >/dev/ttyS0 2>&1 </dev/null &')")
    session.wait_for("(finished: waiting for the VM to finish booting")
    session.type("_ = machine.succeed('printf \"a prompt: \" >/dev/ttyS0')")
    session.type("machine.console_interact()")
    session.wait_for("Terminal is ready (there is no prompt):")
    session.wait_for("\na prompt:")
    session.type("héllo")
    assert harness.wait_until(lambda: session.screen.count("héllo") >= 2, 20), session.screen
    session.press("C-]")
    session.wait_for("Closing connection to the console")
    session.type("print('goes', 'on', machine.succeed('echo here'))")
    session.wait_for("goes on here")
    assert "machine # h" not in session.screen


@pytest.mark.skipif(not shutil.which("socat"), reason="the package socat is missing")
def test_an_address(tiny):
    """shell_interact(address) connects a program to a shell, without a terminal."""
    listener = socket.create_server(("127.0.0.1", 0))
    answers = []

    def serve():
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as stream:
            for command in "echo one $((1 + 1)); pwd", "ls /nonexistent", "sleep 0.1; echo 'a  b'":
                stream.write(f"{command}\n")
                stream.flush()
                answers.append(stream.readline())
                if len(answers) == 1:
                    answers.append(stream.readline())

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        result = harness.run(f"""
            machine.shell_interact("tcp:127.0.0.1:{listener.getsockname()[1]}")
            print("after", machine.succeed("echo it"))
        """, tiny)
        thread.join(10)
    assert answers[:2] == ["one 2\n", "/tmp\n"] and "nonexistent" in answers[2] and answers[3] == "a  b\n"
    assert result.lines[0] == "after it"


def test_without_a_terminal(fake):
    result = harness.run("""
        from test_driver.errors import MachineError
        import shutil
        for call in machine.shell_interact, machine.console_interact:
            try:
                call()
            except MachineError as error:
                print(error, machine.booted)
            machine.start()
        os.environ["PATH"] = "/nonexistent"
        try:
            machine.shell_interact("tcp:127.0.0.1:1")
        except MachineError as error:
            print(error)
        try:
            machine.shell_interact(5)
        except TypeError as error:
            print(error)
    """, fake)
    assert result.lines == [
        "machine 'machine': shell_interact() without an address needs a terminal, and standard input is none False",
        "machine 'machine': console_interact() needs a terminal, and standard input is none True",
        "machine 'machine': shell_interact() with an address needs the program socat, which is not on PATH",
        "shell_interact() argument 'address' must be str or None, not int"]


def test_the_run_ends_during_an_interaction(tiny):
    """The end of a run during an interaction restores the terminal's mode."""
    run = harness.Run("machine.shell_interact()", tiny, global_timeout=30)
    with Terminal(run) as terminal:
        terminal.wait_for("bash-5.2#")
        assert terminal.wait_for_end() == 143
        terminal.assert_usable()
