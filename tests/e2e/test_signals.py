"""Signals to a driver with a real QEMU, at various moments: the run ends soon, with the right status, and leaves
nothing."""

import re
import signal
import subprocess

import pytest

import harness

# The script's action when the signal comes, after it has printed `now`.
MOMENTS = {
    "starting": "print('now')\nmachine.connect()",
    "booting": "machine.start()\nprint('now')\nmachine.connect()",
    "command": "machine.connect()\nprint('now')\nmachine.succeed('sleep 1000')",
    "until": "machine.connect()\nprint('now')\nmachine.wait_until_succeeds('false')",
    "console": "machine.start()\nprint('now')\nmachine.wait_for_console_text('never')",
    "shutdown": "machine.start()\nprint('now')\nmachine.wait_for_shutdown()",
    "sleep": "import time\nmachine.start()\nprint('now')\ntime.sleep(1000)",
    "loop": "machine.start()\nprint('now')\nwhile True: pass",
    "thread": "import threading\nmachine.start()\nprint('now')\n"
              "thread = threading.Thread(target=machine.succeed, args=('sleep 1000',))\nthread.start()\nthread.join()",
}
# A text that the log has before the signal is sent.
LOGGED = {
    "starting": "machine: starting vm",
    "booting": "waiting for the VM to finish booting",
    "command": "must succeed: sleep",
    "until": "waiting for success",
    "console": "waiting for never",
    "shutdown": "waiting for the VM to power off",
}
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: 137}


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_signal(tiny, moment, number):
    with harness.Run(MOMENTS[moment], tiny) as run:
        run.wait_for("^now$")
        run.wait_for(LOGGED.get(moment, ""))
        run.signal(number)
        result = run.finish(seconds=5)
        assert result.status == SIGNALS[number]
        if number != signal.SIGKILL and moment != "starting":
            assert re.search(r"^kill QemuMachine \(pid \d+\)$", result.log, re.M)
        if number == signal.SIGINT:
            assert "KeyboardInterrupt" in result.err


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signal_in_cleanup(tiny, number):
    # A stopped QEMU makes the end take long, since SIGTERM does not reach it.
    with harness.Run(harness.PROCESSES + """
import signal
machine.start()
os.kill(qemu(machine), signal.SIGSTOP)
""", tiny) as run:
        run.wait_for("^kill QemuMachine")
        run.signal(number)
        result = run.finish(seconds=5)
        assert result.status in (0, SIGNALS[number])


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signal_with_a_stopped_qemu(tiny, number):
    with harness.Run(harness.PROCESSES + """
import signal
machine.connect()
os.kill(qemu(machine), signal.SIGSTOP)
print("now")
machine.succeed("true")
""", tiny) as run:
        run.wait_for("^now$")
        run.signal(number)
        assert run.finish(seconds=6).status == SIGNALS[number]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_right_before_a_system_call(fake, tmp_path, number):
    """The signal itself interrupts nothing, as it has been handled when the system call begins."""
    source, library = tmp_path / "wait.c", tmp_path / "wait.so"
    source.write_text("""
#include <poll.h>
#include <signal.h>
int signalled_wait(int number) { raise(number); return poll(0, 0, -1); }
""")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    result = harness.run(f"import ctypes\nctypes.CDLL('{library}').signalled_wait({int(number)})", fake,
                         status=SIGNALS[number])
    assert "interrupted three times" not in result.log and "did not end when told to" not in result.log


def test_global_time_limit(tiny):
    result = harness.run("machine.connect()\nmachine.succeed('sleep 1000')", tiny, global_timeout=6, status=143,
                         seconds=15)
    assert "timeout reached; test terminating..." in result.log.splitlines()
    result = harness.run("machine.connect()\nwhile True: pass", tiny, global_timeout=6, status=143, seconds=15)
    assert "timeout reached; test terminating..." in result.log.splitlines()


@pytest.mark.parametrize("script, status", [
    ("machine.succeed('exit 7')", 1),
    ("import sys; sys.exit(3)", 3),
    ("raise ValueError", 1),
    ("import threading; t = threading.Thread(target=lambda: machine.succeed('false')); t.start(); t.join()", 0),
    ("os._exit(9)", 9),
], ids=["check", "exit", "exception", "thread", "_exit"])
def test_endings(tiny, script, status):
    harness.run("machine.connect()\n" + script, tiny, status=status)


def test_background_process_of_the_start_script(tiny, tmp_path):
    script = tmp_path / "run-machine-vm"
    script.write_text(f'#!/bin/bash\nsetsid sleep 1000 &\nenv -i setsid nohup sleep 1000 > /dev/null 2>&1 &\n'
                      f'exec {tiny["machine"]} "$@"\n')
    script.chmod(0o755)
    for ending, status in ("", 0), ("os.kill(os.getpid(), signal.SIGKILL)", 137):
        harness.run(f"import signal\nmachine.start()\n{ending}\n", {"machine": script}, status=status)
