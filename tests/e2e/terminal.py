"""Runs the driver in a terminal, which tmux emulates."""

import os
import shlex
import shutil
import signal
import subprocess
import uuid

import harness


class Terminal:
    """A terminal that runs the driver of a harness.Run. `screen`: the text on the screen, with the lines that have
    scrolled away. `status`: the path of a file that has the driver's exit status after its end."""

    def __init__(self, run):
        self.run, self.name = run, f"e2e-{uuid.uuid4().hex}"
        self.status = run.directory / "status"
        wrapper = run.directory / "wrapper"
        variables = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in run.env.items())
        # With a trap for SIGINT, the shell survives Ctrl-C, and the driver does not inherit SIGINT as ignored.
        wrapper.write_text(f"#!/bin/bash\ntrap : INT\n{variables}cd {run.directory}\n"
                           f"{shlex.join(map(str, [*run.driver, *run.arguments]))}\necho $? > {self.status}.new\n"
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
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.run.directory, ignore_errors=True)

    @property
    def screen(self):
        return self.tmux("capture-pane", "-p", "-S", "-1000")

    def wait_for(self, text, seconds=60):
        """Waits until the screen has the text."""
        assert harness.wait_until(lambda: text in self.screen, seconds), f"{text!r} did not appear:\n{self.screen}"

    def signal(self, number):
        """Sends the driver a signal."""
        driver, = harness.children_of(int(self.tmux("display-message", "-p", "#{pane_pid}")))
        os.kill(driver, number)

    def type(self, text, enter=True):
        self.tmux("send-keys", "-l", text)
        if enter:
            self.press("Enter")

    def press(self, *keys):
        """Presses keys, by tmux' names, such as C-c."""
        self.tmux("send-keys", *keys)

    def leave(self):
        """Leaves a prompt by Ctrl-D and returns the exit status. The key is pressed until it has an effect, since
        IPython loses keys that come while it draws its prompt."""
        harness.wait_until(lambda: self.press("C-d") or harness.wait_until(self.status.exists, 3), 60)
        return self.wait_for_end()

    def wait_for_end(self, seconds=60):
        """Waits for the driver's end, checks that the run has left nothing but this terminal, and returns the exit
        status."""
        assert harness.wait_until(self.status.exists, seconds), self.screen
        harness.wait_until(lambda: not harness.left_files(self.run.directory / "tmp") and not self.left(),
                           harness.LEAVE_SECONDS)
        assert harness.left_files(self.run.directory / "tmp") == [] and self.left() == {}
        return int(self.status.read_text())

    def left(self):
        return {pid: command for pid, command in harness.left_processes(self.run.mark).items()
                if "wrapper" not in command and "sleep 1000" not in command}

    def assert_usable(self):
        """Checks that the terminal shows typed text after the driver's end."""
        self.type("typed", enter=False)
        self.wait_for("typed", seconds=5)
