"""Ctrl-C at a terminal, which sends SIGINT to every process of the foreground process group."""

import time

import pytest

import harness
from terminal import Terminal

ENDS_WITHIN = 4


@pytest.mark.parametrize("script, sign", [
    ("machine.start()\nmachine.wait_for_console_text('never')", "waiting for never"),
    ("machine.connect()\nmachine.succeed('sleep 1000')", "must succeed: sleep 1000"),
    ("machine.connect()", "starting vm"),
    ("import time\nmachine.start()\nprint('now')\ntime.sleep(1000)", "now"),
], ids=["console", "command", "booting", "sleep"])
def test_interrupt(tiny, script, sign):
    run = harness.Run(script, tiny)
    with Terminal(run) as terminal:
        terminal.wait_for(sign)
        began = time.monotonic()
        terminal.tmux("send-keys", "C-c")
        assert terminal.wait_for_end() == 130
        assert ENDS_WITHIN > time.monotonic() - began
        screen = terminal.screen
        assert "KeyboardInterrupt" in screen and "cleanup" in screen and "kill QemuMachine" in screen
        assert "QEMU process" not in screen  # Ctrl-C has not reached QEMU
        terminal.assert_usable()
