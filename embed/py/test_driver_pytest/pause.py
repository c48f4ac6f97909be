"""--pause-on-failure: a prompt at a test that has failed. `run` imports this module if the option is given."""

import os
import sys
from contextlib import contextmanager

import pytest

from _test_driver import pause

BANNER = """{nodeid} has failed ({when}). Its fixtures and variables are names here, the machines are as it left them, and there
is no time limit any more. Ctrl-D goes on with the next test, exit() ends the run;
import pdb; pdb.pm() looks at the failure."""


class Terminal:
    """Standard input, output and error as they were before pytest redirected them to files. Make an instance before
    pytest starts."""

    def __init__(self):
        self.files = [os.dup(number) for number in range(3)]
        self.streams = sys.stdin, sys.stdout, sys.stderr

    def _exchange(self, files, streams):
        sys.stdout.flush()
        sys.stderr.flush()
        for number, file in enumerate(files):
            os.dup2(file, number)
        sys.stdin, sys.stdout, sys.stderr = streams

    @contextmanager
    def entered(self):
        """A context manager within which the process has the original files again."""
        files, streams = [os.dup(number) for number in range(3)], (sys.stdin, sys.stdout, sys.stderr)
        self._exchange(self.files, self.streams)
        try:
            yield
        finally:
            self._exchange(files, streams)
            for file in files:
                os.close(file)

    def close(self):
        """Closes the kept descriptors."""
        for file in self.files:
            os.close(file)


def _names(driver, node, error):
    """Returns {name: value} for the prompt: the global names of scripts, those of the test's module, its fixtures, and
    its local variables at the failure."""
    names = {**driver.test_symbols(), **getattr(getattr(node, "module", None), "__dict__", {}),
             **getattr(node, "funcargs", {})}
    code = getattr(getattr(node, "function", None), "__code__", None)
    traceback = error.__traceback__
    while traceback:
        if traceback.tb_frame.f_code is code:
            names.update(traceback.tb_frame.f_locals)
        traceback = traceback.tb_next
    return names


class Pause:
    """The pytest plugin that shows the prompt. driver: the run's Driver. terminal: a Terminal. is_muted: a function
    that tells whether no prompt is wanted now."""

    def __init__(self, driver, terminal, is_muted):
        self.driver, self.terminal, self.is_muted = driver, terminal, is_muted

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(self, node, call, report):
        error = call.excinfo.value
        if report.when not in ("setup", "call", "teardown") or isinstance(error, SystemExit) or self.is_muted():
            return
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
        try:
            with self.terminal.entered():
                pause(_names(self.driver, node, error), BANNER.format(nodeid=node.nodeid, when=report.when))
        except SystemExit:
            pytest.exit("left at the prompt", returncode=1)
