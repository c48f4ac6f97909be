"""Errors have what QEMU tells by QMP's events: why QEMU ended, that the guest was reset or is stopped, and a panic that
no console shows."""

from pathlib import Path

import pytest

import harness

FIRST = harness.PROCESSES + '''
import re, signal, threading

def error_during(command, action):
    """Runs the command, does the action meanwhile on another thread, and returns the error of the command."""
    machine.connect()
    thread = threading.Timer(0.5, action)
    thread.start()
    text = error_of(machine.succeed, command)
    thread.join()
    return text

'''


@pytest.fixture(scope="module")
def session(tiny):
    with harness.Session(tiny, FIRST) as running:
        yield running


@pytest.fixture(scope="module")
def quiet_session(tiny, tmp_path_factory):
    """A session whose guest has a panic device and no kernel console on the serial port."""
    (name, path), = tiny.items()
    script = tmp_path_factory.mktemp("quiet") / f"run-{name}-vm"
    text = Path(path).read_text().replace("console=ttyS0 panic=1", "console=tty0 panic=0")
    assert "console=ttyS0" not in text
    script.write_text(text)
    script.chmod(0o755)
    with harness.Session({name: script}, FIRST + '''
PANIC = "for module in /lib/modules/spare/*.ko; do insmod $module; done; echo c > /proc/sysrq-trigger; sleep 1000"
TOLD = "; the guest's kernel panicked, as its panic device says"
''') as running:
        yield running


@pytest.mark.parametrize("command, action, reason", [
    ("poweroff; sleep 1000", "lambda: None", "the guest shut down"),
    ("reboot; sleep 1000", "lambda: None", "the guest rebooted, which ends QEMU without allow_reboot"),
    ("sleep 1000", "lambda: machine.qmp_client.send('quit')", "QEMU was told to quit"),
    ("sleep 1000", "lambda: machine.send_monitor_command('quit')", "QEMU was told to quit"),
    ("sleep 1000", "lambda: os.kill(qemu(machine), signal.SIGTERM)", "a signal asked QEMU to end"),
], ids=["poweroff", "reboot", "qmp", "monitor", "signal"])
def test_reason_of_the_end(session, command, action, reason):
    session(f"""
        machine.start()
        text = error_during({command!r}, {action})
        assert "machine 'machine': QEMU process exited with code 0 ({reason})" in text, text
        assert "({reason})" in error_of(machine.succeed, "true")
        machine.wait_for_shutdown()
    """)


def test_killed_without_a_reason(session):
    session("""
        machine.start()
        text = error_during("sleep 1000", lambda: os.kill(qemu(machine), signal.SIGKILL))
        assert re.search(r"killed by signal 9 \\(Killed\\); last|exited with code 137; last", text), text
        machine.wait_for_shutdown()
    """)


def test_reset_from_outside(session):
    session("""
        machine.start(allow_reboot=True)
        boot = machine.succeed("cat /proc/sys/kernel/random/boot_id")
        text = error_during("sleep 1000", lambda: machine.send_monitor_command("system_reset"))
        assert "root shell began anew" in text and "`sleep 1000` ran; the guest was reset meanwhile" in text, text
        assert machine.succeed("cat /proc/sys/kernel/random/boot_id") != boot
        machine.crash()
    """)


def test_stopped_while_it_boots(tiny):
    with harness.Session(tiny, options=["--boot-timeout", "4"]) as session:
        session("""
            os.environ["QEMU_OPTS"] = "-S"
            text = error_of(machine.connect)
            assert "Shell did not start in time (4 seconds); the guest is stopped" in text, text
            machine.qmp_client.send("cont")
            machine.send_monitor_command("info status")
            text = error_of(machine.wait_for_console_text, "never", timeout=1)
            assert "stopped" not in text, text
            machine.qmp_client.send("stop")
            text = error_of(machine.wait_for_console_text, "never", timeout=1)
            assert "timed out after" in text and "; the guest is stopped" in text, text
        """)


def test_panic_that_ends_qemu(quiet_session):
    quiet_session("""
        os.environ["QEMU_OPTS"] = "-device pvpanic-pci"
        machine.start()
        text = error_of(machine.succeed, PANIC)
        assert "QEMU process exited with code 0 (QEMU ends when the guest panics)" + TOLD in text, text
        assert "Kernel panic" not in text, text  # only the device has told of the panic
        machine.wait_for_shutdown()
    """)


@pytest.mark.parametrize("action", ["pause", "none"])
def test_panic_that_leaves_qemu(quiet_session, action):
    quiet_session(f"""
        import time
        os.environ["QEMU_OPTS"] = "-device pvpanic-pci -action panic={action}"
        machine.start()
        machine.connect()
        began = time.monotonic()
        text = error_of(machine.succeed, PANIC)
        assert time.monotonic() - began < 20, time.monotonic() - began
        assert "machine 'machine': the guest does not answer any more" + TOLD in text, text
        assert TOLD in error_of(machine.wait_until_succeeds, "true")
        assert machine.booted and machine.qmp_client.send("query-status")["return"]["running"] is {action == "none"}
        machine.crash()
        assert machine.succeed("echo well again") == "well again\\n"
        machine.crash()
    """)
