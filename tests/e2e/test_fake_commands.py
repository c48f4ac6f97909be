"""Commands: the text that reaches the shell and the reply, also from several threads. A bash of this host stands in for
the guest."""

import re

import pytest

import harness


@pytest.fixture(scope="module")
def session(fakes):
    with harness.Session(fakes("alpha", "beta", "gamma"), "machine = alpha") as running:
        yield running


# ---- statuses and shell options


def test_statuses(session):
    session("""
        for n in (0, 1, 2, 3, 42, 124, 126, 127, 128, 130, 255):
            assert machine.execute(f"exit {n}") == (n, ""), n
        assert machine.execute("no-such-program") == (127, "")
        assert machine.execute("kill -9 $$") == (137, "")
        assert machine.execute("if true; then")[0] == 2
        assert machine.execute("# a comment") == (0, "")
    """)


@pytest.mark.parametrize("command, status, output", [
    ("false; echo unreachable", 1, ""),
    ("false | true", 1, ""),
    ("(exit 3) | (exit 4) | cat", 4, ""),
    ("echo $UNSET_VARIABLE", 1, ""),
    ("echo ${UNSET_VARIABLE:-default}", 0, "default\n"),
    ("set +e; false; echo still here", 0, "still here\n"),
    ("set +u; echo [$UNSET_VARIABLE]", 0, "[]\n"),
    ("yes | head -n 2", 141, "y\ny\n"),
    ("trap 'echo trapped' EXIT; false", 1, "trapped\n"),
    ("echo $0 $#", 0, "bash 0\n"),
])
def test_shell_options(session, command, status, output):
    assert session("result = machine.execute(command)", command=command) == [status, output]


def test_nothing_is_kept_between_commands(session):
    session("""
        here = machine.succeed("pwd")
        machine.succeed("cd /; export LEFT=1; alias ls=false; set +e; shopt -s nullglob")
        assert machine.succeed("pwd; echo ${LEFT:-unset}; echo no*match") == here + "unset\\nno*match\\n"
    """)


# ---- output


@pytest.mark.parametrize("command, output", [
    ("true", ""),
    ("echo", "\n"),
    ("printf '\\n\\n'", "\n\n"),
    ("printf 'a\\nb'", "a\nb"),
    ("echo to stderr >&2; echo out", "out\n"),
    ("echo =", "=\n"),
    ("echo '(qemu) '; echo QUJD", "(qemu) \nQUJD\n"),
    ("echo 'Spawning backdoor root shell...'", "Spawning backdoor root shell...\n"),
    (r"printf 'a\0b\r\n\033[1m'", "a\0b\r\n\x1b[1m"),
    (r"printf '\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'", "é€😀"),
    (r"printf 'a\xc3b\xe2\x82c\xf0\x9f\x98z\xff'", "a\ufffdb\ufffdc\ufffdz\ufffd"),
])
def test_output(session, command, output):
    assert session("result = machine.execute(command)", command=command) == [0, output]


def test_output_of_every_length(session):
    session("""
        for n in (1, 2, 3, 4, 5, 57, 58, 3071, 3072, 3073, 4095, 4096, 8191, 65535, 65536, 65537, 5_000_000):
            assert machine.succeed(f"head -c {n} /dev/zero | tr '\\\\0' q") == "q" * n, n
    """)


def test_multibyte_characters_across_all_boundaries(session):
    session("""
        assert machine.succeed("for i in $(seq 30001); do printf 'x€'; done") == "x€" * 30001
    """)


def test_errors_go_to_the_console(session):
    session("""
        machine.succeed("echo complaint >&2")
        machine.wait_for_console_text("complaint", timeout=5)
        assert "complaint" in machine.get_console_log().splitlines()
    """)


# ---- the commands' text


@pytest.mark.parametrize("text", [
    "it's", "''", '"', "\\", "$HOME `id` $(id) !1", "a\nb\n\nc", "é€😀", " \t leading", "-n", "*", "\x01\x7f\x1b",
])
def test_any_text_is_passed_on(session, text):
    assert session("""
        import shlex
        result = machine.succeed("printf '%s\\n' " + shlex.quote(text))
    """, text=text) == text + "\n"


@pytest.mark.parametrize("size", [100_000, 119_999, 131_072, 200_000, 2_000_000])
def test_commands_of_any_length(session, size):
    # Linux allows a single argument of 128 KiB.
    session("""
        text = ("0123456789" * (size // 10 + 1))[:size]
        assert machine.execute(f": {text}; echo $((6 * 7)); exit 5") == (5, "42\\n")
        import hashlib
        expected = hashlib.sha256(text.encode() + b"\\n").hexdigest()
        assert machine.succeed(f"cat <<'END' | sha256sum\\n{text}\\nEND").split()[0] == expected
        assert machine.execute("echo in step") == (0, "in step\\n")
    """, size=size)


def test_long_commands_keep_the_shell_options(session):
    session("""
        long = ": " + "x" * 200_000
        assert machine.execute(f"{long}; false; echo no") == (1, "")
        assert machine.execute(f"{long}; false | true") == (1, "")
        assert machine.execute(f"{long}; echo $UNSET_VARIABLE")[0] != 0
        assert machine.execute(f"{long}; sleep 30", timeout=1) == (124, "")
        assert machine.execute("echo in step") == (0, "in step\\n")
    """)


# ---- check_return, check_output, timeout


def test_check_flags(session):
    session("""
        assert machine.execute("echo out; exit 9", check_return=False) == (-1, "out\\n")
        assert machine.execute("echo next; exit 4") == (4, "next\\n")
        assert machine.execute("echo unread", check_output=False, check_return=False) == (-2, "")
        assert machine.execute("echo in step; exit 3") == (3, "in step\\n")
        assert machine.execute("sleep 0.3; echo unread", check_output=False) == (-2, "")
        assert machine.execute("echo in step", False) == (-1, "in step\\n")
    """)


def test_timeout(session):
    session("""
        import datetime, time
        began = time.monotonic()
        assert machine.execute("echo partial; sleep 30", timeout=1) == (124, "partial\\n")
        assert machine.execute("sleep 30", timeout=datetime.timedelta(seconds=0.5)) == (124, "")
        assert machine.execute("sleep 30", timeout=0.2) == (124, "")
        assert time.monotonic() - began < 8
        assert machine.execute("sleep 0.1; echo slept", timeout=None) == (0, "slept\\n")
        assert error_of(machine.succeed, "sleep 30", timeout=1) == \\
            "RequestedAssertionFailed: command `sleep 30` failed (exit code 124)"
        assert machine.fail("echo out; sleep 30", timeout=1) == "out\\n"
        assert error_of(machine.execute, "true", timeout=True).startswith("TypeError: ")
        assert machine.execute("sleep 30", timeout="0.2") == (124, "")
    """)


# ---- succeed and fail


def test_succeed_and_fail(session):
    session("""
        assert machine.succeed() == ""
        assert machine.succeed("printf a", "printf b", "echo c", "true") == "abc\\n"
        assert machine.fail("echo x; false", "exit 7") == "x\\n"
        assert error_of(machine.succeed, "true", "exit 7", "touch reached") == \\
            "RequestedAssertionFailed: command `exit 7` failed (exit code 7)"
        assert error_of(machine.fail, "false", "true", "touch reached") == \\
            "RequestedAssertionFailed: command `true` unexpectedly succeeded"
        machine.fail("test -e reached")
    """)


def test_what_succeed_and_fail_log(session):
    before = len(session.err)
    session("""
        machine.succeed("echo fine")
        error_of(machine.succeed, "echo first; echo second; exit 2")
        machine.fail("exit 1")
    """)
    session.wait_for("finished: must fail: exit 1")
    log = harness.plain(session.err[before:]).splitlines()
    seconds = r"in 0.00 seconds)"
    log = [re.sub(r"in \d+\.\d\d seconds\)", seconds, line) for line in log]
    assert log == [
        "alpha: must succeed: echo fine",
        f"(finished: must succeed: echo fine, {seconds}",
        "alpha: must succeed: echo first; echo second; exit 2",
        "alpha: output: first",
        "second",
        "",
        "alpha: must fail: exit 1",
        f"(finished: must fail: exit 1, {seconds}",
    ]


# ---- noise on the channel


@pytest.mark.parametrize("noise", [
    "echo noise",
    "echo '(qemu) = QUJD 0 0'",
    "echo; echo; echo",
    "head -c 300000 /dev/zero | tr '\\0' '#'; echo",
    "head -c 100000 /dev/urandom; echo",
], ids=["line", "base64", "empty", "long", "random"])
def test_noise_between_replies(session, noise):
    session("""
        for n in range(3):
            assert machine.execute(f"{{ {noise}; }} >&20; echo output {n}; exit {n}") == (n, f"output {n}\\n")
    """, noise=noise)


def test_noise_while_idle(session):
    session("""
        import time
        machine.succeed("exec 3>&20; (sleep 0.2; echo late noise >&3) > /dev/null 2>&1 &")
        for n in range(40):
            assert machine.execute(f"echo {n}") == (0, f"{n}\\n")
            time.sleep(0.01)
    """)


def test_output_that_was_mixed_up_is_an_error(fake):
    """The driver notices that another process has written into a root shell's reply, and raises instead of returning
    wrong output."""
    with harness.Session(fake, options=["--no-agent"]) as session:
        session("""
            text = error_of(machine.execute, "printf '<noise>' >&20; echo out")
            assert "machine" in text and "not base64" in text, text
            assert machine.execute("echo in step; exit 3") == (3, "in step\\n")
        """)


# ---- threads


def test_threads_on_one_machine(session):
    session("""
        import threading
        wrong, done = [], []

        def work(number):
            for n in range(25):
                got = machine.execute(f"echo {number} {n}; exit {n}")
                if got != (n, f"{number} {n}\\n"):
                    wrong.append((number, n, got))
            done.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong
        assert len(done) == 8
    """)


def test_threads_on_several_machines_run_at_the_same_time(session):
    session("""
        import threading
        results = {}

        def work(one):  # each command waits until all have begun
            results[one.name] = one.succeed(
                "touch ../here.${PWD##*-}; until [ -e ../here.alpha -a -e ../here.beta -a -e ../here.gamma ]; do sleep 0.1; "
                "done; basename $PWD")

        threads = [threading.Thread(target=work, args=(one,)) for one in machines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {one.name: f"vm-state-{one.name}\\n" for one in machines}, results
    """)


def test_python_runs_while_a_command_does(session):
    session("""
        import threading, time
        ticks = []
        stop = threading.Event()

        def tick():
            while not stop.wait(0.05):
                ticks.append(time.monotonic())

        thread = threading.Thread(target=tick)
        thread.start()
        machine.succeed("sleep 1")
        stop.set()
        thread.join()
        assert len(ticks) >= 10, len(ticks)
    """)


# ---- retry and the waits built on it


def test_retry(session):
    session("""
        import time
        calls = []

        def third(last):
            calls.append(last)
            return len(calls) == 3

        began = time.monotonic()
        assert retry(third) is None
        assert calls == [False] * 3 and 1.8 < time.monotonic() - began < 4
    """)


def test_retry_tries_once_more_at_the_end(session):
    session("""
        import re
        calls = []

        def never(last):
            calls.append(last)

        text = error_of(retry, never, 2)
        expected = r"RequestedAssertionFailed: action timed out after 2\\.\\d\\d seconds \\(timeout=2\\.0\\)"
        assert re.fullmatch(expected, text), text
        assert calls == [False, False, True], calls
        assert retry(lambda last: last, timeout=1) is None
        assert error_of(retry, lambda last: 1 / 0).startswith("ZeroDivisionError")
    """)


def test_retry_limits(session):
    session("""
        import datetime
        for limit in (dict(timeout_seconds=0.1), dict(timeout=0.1), dict(timeout=datetime.timedelta(seconds=0.1))):
            assert "(timeout=0.1)" in error_of(retry, lambda last: False, **limit)
    """)


def test_wait_until_succeeds(session):
    session("""
        import time
        began = time.monotonic()
        out = machine.wait_until_succeeds("echo x >> tries; wc -l < tries; test $(wc -l < tries) -ge 3")
        assert out == "3\\n" and 1.8 < time.monotonic() - began < 5
        machine.succeed("rm tries")
        text = error_of(machine.wait_until_succeeds, "echo x >> tries; false", timeout=2)
        assert text.startswith("RequestedAssertionFailed: action timed out after 2."), text
        assert machine.succeed("wc -l < tries; rm tries") == "3\\n"
        assert machine.wait_until_fails("echo gone; false") == "gone\\n"
        assert "action timed out after" in error_of(machine.wait_until_fails, "true", timeout=1)
        began = time.monotonic()
        assert "action timed out after" in error_of(machine.wait_until_succeeds, "sleep 20", timeout=1)
        assert time.monotonic() - began < 12
    """)


def test_wait_for_file(session):
    session("""
        import threading, time
        path = machine.state_dir / "awaited file"

        def appear():
            time.sleep(1)
            path.write_text("whole")

        threading.Thread(target=appear).start()
        machine.wait_for_file("awaited*")  # the name reaches the shell unquoted, as upstream's does
        assert path.exists()
        assert "action timed out after" in error_of(machine.wait_for_file, "/no-such-file", timeout=1)
    """)
