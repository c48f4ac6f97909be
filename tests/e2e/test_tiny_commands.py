"""Commands and waits on a real guest, with bash and busybox behind a virtual console."""

import pytest

import harness


@pytest.fixture(scope="module")
def session(tiny):
    with harness.Session(tiny, "import hashlib, threading, time\nstop = threading.Event()", global_timeout=3000) as running:
        yield running


@pytest.fixture(scope="module")
def numbers(session):
    """Lines, no two alike, in the guest's file /tmp/numbers and the host's shared/numbers: 20 MB, or 5 MB for a slow
    build of the driver."""
    session(r"""
        text = "".join(f"{n}\n" for n in range(1, count))
        (machine.shared_dir / "numbers").write_text(text)
        machine.succeed("cp /tmp/shared/numbers /tmp")
        assert len(text) > 5_000_000
    """, count=740_000 if harness.IS_SANITIZED else 2_652_001)


def test_environment(session):
    session("""
        assert machine.name == "machine" and not machine.is_up()
        assert machine.succeed("id -u; pwd; echo $USER $HOME $DISPLAY; echo [$PAGER]") == \\
            "0\\n/tmp\\nroot /root :0.0\\n[]\\n"
        assert machine.is_up() and machine.booted and machine.connected
        assert machine.succeed("hostname") == "machine\\n"
        assert machine.succeed("echo $0 $#; set -o | grep -cE '^(errexit|nounset|pipefail) *\\ton'") == "bash 0\\n3\\n"
    """)


def test_statuses(session):
    session("""
        for n in (0, 1, 42, 124, 126, 127, 128, 130, 255):
            assert machine.execute(f"exit {n}") == (n, ""), n
        assert machine.execute("no-such-program") == (127, "")
        assert machine.execute("kill -9 $$") == (137, "")
        assert machine.execute("false | true; echo no") == (1, "")
        assert machine.execute("echo a\\necho b\\nexit 5") == (5, "a\\nb\\n")
    """)


def test_output(session):
    session(r"""
        for command, output in [
            ("true", ""), ("printf 'a\\nb'", "a\nb"), ("printf '\\n\\n'", "\n\n"), ("echo err >&2; echo out", "out\n"),
            (r"printf 'a\0b\r\n'", "a\0b\r\n"), (r"printf '\xff\xfe\xc3\xa9'", "\ufffd\ufffdé"),
            ("echo 'Spawning backdoor root shell...'", "Spawning backdoor root shell...\n"),
        ]:
            assert machine.execute(command) == (0, output), command
        for n in (1, 57, 58, 3072, 4095, 4096, 4097, 65536, 1_000_000):
            assert machine.succeed(f"head -c {n} /dev/zero | tr '\\0' q") == "q" * n, n
    """)


def test_succeed_fail_and_their_errors(session):
    session("""
        assert machine.succeed("printf a", "echo b") == "ab\\n"
        assert machine.fail("echo x; false") == "x\\n"
        assert error_of(machine.succeed, "exit 7") == "RequestedAssertionFailed: command `exit 7` failed (exit code 7)"
        assert error_of(machine.fail, "true") == "RequestedAssertionFailed: command `true` unexpectedly succeeded"
    """)


def test_timeout(session):
    session("""
        began = time.monotonic()
        assert machine.execute("echo partial; sleep 30", timeout=1) == (124, "partial\\n")
        assert machine.execute("sleep 30", timeout=0.5) == (124, "")
        assert time.monotonic() - began < 8
        assert machine.execute("echo quick", timeout=10) == (0, "quick\\n")
        machine.sleep(1)
        assert machine.execute("sleep 1; echo slept", timeout=None) == (0, "slept\\n")
    """)


def test_check_flags(session):
    session("""
        assert machine.execute("echo out; exit 9", check_return=False) == (-1, "out\\n")
        assert machine.execute("echo seen > /dev/ttyS0", check_return=False, check_output=False) == (-2, "")
        machine.wait_for_console_text("seen")
        assert machine.execute("echo in step; exit 4") == (4, "in step\\n")
    """)


@pytest.mark.parametrize("size", [131_072, 200_000, 2_000_000])
def test_long_commands(session, size):
    session("""
        text = ("0123456789abcde\\n" * (size // 16 + 1))[:size - 1]
        expected = hashlib.sha256(text.encode() + b"\\n").hexdigest()
        assert machine.succeed(f"cat <<'END' | sha256sum\\n{text}\\nEND").split()[0] == expected
        assert machine.execute(f": '{text}'; echo done; false") == (1, "done\\n")
        assert machine.execute(f": '{text}'; sleep 30", timeout=2) == (124, "")
        assert machine.execute("echo in step") == (0, "in step\\n")
    """, size=size)


def test_threads_on_one_machine(session):
    session("""
        wrong, done = [], []

        def work(number):
            for n in range(10):
                got = machine.execute(f"echo {number} {n}; exit {n}")
                if got != (n, f"{number} {n}\\n"):
                    wrong.append((number, n, got))
            done.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong and len(done) == 4, wrong
    """)


@pytest.mark.parametrize("threads", [0, 3])
def test_much_output_while_python_is_busy(session, numbers, threads):
    """QEMU drops output that the host does not read in time: threads that want the GIL must not keep the driver from
    reading. Each command is a call of its own, with the whole time limit of a call."""
    session("""
        stop.clear()

        def spin():
            while not stop.is_set():
                sum(range(10_000))

        for _ in range(threads):
            threading.Thread(target=spin).start()
    """, threads=threads)
    try:
        for _ in range(3):
            session("""
                status, output = machine.execute("cat /tmp/numbers", timeout=None)
                expected = (machine.shared_dir / "numbers").read_text()
                assert status == 0 and len(output) == len(expected), (status, len(output), len(expected))
                assert hashlib.sha256(output.encode()).digest() == hashlib.sha256(expected.encode()).digest()
            """, seconds=300)
    finally:
        session("stop.set()")
    session(r"assert machine.execute('echo in step; exit 3') == (3, 'in step\n')")


def test_console_flood(session, numbers):
    """Nothing of a flood is lost, and commands go on. An emulated serial port takes 200 KB/s, hence 2 MB; the fake in
    test_fake_channels.py, has 20 MB."""
    session("""
        machine.succeed("stty -F /dev/ttyS0 -opost")
        machine.succeed("(head -c 2000000 /tmp/numbers; echo; echo end of the flood) > /dev/ttyS0 2> /dev/null &")
        answers = 0
        while "end of the flood" not in machine.get_console_log()[-1000:]:
            assert machine.execute("echo $((6 * 7))") == (0, "42\\n")
            answers += 1
        assert answers > 2, answers
        flood = (machine.shared_dir / "numbers").read_text()[:2_000_000]
        assert flood in machine.get_console_log()
        assert flood.encode() in (machine.state_dir / "console.log").read_bytes()
        machine.wait_for_console_text("end of the flood")
    """, seconds=100)


def test_wait_until(session):
    session("""
        began = time.monotonic()
        out = machine.wait_until_succeeds("echo x >> /tmp/n; wc -l < /tmp/n; test $(wc -l < /tmp/n) -ge 3")
        assert out == "3\\n" and time.monotonic() - began > 1.8
        assert machine.wait_until_fails("echo gone; false") == "gone\\n"
        assert "action timed out after 1." in error_of(machine.wait_until_succeeds, "false", timeout=1)
        assert "action timed out after 1." in error_of(machine.wait_until_fails, "true", timeout=1)
    """)


def test_wait_for_file(session):
    session("""
        machine.succeed("(sleep 1; touch /tmp/awaited) > /dev/null 2>&1 &")
        machine.wait_for_file("/tmp/awaited")
        machine.wait_for_file("/etc/pass*")
        assert "action timed out after 1." in error_of(machine.wait_for_file, "/never", timeout=1)
    """)


def test_wait_for_ports(session):
    session("""
        machine.wait_for_closed_port(8000)
        machine.execute("(sleep 1; exec nc -lk 127.0.0.1 8000) > /dev/null 2>&1 & echo $! > /tmp/nc")
        machine.wait_for_open_port(8000)
        machine.wait_for_open_port(port=8000, addr="127.0.0.1", timeout=10)
        assert "action timed out after 1." in error_of(machine.wait_for_open_port, 8000, "10.0.2.15", timeout=1)
        assert "action timed out after 1." in error_of(machine.wait_for_closed_port, 8000, timeout=1)
        machine.execute("(sleep 1; kill $(cat /tmp/nc)) > /dev/null 2>&1 &")
        machine.wait_for_closed_port(8000)
    """)


def test_wait_for_unix_sockets(session):
    session("""
        machine.execute("(sleep 1; exec nc -lkU /tmp/stream) > /dev/null 2>&1 &")
        machine.wait_for_open_unix_socket("/tmp/stream")
        machine.execute("(sleep 1; exec nc -lkuU /tmp/datagram) > /dev/null 2>&1 &")
        machine.wait_for_open_unix_socket("/tmp/datagram", is_datagram=True)
        assert "action timed out after 1." in error_of(machine.wait_for_open_unix_socket, "/tmp/none", timeout=1)
        machine.succeed("killall nc")
    """)


def test_console(session):
    session(r"""
        machine.succeed("for i in 1 2 3; do echo line-$i > /dev/ttyS0; done")
        machine.wait_for_console_text("line-1")
        machine.wait_for_console_text(r"line-2(.|\n)*line-3")
        assert "action timed out after 1." in error_of(machine.wait_for_console_text, "line-1", timeout=1)
        machine.succeed(r"printf 'caf\xe9 end\r\n' > /dev/ttyS0")
        machine.wait_for_console_text("end", timeout=5)
        log = machine.get_console_log()
        assert "connecting to host..." in log and "line-1\nline-2\nline-3" in log
    """)


def test_monitor(session):
    session("""
        assert "VM status: running" in machine.send_monitor_command("info status")
        assert len(machine.send_monitor_command("help")) > 5000
        assert "unknown command" in machine.send_monitor_command("frobnicate")
        machine.send_monitor_command("stop")
        assert "paused" in machine.send_monitor_command("info status")
        machine.send_monitor_command("cont")
        assert machine.execute("echo alive") == (0, "alive\\n")
    """)


def test_log_and_nested(session):
    before = len(session.err)
    session("""
        with machine.nested("a step"):
            machine.log("a message")
    """)
    session.wait_for(r"\\(finished: a step, in 0\\.00 seconds\\)".replace("\\\\", "\\"))
    assert session.err[before:].splitlines()[:2] == ["machine: \x1b[1m\x1b[32ma step\x1b[0m", "machine: a message"]
