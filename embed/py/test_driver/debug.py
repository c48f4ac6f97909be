"""The script's global `debug`: breakpoints for tests that run without a terminal, such as in a build sandbox.

With --debug-hook-attach PATH, `debug.breakpoint()` and every failure of a script wait for the client of a debugger on
a TCP port. PATH is the program by which a user enters the sandbox. That program finds the sandbox by a process
`sleep NUMBER`, and the shell to run there by the variable `bashInteractive` in the environment of that process.

embed/driver imports this module when `debug` is first used or a script has failed. A breakpoint runs on the thread
that calls it, post_mortem() on the main thread.
"""

import os
import sys
from abc import ABC, abstractmethod

HOST, PORT = "127.0.0.1", 4444  # where a debugger listens unless the script says otherwise


class DebugAbstract(ABC):
    """The interface of `debug`."""

    @abstractmethod
    def breakpoint(self, host=HOST, port=PORT):
        """Stops the script at this call for a debugger that listens on a TCP port.

        host, port: the address to listen on; default 127.0.0.1:4444.
        """

    def post_mortem(self, exception):
        """Is called when the script has failed with `exception`; does nothing unless a subclass does."""


class DebugNop(DebugAbstract):
    """`debug` of a run without --debug-hook-attach: breakpoints do nothing."""

    def breakpoint(self, host=HOST, port=PORT):
        pass


class Debug(DebugAbstract):
    """`debug` of a run with --debug-hook-attach.

    logger: a logger that is told how to attach. attach_command: PATH, the program that enters the sandbox.
    """

    def __init__(self, logger, attach_command):
        self.logger = logger
        self.attach = attach_command
        self._debugger = None

    def breakpoint(self, host=HOST, port=PORT):
        """Waits, without limit, for a client such as telnet or nc, and gives it pdb at this call.

        host, port: the address to listen on. If the port is 0 or taken, a free port is used, which the log names.
        The script goes on when the client continues without breakpoints, quits, or hangs up. OSError if the address
        cannot be listened on.
        """
        debugger = self._connected(host, port)
        debugger.set_trace(sys._getframe().f_back)  # must be the last call: see RemotePdb.set_trace()

    def post_mortem(self, exception):
        """Waits for a client and gives it pdb where `exception` was raised, until the client leaves."""
        debugger = self._connected(HOST, PORT)
        debugger.reset()
        debugger.interaction(None, exception.__traceback__)
        debugger.set_quit()

    def _connected(self, host, port):
        """Returns the debugger of the client that is connected, or else waits for a client and makes one."""
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
    """A process `sleep NUMBER`, by which the attach command finds the sandbox. Its parent, a shell, kills it when the
    driver closes the shell's standard input or dies, so that no process is left behind. The shell is in a session of
    its own, so that Ctrl-C at the terminal does not reach it."""

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
        """Ends the process and waits for its end."""
        self._shell.stdin.close()
        self._shell.wait()


def for_run(driver, attach_command):
    """Returns the script's global `debug`.

    driver: the run's Driver. attach_command: the argument of --debug-hook-attach, or None without that option.
    """
    import linecache

    if attach_command is None:
        return DebugNop()
    # Lets the debugger show lines of the script, which Python knows as "<string>", without a file.
    lines = driver.tests.splitlines(keepends=True)
    linecache.cache["<string>"] = (len(driver.tests), None, lines, "<string>")
    return Debug(driver.logger, attach_command)
