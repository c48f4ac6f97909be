"""The end of a run: exit statuses, tracebacks, the order and the format of the log, and time limits."""

import re

import pytest

import harness

ERROR = "\x1b[31m!!! \x1b[0m"
GREEN, RESET = "\x1b[1m\x1b[32m", "\x1b[0m"


# ---- exit statuses


@pytest.mark.parametrize("script, status, text", [
    ("", 0, "test script finished in"),
    ("import sys; sys.exit(3)", 3, ""),
    ("import sys; sys.exit()", 0, ""),
    ("import sys; sys.exit(0)", 0, ""),
    ("import sys; sys.exit(True)", 1, ""),
    ("import sys; sys.exit('these are the reasons')", 1, "^these are the reasons$"),
    ("exit(4)", 4, ""),
    ("raise SystemExit(256 + 5)", 5, ""),
    ("raise ValueError('my own problem')", 1, "^ValueError: my own problem$"),
    ("1 / 0", 1, "^ZeroDivisionError: division by zero$"),
    ("no_such_name", 1, "^NameError: name 'no_such_name' is not defined$"),
    ("machine.succeed('false')", 1, r"^!!! RequestedAssertionFailed: command `false` failed \(exit code 1\)$"),
    ("machine.no_such_method()", 1, "^AttributeError: "),
    ("log.error('the reason')", 1, "^the reason$"),
    ("assert 1 == 2, 'not equal'", 1, "^AssertionError: not equal$"),
    ("raise KeyboardInterrupt", 130, "^KeyboardInterrupt$"),
    ("from test_driver.errors import MachineError; raise MachineError('broken')", 1, "^!!! .*MachineError: broken$"),
    ("from test_driver.errors import RequestedAssertionFailed as E; raise E('no')", 1,
     "^!!! RequestedAssertionFailed: no$"),
])
def test_exit_status(fake, script, status, text):
    result = harness.run(script, fake, status=status)
    assert re.search(text, result.log, re.M), result.log
    assert "cleanup" in result.log.splitlines()
    assert ("test script finished in" in result.log) == (script == "")


def test_machines_are_released_whatever_happens(fakes):
    result = harness.run("""
        start_all()
        raise ValueError("in the middle")
    """, fakes("a", "b"), status=1)
    assert len(re.findall(r"^kill QemuMachine \(pid \d+\)$", result.log, re.M)) == 2


def test_syntax_error(fake):
    """The message is Python's own, and no machine is started."""
    result = harness.run("start_all()\nif True print(1)\n", fake, status=1)
    assert '  File "<string>", line 2\n    if True print(1)\n' in result.err
    assert re.search(r"^SyntaxError: ", result.err, re.M)
    assert "start" not in result.err.replace("start_all", "") and result.out == ""


def test_exception_in_a_thread(fake):
    result = harness.run("""
        import threading
        machine.connect()
        thread = threading.Thread(target=lambda: machine.succeed("exit 9"))
        thread.start()
        thread.join()
        print("went on", machine.succeed("echo too"))
    """, fake)
    assert "went on too" in result.lines
    assert "Exception in thread" in result.err and "command `exit 9` failed (exit code 9)" in result.err


def test_exception_while_a_thread_runs_a_command(fake):
    result = harness.run("""
        import threading, time
        machine.connect()
        threading.Thread(target=lambda: machine.succeed("sleep 1000")).start()
        time.sleep(0.5)
        raise ValueError("in the main thread")
    """, fake, status=1, seconds=20)
    assert "ValueError: in the main thread" in result.err
    assert result.seconds < 10


@pytest.mark.parametrize("body, daemon, limit", [
    ("while True: pass", True, 5),
    ("time.sleep(1000)", False, 14),  # Python waits for such a thread; the driver limits the wait
    ("machine.succeed('sleep 1000')", True, 14),  # at the end the driver runs `sync` in the shell
    ("machine.wait_for_console_text('never')", True, 5),
], ids=["loop", "sleep", "command", "console"])
def test_thread_that_never_ends(fake, body, daemon, limit):
    result = harness.run(f"""
        import threading, time

        def work():
            {body}

        machine.connect()
        threading.Thread(target=work, daemon={daemon}).start()
        time.sleep(0.3)
    """, fake, seconds=20)
    assert result.seconds < limit


def test_end_without_any_cleanup(fake):
    """The machines end with the driver, whatever ends the driver."""
    harness.run("machine.succeed('true'); os._exit(5)", fake, status=5, env={"FAKE_SURVIVOR": "1000"})
    harness.run("machine.succeed('true'); os.kill(os.getpid(), 9)", fake, status=137, env={"FAKE_SURVIVOR": "1000"})
    harness.run("machine.succeed('true'); os.abort()", fake, status=134, env={"FAKE_STUBBORN": "1"})


# ---- tracebacks


def test_end_with_a_guest_that_stands_still(fake):
    """Nobody waits for such a guest to write its disks."""
    result = harness.run("machine.connect(); machine.qmp_client.send('stop')", fake)
    assert "machine: not synced; the guest is stopped" in result.log


def test_traceback_of_a_failed_check(fake):
    """The traceback has only the script's own frames, each with its source line."""
    script = 'def helper(command):\n    machine.succeed(  command )\n\n\n' \
        'machine.connect()\nhelper("echo out; exit 3")\n'
    result = harness.run(script, fake, status=1)
    expected = [
        "Traceback (most recent call last):",
        '  File "<string>", line 6, in <module>',
        '    helper("echo out; exit 3")',
        '  File "<string>", line 2, in helper',
        "    machine.succeed(  command )",
        "",
        "RequestedAssertionFailed: command `echo out; exit 3` failed (exit code 3)",
    ]
    assert "".join(f"{ERROR}{line}\n" for line in expected) in result.err
    assert result.err.count("!!!") == len(expected)
    assert "machine: output: out\n" in result.log


def test_traceback_of_a_failed_check_with_lines(fake):
    result = harness.run("""
        machine.succeed("true")
        machine.succeed('''echo first
        exit 3''')
    """, fake, status=1)
    assert f"{ERROR}RequestedAssertionFailed: command `echo first\n{ERROR}exit 3` failed (exit code 3)\n" in result.err


def test_traceback_of_a_failed_check_below_a_library(fake):
    result = harness.run("""
        import contextlib

        @contextlib.contextmanager
        def context():
            yield

        with context():
            machine.fail("true")
    """, fake, status=1)
    assert "contextlib.py" not in result.err
    assert f'{ERROR}  File "<string>", line 9, in <module>\n{ERROR}    machine.fail("true")\n' in result.err


def test_traceback_of_a_machine_error(fake):
    """The traceback is complete."""
    result = harness.run("""
        import contextlib

        @contextlib.contextmanager
        def context():
            yield

        with context():
            machine.start()
    """, fake, status=1, env={"FAKE_EXIT": "start:1"})
    errors = [line[4:] for line in result.log.splitlines() if line.startswith("!!! ")]
    assert errors[0] == "Traceback (most recent call last):"
    assert '  File "<string>", line 9, in <module>' in errors and "    machine.start()" in errors
    assert any("exited with code 1" in line for line in errors)


def test_traceback_of_another_exception(fake):
    """The traceback is Python's, with source lines, and no line of the log's kind for test errors."""
    result = harness.run("""
        def helper():
            raise ValueError("my own problem")

        try:
            helper()
        except ValueError:
            raise KeyError("another")
    """, fake, status=1)
    assert "!!!" not in result.err
    for line in [
        "Traceback (most recent call last):",
        '  File "<string>", line 3, in helper',
        '    raise ValueError("my own problem")',
        "ValueError: my own problem",
        "During handling of the above exception, another exception occurred:",
        "KeyError: 'another'",
    ]:
        assert line in result.err.splitlines()


def test_subtest_that_fails(fake):
    result = harness.run("""
        with subtest("the title"):
            machine.succeed("false")
    """, fake, status=1)
    assert f'{ERROR}Test "the title" failed with error: "command `false` failed (exit code 1)"\n' in result.err
    assert "(finished: subtest: the title" not in result.err


# ---- the log


def test_order_and_format(fake):
    result = harness.run("""
        start_all()
        machine.connect()
        machine.wait_for_console_text("connecting")
        with subtest("a title"):
            machine.succeed("echo out")
        with machine.nested("outer"), log.nested("inner"):
            machine.log("one line")
        log.log("plain")
        log.info("info")
        log.warning("warning")
        log.log_test_error("an error")
        log.log_serial("as from a console", "somewhere")
        print("the script's output")
    """, fake, vlans=[1])
    time = r"in \d+\.\d\d seconds\)\n"

    def nested(text, prefix=""):
        return re.escape(f"{prefix}{GREEN}{text}{RESET}\n")

    def finished(text):
        return re.escape(f"(finished: {text}, ") + time

    expected = "".join([
        r"Machine state will be reset\. To keep it, pass --keep-machine-state\n",
        nested("start all VLans"),
        r"start vlan\n",
        r"running vlan \(pid \d+; ctl /\S+/vde1\.ctl\)\n",
        finished("start all VLans"),
        r"Test will time out and terminate in 300\.0 seconds\n",
        nested("run the VM test script"),
        nested("start all VMs"),
        r"machine: starting vm\n",
        r"machine: QEMU running \(pid \d+\)\n",
        finished("start all VMs"),
        nested("waiting for the VM to finish booting", "machine: "),
        r"machine: Guest shell says: b'Spawning backdoor root shell\.\.\.\\n'\n",
        r"machine: connected to guest root shell\n",
        r"machine: \(connecting took \d+\.\d\d seconds\)\n",
        finished("waiting for the VM to finish booting"),
        nested("waiting for connecting to appear on console", "machine: "),
        finished("waiting for connecting to appear on console"),
        nested("subtest: a title"),
        nested("must succeed: echo out", "machine: "),
        finished("must succeed: echo out"),
        finished("subtest: a title"),
        nested("outer", "machine: "),
        nested("inner"),
        r"machine: one line\n",
        finished("inner"),
        finished("outer"),
        r"plain\ninfo\nwarning\n",
        re.escape(f"{ERROR}an error\n"),
        finished("run the VM test script"),
        r"test script finished in \d+\.\d\ds\n",
        nested("cleanup"),
        r"kill QemuMachine \(pid \d+\)\n",
        r"kill vlan \(pid \d+\)\n",
        finished("cleanup"),
    ])
    serial = re.compile("\x1b\\[2m([^\x1b]*)\x1b\\[0m\n")
    assert re.fullmatch(expected, serial.sub("", result.err)), result.err
    assert serial.findall(result.err) == ["machine # connecting to host...", "somewhere # as from a console"]
    assert result.lines == ["the script's output"]


def test_symbols_on_standard_output(fakes):
    result = harness.run("print(sorted(set(dir()) - {'__builtins__'}))", fakes("b-c", "a"), vlans=[2, 1])
    lines = result.out.splitlines()
    assert lines[:3] == ["additionally exposed symbols:", "    a, b-c,", "    vlan1, vlan2,"] or \
        lines[:3] == ["additionally exposed symbols:", "    a, b-c,", "    vlan2, vlan1,"]
    listed = {name.strip() for name in lines[3].split(",")}
    assert {"start_all", "join_all", "test_script", "run_tests", "machines", "vlans", "driver", "log", "os", "retry",
            "create_machine", "subtest", "serial_stdout_on", "serial_stdout_off"} <= listed
    assert listed | {"a", "b_c", "vlan1", "vlan2"} == set(eval(lines[4]))


@pytest.mark.parametrize("level, shown", [
    ("debug", ["debug", "info", "warning", "plain"]),
    ("info", ["info", "warning", "plain"]),
    ("warning", ["warning", "plain"]),
    ("error", ["plain"]),
])
def test_log_level(fake, level, shown):
    script = """
        log.debug("a debug line")
        log.info("a info line")
        log.warning("a warning line")
        log.log("a plain line")
        machine.connect()
    """
    for given in {"options": ["--log-level", level]}, {"env": {"logLevel": level}}:
        result = harness.run(script, fake, **given)
        assert re.findall(r"^a (\w+) line$", result.log, re.M) == shown
        assert "connecting to host" in result.log and "waiting for the VM" in result.log
        assert ("Test will time out" in result.log) == ("info" in shown)


def test_serial_lines_can_be_hidden(fake):
    result = harness.run("""
        machine.connect()
        serial_stdout_off()
        machine.succeed("echo hidden >&2")
        machine.wait_for_console_text("hidden")
        serial_stdout_on()
        machine.succeed("echo shown >&2")
        machine.wait_for_console_text("shown")
    """, fake)
    assert "machine # shown" in result.log and "machine # hidden" not in result.log


def test_serial_lines_of_several_threads_are_whole(fakes):
    vms = fakes("a", "b", "c")
    result = harness.run("""
        import threading
        start_all()
        for one in machines:
            one.connect()
        threads = []
        for one in machines:
            command = f"for i in $(seq 2000); do echo {one.name} $i end >&2; done"
            threads.append(threading.Thread(target=one.succeed, args=(command,)))
        for thread in threads:
            thread.start()
        for n in range(500):
            log.log(f"message {n} end")
        for thread in threads:
            thread.join()
        for one in machines:
            one.wait_for_console_text(f"{one.name} 2000 end")
    """, vms)
    for name in vms:
        assert re.findall(rf"^{name} # {name} (\d+) end$", result.log, re.M) == [str(n) for n in range(1, 2001)]
    assert re.findall(r"^message (\d+) end$", result.log, re.M) == [str(n) for n in range(500)]


def test_standard_output_is_not_delayed(fake):
    with harness.Run("""
        import time
        print("first line")
        time.sleep(1000)
    """, fake) as run:
        run.wait_for("^first line$", seconds=5)
        run.kill()


# ---- time limits


@pytest.mark.parametrize("body", [
    "machine.succeed('sleep 1000')",
    "machine.wait_for_console_text('never')",
    "machine.wait_until_succeeds('false')",
    "import time; time.sleep(1000)",
    "while True: pass",
    "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
    "machine.wait_for_shutdown()",
    "join_all()",
    "import threading; threading.Lock().acquire() and threading.Event().wait()",
    """
try:
    machine.succeed("sleep 1000")
finally:
    while True:
        pass""",
], ids=["command", "console", "until", "sleep", "loop", "extension", "shutdown", "join", "lock", "finally"])
def test_global_timeout(fake, body):
    result = harness.run(f"machine.connect()\n{body}\n", fake, global_timeout=1, status=143, seconds=20)
    assert "Test will time out and terminate in 1.0 seconds" in result.log
    assert "timeout reached; test terminating..." in result.log.splitlines()
    assert result.seconds < 15
    assert re.search(r"^kill QemuMachine \(pid \d+\)$", result.log, re.M)


def test_global_timeout_while_starting(fake):
    result = harness.run("machine.connect()", fake, global_timeout=1, status=143, env={"FAKE_BANNER": "no"}, seconds=20)
    assert "timeout reached; test terminating..." in result.log.splitlines()
    result = harness.run("machine.start()", fake, global_timeout=1, status=143, env={"FAKE_QMP": "silent"}, seconds=20)
    assert result.seconds < 5


def test_qemu_is_killed_while_a_script_speaks_to_the_shell(fake):
    """The agent's connection may end first, and the shell cannot be asked whether the guest goes on."""
    result = harness.run(harness.ERROR_OF + harness.textwrap.dedent("""
        import threading, time
        machine.succeed("true")
        for _ in range(5):
            call = lambda: print(error_of(machine.succeed, "touch began; sleep 1000"))
            thread = threading.Thread(target=call)
            thread.start()
            while not os.path.exists(f"{machine.state_dir}/began"):
                time.sleep(0.01)
            machine.shell.send(b"true\\n")
            os.kill(machine.pid, 9)
            thread.join()
            os.unlink(f"{machine.state_dir}/began")
            machine.start()
            machine.succeed("true")
    """), fake)
    assert result.out.count("QEMU process was killed by signal 9") == 5, result.out


def test_qemu_is_killed_while_calls_begin(fake):
    """No other agent is launched while it is not known whether the guest goes on: its failure would end all calls."""
    result = harness.run(harness.ERROR_OF + harness.textwrap.dedent("""
        import threading
        for _ in range(20):
            machine.start()
            machine.succeed("true")
            threads = [threading.Thread(target=lambda: print(error_of(machine.execute, "sleep 9", timeout=timeout)))
                       for timeout in (None, 1, 1, None)]
            os.kill(machine.pid, 9)
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            machine.wait_for_shutdown()
    """), fake)
    assert "the agent in the guest" not in result.out and "has no agent" not in result.out, result.out
