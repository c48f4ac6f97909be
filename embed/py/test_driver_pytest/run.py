"""A run of pytest on one script or on a directory of tests."""

import os
import re
import shutil
import signal
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

from _test_driver import ending

MISSING = (f"the test script is pytest style, but pytest is not there for {sys.executable} "
           f"(Python {sys.version.split()[0]}): install it, for NixOS tests by extraPythonPackages = p: [ p.pytest ]")


# PEP 263's, of another encoding than UTF-8.
CODING_COOKIE = re.compile(r"\A(?P<before>(?:[ \t\f]*(?:#.*)?\n)?[ \t\f]*#.*?coding)[:=](?![ \t]*utf[-_]?8\b)", re.I)


class Target:
    """What pytest is to collect: a directory or a .py file as it is, anything else as a copy with such a name.

    A script is UTF-8 whatever a coding cookie in it says: one that says something else is copied without, and finds
    the files beside it there. Files that pytest reads itself, those of a directory and conftest.py among them, are
    modules of Python, which heeds their cookies."""

    def __init__(self, script):
        self.copy, self.path = None, script
        if os.path.isdir(script):
            return
        directory, name = os.path.split(script)
        text, cookies = CODING_COOKIE.subn(r"\g<before> ", Path(script).read_text("utf-8-sig"))
        if name.endswith(".py") and not cookies:
            return
        self.copy = tempfile.mkdtemp(prefix="test-script-")
        if name.endswith(".py"):
            for other in set(os.listdir(directory)) - {name}:
                os.symlink(os.path.join(directory, other), os.path.join(self.copy, other))
        self.path = os.path.join(self.copy, name if name.endswith(".py") else "test_script.py")
        Path(self.path).write_text(text, "utf-8")

    def __enter__(self):
        return self.path

    def __exit__(self, *exception):
        if self.copy:
            shutil.rmtree(self.copy, ignore_errors=True)


def _forget_modules(directory):
    """A second run reads the files again."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(directory) in Path(file).parents:
            del sys.modules[name]


def _arguments(path, out_dir, arguments):
    directory = path if os.path.isdir(path) else os.path.dirname(path)
    named = any("::" in word or os.path.exists(word) for word in arguments if not word.startswith("-"))
    return [f"--rootdir={directory}", "-o", f"cache_dir={out_dir}/.pytest_cache",
            *arguments, *([] if named else [path])]


@contextmanager
def _pausing(driver, wanted):
    """The plugins of --pause-on-failure."""
    if not wanted:
        yield []
        return
    from test_driver_pytest.pause import Pause, Terminal

    with closing(Terminal()) as terminal:
        yield [Pause(driver, terminal)]


def run(driver, script, arguments, shard, restart_dead, no_skip, pause):
    """Runs the tests with what the command line gave to pytest. Returns the exit status, or -N when the run was
    ended by signal N."""
    try:
        import pytest
    except ImportError:
        driver.logger.log_test_error(MISSING)
        return 1
    from test_driver_pytest import test_vms
    from test_driver_pytest.fixtures import ScriptNames, plugin as fixtures
    from test_driver_pytest.machines import Crew
    from test_driver_pytest.plugin import Plugin

    crew = Crew(driver)
    plugin = Plugin(driver, crew, shard, restart_dead, no_skip)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with Target(script) as path, ScriptNames(driver), _pausing(driver, pause) as pausing:
            _forget_modules(path if os.path.isdir(path) else os.path.dirname(path))
            status = pytest.main(_arguments(path, driver.out_dir, arguments),
                                 plugins=[plugin, test_vms, fixtures(driver, crew), *pausing])
    finally:
        sys.dont_write_bytecode = before
    if ending() or plugin.interrupted:
        return -(ending() or signal.SIGINT)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and plugin.left_out:
        return 0  # all are in other parts
    return int(status)
