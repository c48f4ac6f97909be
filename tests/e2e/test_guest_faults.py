"""Guests that fail while QEMU lives: a panic; a root shell that never appears, ends or does not answer; output that is
held open."""

import pytest

import harness


FIRST = """
    import re, threading, time
    # The parent of a command is the agent, whose parent is the root shell.
    KILL_SHELL = "read -r _ _ _ shell _ < /proc/$PPID/stat; kill -9 $shell"
"""


@pytest.fixture(scope="module")
def session(tiny):
    with harness.Session(tiny, FIRST) as running:
        yield running


def test_child_that_keeps_the_output_open(session):
    """execute() waits until every process that holds a command's output has closed it."""
    session("""
        began = time.monotonic()
        assert machine.succeed("(sleep 2; echo late) & echo now") == "now\\nlate\\n"
        assert time.monotonic() - began >= 2
        began = time.monotonic()
        machine.succeed("sleep 1000 > /dev/null 2>&1 &")
        assert time.monotonic() - began < 500
        machine.succeed("killall sleep")
    """)


def test_child_that_keeps_the_output_open_for_too_long(session):
    """The error names the processes that hold the output; the guest is usable afterwards."""
    session("""
        began = time.monotonic()
        text = error_of(machine.execute, "sleep 1000 & sleep 1001 & echo x", timeout=2)
        assert 2 < time.monotonic() - began < 25, time.monotonic() - began
        assert "machine 'machine'" in text and "sleep 1000 & sleep 1001 & echo x" in text, text
        holders = re.findall(r"(\\d+) \\(sleep\\)", text)
        assert sorted(holders) == sorted(machine.succeed("pidof sleep").split()), text
        assert machine.execute("echo usable; exit 3") == (3, "usable\\n")
        machine.succeed("kill " + " ".join(holders))
    """)


def test_command_that_ignores_its_timeout(session):
    session("""
        began = time.monotonic()
        text = error_of(machine.execute, "echo $$ > /tmp/deaf; trap '' TERM; while :; do sleep 0.1; done", timeout=1)
        assert time.monotonic() - began < 25
        assert "machine 'machine'" in text and "bash" in text, text
        assert machine.execute("echo usable; exit 3") == (3, "usable\\n")
        machine.fail("kill -0 $(cat /tmp/deaf)")  # the driver has killed the command after its time-out
    """)


@pytest.mark.parametrize("command", ["sleep 1000", "while echo much; do :; done"])
def test_command_that_is_given_up(session, command):
    """The next command does not wait for a command whose wait the script has given up by an exception."""
    session("""
        import signal
        class GivenUp(Exception):
            pass
        def give_up(number, frame):
            raise GivenUp
        machine.connect()
        before = signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, 1)
        try:
            machine.succeed("echo $$ > /tmp/given-up; " + command)
            raise AssertionError("it was not interrupted")
        except GivenUp:
            pass
        finally:
            signal.signal(signal.SIGALRM, before)
        began = time.monotonic()
        assert machine.succeed("echo usable") == "usable\\n"
        assert time.monotonic() - began < 20  # the limit for a silent shell would be 40 s
        machine.fail(f"kill -0 {machine.succeed('cat /tmp/given-up').strip()}")
    """, command=command)


def test_root_shell_that_is_killed(session):
    """The guest's init starts another root shell."""
    session("""
        began = time.monotonic()
        text = error_of(machine.succeed, KILL_SHELL + "; sleep 1000")
        assert time.monotonic() - began < 5
        assert "machine 'machine'" in text and "root shell began anew" in text, text
        assert machine.execute("echo usable; exit 3") == (3, "usable\\n")
        assert machine.execute("sleep 10", timeout=1) == (124, "")
    """)


def test_root_shell_that_is_killed_while_idle(session):
    session("""
        machine.succeed(f"(sleep 0.5; {KILL_SHELL}) > /dev/null 2>&1 &")
        time.sleep(1.5)
        try:
            machine.execute("true")
        except Exception as error:  # the new root shell was not ready yet
            assert "root shell began anew" in str(error), error
        assert machine.execute("echo usable; exit 3") == (3, "usable\\n")
    """)


def test_noise_on_the_channel(session):
    session("""
        machine.succeed("echo noise > /dev/hvc0")
        machine.succeed("(for i in $(seq 20); do echo noise; sleep 0.05; done) > /dev/hvc0 2> /dev/null &")
        for n in range(20):
            assert machine.execute(f"echo {n}; exit {n}") == (n, f"{n}\\n")
    """)


def test_power_off_in_a_command(session):
    session("""
        began = time.monotonic()
        text = error_of(machine.succeed, "poweroff; sleep 1000")
        assert time.monotonic() - began < 8
        assert "machine 'machine'" in text and "exited with code 0" in text, text
        machine.start()
        machine.connect()
        machine.execute("poweroff", check_return=False, check_output=False)
        machine.wait_for_shutdown()
        assert not machine.booted
        assert machine.execute("poweroff; sleep 1000", check_return=False) == (-1, "")
        machine.wait_for_shutdown()
        machine.connect()
        threading.Timer(0.5, os.kill, [machine.pid, 9]).start()
        assert "killed by signal 9" in error_of(machine.execute, "sleep 1000", check_return=False)
        machine.wait_for_shutdown()
        machine.start()
    """)


def test_reboot_in_a_command(session):
    session("""
        machine.crash()
        machine.start(allow_reboot=True)
        boot = machine.succeed("cat /proc/sys/kernel/random/boot_id")
        text = error_of(machine.succeed, "reboot; sleep 1000")
        assert "machine 'machine'" in text and "root shell began anew" in text, text
        assert machine.succeed("cat /proc/sys/kernel/random/boot_id") != boot
        machine.crash()
    """)


@pytest.mark.parametrize("wait", [
    "machine.execute('echo c > /proc/sysrq-trigger; sleep 1000')",
    "(machine.succeed(LATER), machine.wait_until_succeeds('false'))",
    "(machine.succeed(LATER), machine.wait_for_console_text('never'))",
], ids=["command", "until", "console"])
def test_kernel_panic(session, wait):
    """With panic=1 the guest reboots after a second, which ends QEMU."""
    session(f"""
        LATER = "(sleep 1; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 &"
        machine.start()
        machine.connect()
        panicked = []

        def watch():
            while "Kernel panic" not in machine.get_console_log() and not panicked:
                time.sleep(0.05)
            panicked.append(time.monotonic())

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        text = error_of(lambda: {wait})
        thread.join()
        assert time.monotonic() - panicked[0] < 5
        assert "machine 'machine'" in text and "Kernel panic - not syncing" in text, text
        assert "sysrq triggered crash" in text, text
    """)


def test_kernel_panic_for_ever(session):
    """With panic=0 the guest hangs and QEMU lives on."""
    session("""
        os.environ["QEMU_KERNEL_PARAMS"] = "panic=0"
        machine.start()
        machine.connect()
        began = time.monotonic()
        text = error_of(machine.execute, "echo c > /proc/sysrq-trigger; sleep 1000")
        assert time.monotonic() - began < 8
        assert "machine 'machine'" in text and "Kernel panic - not syncing" in text, text
        began = time.monotonic()
        text = error_of(machine.execute, "true")
        assert time.monotonic() - began < 5
        assert "machine 'machine'" in text and "panic" in text, text
        del os.environ["QEMU_KERNEL_PARAMS"]
        machine.crash()
        assert machine.succeed("echo well again") == "well again\\n"
    """)


def test_kernel_panic_while_booting(session):
    session("""
        machine.crash()
        os.environ["QEMU_KERNEL_PARAMS"] = "rdinit=/bin/false"
        text = error_of(machine.connect)
        assert "machine 'machine'" in text and "Attempted to kill init" in text, text
        os.environ["QEMU_KERNEL_PARAMS"] = "rdinit=/bin/false panic=0"
        machine.start()
        text = error_of(machine.connect)
        assert "machine 'machine'" in text and "Attempted to kill init" in text, text
        del os.environ["QEMU_KERNEL_PARAMS"]
        machine.crash()
    """)


def test_guest_without_a_root_shell(tiny):
    """The boot has a time limit of its own, and the error shows the last lines of the console."""
    with harness.Session(tiny, "import time", options=["--boot-timeout", "6"]) as session:
        session("""
            os.environ["QEMU_KERNEL_PARAMS"] = "rdinit=/bin/sh"
            began = time.monotonic()
            text = error_of(machine.succeed, "true")
            assert 6 < time.monotonic() - began < 12, time.monotonic() - began
            assert "machine 'machine'" in text and "Shell did not start in time" in text, text
            assert "can't access tty" in text, text
            machine.crash()
            os.environ["QEMU_OPTS"] = "-S"
            began = time.monotonic()
            text = error_of(machine.connect)
            assert 6 < time.monotonic() - began < 12, time.monotonic() - began
            assert "machine 'machine'" in text and "Shell did not start in time" in text, text
            machine.send_monitor_command("cont")
        """)
