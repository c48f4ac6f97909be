"""Ctrl-C on a terminal, which reaches every process of the foreground."""

import os
import shlex
import shutil
import signal
import subprocess
import time
import uuid

import pytest

import harness


class Terminal:
    """A terminal of tmux' that runs the driver; what it shows stands in `screen`."""

    def __init__(self, run):
        self.run, self.name = run, f"e2e-{uuid.uuid4().hex}"
        self.status = run.directory / "status"
        wrapper = run.directory / "wrapper"
        variables = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in run.env.items())
        # A shell that handles SIGINT waits for what it runs, and what it runs does not ignore it.
        wrapper.write_text(f"#!/bin/bash\ntrap : INT\n{variables}cd {run.directory}\n"
                           f"{shlex.join([str(harness.DRIVER), *run.arguments])}\necho $? > {self.status}.new\n"
                           f"mv {self.status}.new {self.status}\nsleep 1000\n")
        wrapper.chmod(0o755)
        self.wrapper = wrapper

    def tmux(self, *arguments):
        done = subprocess.run(["tmux", "-L", self.name, "-f", "/dev/null", *arguments], stdout=subprocess.PIPE,
                              text=True, check=True, timeout=20)
        return done.stdout

    def __enter__(self):
        self.tmux("new-session", "-d", "-x", "150", "-y", "50", str(self.wrapper))
        self.server = int(self.tmux("display-message", "-p", "#{pid}"))
        harness.own_children.add(self.server)
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")
        harness.wait_until(lambda: not harness.is_alive(self.server), 5)
        harness.own_children.discard(self.server)
        left = harness.left_processes(self.run.mark)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.run.directory, ignore_errors=True)

    @property
    def screen(self):
        return self.tmux("capture-pane", "-p", "-S", "-1000")

    def wait_for(self, text, seconds=60):
        assert harness.wait_until(lambda: text in self.screen, seconds), f"{text!r} did not appear:\n{self.screen}"


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
        assert harness.wait_until(terminal.status.exists, 5), terminal.screen
        assert time.monotonic() - began < 2
        assert terminal.status.read_text() == "130\n"
        screen = terminal.screen
        assert "KeyboardInterrupt" in screen and "cleanup" in screen and "kill QemuMachine" in screen
        assert "QEMU process" not in screen  # Ctrl-C is not QEMU's
        # The terminal is as it was: what is typed is shown.
        terminal.tmux("send-keys", "typed")
        terminal.wait_for("typed", seconds=5)
        assert harness.wait_until(lambda: not harness.left_files(run.directory / "tmp"), harness.LEAVE_SECONDS)
        left = {pid for pid, command in harness.left_processes(run.mark).items()
                if "wrapper" not in command and "sleep 1000" not in command}
        assert not left, harness.left_processes(run.mark)
