"""QEMU that does not start, or dies while something waits for it. Every wait ends soon with an error that names
the machine and the cause."""

import pytest

import harness

FIRST = harness.PROCESSES + """
import signal, threading, time

def error_after_kill(wait, after=1):
    \"\"\"The error that ends the wait when QEMU is killed in the middle, and the seconds since then.\"\"\"
    machine.start()
    machine.connect()
    died = []

    def kill():
        time.sleep(after)
        died.append(time.monotonic())
        os.kill(victim, signal.SIGKILL)

    victim = qemu(machine)
    threading.Thread(target=kill).start()
    text = error_of(wait)
    assert died, "before the kill: " + text
    return text, time.monotonic() - died[0]

"""


@pytest.fixture(scope="module")
def session(tiny):
    with harness.Session(tiny, FIRST) as running:
        yield running


WAITS = {
    "execute": "machine.execute('echo last words > /dev/ttyS0; sleep 1000')",
    "long_command": "machine.execute(': ' + 'x' * 200_000 + '; sleep 1000')",
    "until": "machine.wait_until_succeeds('false')",
    "console": "machine.wait_for_console_text('never')",
    "file": "machine.wait_for_file('/never')",
    "port": "machine.wait_for_open_port(1)",
    "sleep": "machine.sleep(1000)",
}


@pytest.mark.parametrize("wait", WAITS)
def test_killed_in_a_wait(session, wait):
    session(f"""
        import re
        text, seconds = error_after_kill(lambda: {WAITS[wait]})
        assert seconds < 5, seconds
        assert "machine 'machine'" in text, text
        assert re.search("killed by signal 9|exited with code 137", text), text
        assert "connecting to host" in text, text  # the last console lines
        if {wait == "execute"}:
            assert "last words" in text, text
        assert not machine.booted and not machine.connected and not machine.is_up()
    """)


def test_killed_in_wait_for_shutdown(session):
    """The death of QEMU is the end that wait_for_shutdown() waits for."""
    session("""
        machine.start()
        threading.Timer(0.5, os.kill, (qemu(machine), signal.SIGKILL)).start()
        began = time.monotonic()
        machine.wait_for_shutdown()
        assert time.monotonic() - began < 5
        assert not machine.booted
        machine.start()
    """)


def test_killed_while_booting(session):
    session("""
        import re
        machine.crash()
        machine.start()
        threading.Timer(0.5, os.kill, (qemu(machine), signal.SIGKILL)).start()
        began = time.monotonic()
        text = error_of(machine.connect)
        assert time.monotonic() - began < 5
        assert "machine 'machine'" in text and re.search("signal 9|code 137", text), text
        # The command does not start the machine again.
        text = error_of(machine.succeed, "true")
        assert "machine 'machine'" in text and not machine.booted
    """)


def test_options_that_qemu_refuses(session):
    session("""
        machine.crash()
        os.environ["QEMU_OPTS"] = "-no-such-option"
        for _ in range(2):
            began = time.monotonic()
            text = error_of(machine.start)
            assert time.monotonic() - began < 5
            assert "machine 'machine'" in text and "exited with code 1" in text, text
            assert "before connecting to monitor socket" in text and "-no-such-option: invalid option" in text, text
            assert not machine.booted
        began = time.monotonic()
        assert "invalid option" in error_of(machine.connect)
        assert "invalid option" in error_of(machine.succeed, "true")
        assert "Failed to start the following machines:" in error_of(start_all)
        assert time.monotonic() - began < 5
        del os.environ["QEMU_OPTS"]
    """)


def test_qemu_fails_late(session):
    """QEMU fails after it has connected to the monitor, when it opens its files and devices."""
    session("""
        os.environ["QEMU_OPTS"] = "-device virtio-blk-pci,drive=nowhere"
        began = time.monotonic()
        text = error_of(machine.start)
        assert time.monotonic() - began < 5
        assert "machine 'machine'" in text and "exited with code 1" in text and "nowhere" in text, text
        del os.environ["QEMU_OPTS"]
    """)


def test_shell_socket_cannot_be_had(session):
    session("""
        os.environ["QEMU_OPTS"] = "-chardev socket,id=other,path=/no/such/socket"
        text = error_of(machine.start)
        assert "machine 'machine'" in text and "/no/such/socket" in text, text
        del os.environ["QEMU_OPTS"]
        assert machine.succeed("echo well again") == "well again\\n"
    """)


def test_start_scripts_that_fail(tmp_path):
    bad = {}
    for name, text, mode in [
        ("missing", None, 0),
        ("plain", "#!/bin/sh\n", 0o644),
        ("failing", "#!/bin/sh\necho the reason >&2; exit 3\n", 0o755),
        ("interpreter", "#!/no/such/interpreter\n", 0o755),
        ("killed", "#!/bin/sh\nkill -9 $$\n", 0o755),
    ]:
        bad[name] = tmp_path / f"run-{name}-vm"
        if text:
            bad[name].write_text(text)
            bad[name].chmod(mode)
    with harness.Session(bad, "import time") as session:
        for name, expected in ("missing", "not found"), ("plain", "Permission denied"), ("failing", "the reason"), \
                ("interpreter", "interpreter"), ("killed", "signal 9|code 137"):
            session(f"""
                import re
                began = time.monotonic()
                text = error_of({name}.connect)
                assert time.monotonic() - began < 5
                assert "machine '{name}'" in text and re.search({expected!r}, text), text
            """)
