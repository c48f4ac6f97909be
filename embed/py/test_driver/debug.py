"""`debug`: breakpoints, for tests that run where no terminal reaches them, such as a build sandbox.

With --debug-hook-attach PATH, `debug.breakpoint()` and every failure of a script wait for a debugger's client
on a TCP port. PATH is the program by which a user enters the sandbox; it finds the sandbox by a process
`sleep NUMBER`, and the shell to be run there by the variable `bashInteractive` of that process.
"""

import os
import sys
from abc import ABC, abstractmethod

HOST, PORT = "127.0.0.1", 4444


class DebugAbstract(ABC):
    @abstractmethod
    def breakpoint(self, host=HOST, port=PORT):
        """Stops the script for a debugger on a TCP port."""

    def post_mortem(self, exception):
        """The script has failed."""


class DebugNop(DebugAbstract):
    """Nobody debugs this run."""

    def breakpoint(self, host=HOST, port=PORT):
        pass


class Debug(DebugAbstract):
    def __init__(self, logger, attach_command):
        self.logger = logger
        self.attach = attach_command
        self._debugger = None

    def breakpoint(self, host=HOST, port=PORT):
        """Waits for a client (telnet, nc), for which the script then is in pdb. When it continues without
        breakpoints, quits or hangs up, the script goes on. Port 0, or one that is taken: any free port, see
        the log."""
        debugger = self._connected(host, port)
        debugger.set_trace(sys._getframe().f_back)  # the last call, see there

    def post_mortem(self, exception):
        debugger = self._connected(HOST, PORT)
        debugger.reset()
        debugger.interaction(None, exception.__traceback__)
        debugger.set_quit()

    def _connected(self, host, port):
        """The debugger with its client: the present one, or a new one for which this waits."""
        from test_driver.remote_pdb import RemotePdb

        if not self._debugger or self._debugger.closed:
            marker = _Marker()
            self.logger.log_test_error(f"Breakpoint reached, run 'sudo {self.attach} {marker.number}'")
            try:
                self._debugger = RemotePdb(host, port, self.logger.log, marker.end)
            except BaseException:
                marker.end()
                raise
        return self._debugger


class _Marker:
    """A process `sleep NUMBER`. Its parent, a shell, kills it when this process closes their pipe, or dies:
    thus it is never left behind. The session of its own keeps the terminal's Ctrl-C from the shell."""

    def __init__(self):
        import random
        import shutil
        import subprocess

        self.number = str(random.randrange(999999, 9999999))
        os.environ["bashInteractive"] = shutil.which("bash") or ""
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", 'sleep "$1" & read -r _; kill $!', "sh", self.number],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def end(self):
        self._shell.stdin.close()
        self._shell.wait()


def for_run(driver, attach_command):
    """What `debug` is in a run."""
    import linecache

    if attach_command is None:
        return DebugNop()
    # So that the debugger can show lines of the script, which has no file as far as Python knows.
    lines = driver.tests.splitlines(keepends=True)
    linecache.cache["<string>"] = (len(driver.tests), None, lines, "<string>")
    return Debug(driver.logger, attach_command)
