"""Runs pytest inside the driver's process: on one script, on a directory of tests, or as an ordinary session of pytest
(--pytest). embed/run imports this module."""

import os
import re
import shutil
import signal
import sys
import tempfile
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from _test_driver import ending
from test_driver_pytest import plain

USAGE_ERROR = 4  # pytest's exit status
MISSING = (f"the test script is pytest style, but pytest is not there for {sys.executable} "
           f"(Python {sys.version.split()[0]}): install it, for NixOS tests by extraPythonPackages = p: [ p.pytest ]")

# A coding cookie (PEP 263) for another encoding than UTF-8.
CODING_COOKIE = re.compile(r"\A(?P<before>(?:[ \t\f]*(?:#.*)?\n)?[ \t\f]*#.*?coding)[:=](?![ \t]*utf[-_]?8\b)", re.I)


class Target:
    """A context manager whose value is the path that pytest collects: a directory or a .py file itself, for another
    file a copy with the name test_script.py.

    The driver reads scripts as UTF-8. A .py file with a coding cookie for another encoding is therefore copied without
    the cookie, to a directory with links to the files beside it. Files that pytest finds itself, such as those of a
    directory and conftest.py, are Python modules, whose cookies Python heeds.
    """

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
    """Removes modules of `directory` from sys.modules, so that a second run at the prompt reads the files again."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(directory) in Path(file).parents:
            del sys.modules[name]


def _arguments(path, out_dir, arguments):
    """The command line for pytest: those of the user and, unless they name tests, the path."""
    directory = path if os.path.isdir(path) else os.path.dirname(path)
    named = any("::" in word or os.path.exists(word) for word in arguments if not word.startswith("-"))
    return [f"--rootdir={directory}", "-o", f"cache_dir={out_dir}/.pytest_cache",
            *arguments, *([] if named else [path])]


@contextmanager
def _test_script(driver, script, arguments):
    """A context manager in which the tests of a test script can run; its value is pytest's command line."""
    from test_driver_pytest.fixtures import ScriptNames

    with Target(script) as path, ScriptNames(driver):
        _forget_modules(path if os.path.isdir(path) else os.path.dirname(path))
        yield _arguments(path, driver.out_dir, arguments)


@contextmanager
def _pausing(driver, wanted, is_muted):
    """A context manager whose value is a list of plugins: the one of --pause-on-failure if it is `wanted`."""
    if not wanted:
        yield []
        return
    from test_driver_pytest.pause import Pause, Terminal

    with closing(Terminal()) as terminal:
        yield [Pause(driver, terminal, is_muted)]


def run(driver, script, arguments, shard, restart_dead, no_skip, pause, isolated, rerun):
    """Runs the tests.

    driver: the run's Driver. script: the path of a file or directory; None: there is only what the arguments name, with
    the project's own configuration. arguments: words for pytest. shard, restart_dead, no_skip: see plugin.Plugin.
    pause: whether a failure shows a prompt. isolated: whether all tests begin from a snapshot. rerun: how often a test
    that has failed is run again. Returns the exit status, or -N if signal N has ended the run.
    """
    fault = plain.adopt()
    if fault:
        driver.logger.log_test_error(fault)
        return USAGE_ERROR
    try:
        import pytest
    except ImportError:
        driver.logger.log_test_error(MISSING)
        return 1
    from test_driver_pytest import test_vms
    from test_driver_pytest.fixtures import plugin as fixtures
    from test_driver_pytest.isolation import Isolation
    from test_driver_pytest.machines import Crew
    from test_driver_pytest.plugin import Plugin
    from test_driver_pytest.rerun import Rerun

    crew = Crew(driver)
    isolation = Isolation(driver, crew, isolated, rerun > 0, script is not None)
    repeating = Rerun(driver, isolation, rerun) if rerun else None
    plugin = Plugin(driver, crew, shard, restart_dead, no_skip, isolation, repeating)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        session = nullcontext(arguments) if script is None else _test_script(driver, script, arguments)
        with session as words, _pausing(driver, pause, plugin.is_repeating) as pausing:
            status = pytest.main(words, plugins=[
                isolation, plugin, test_vms, fixtures(driver, crew), *filter(None, [repeating]), *pausing])
    finally:
        sys.dont_write_bytecode = before
    if ending() or plugin.interrupted:
        return -(ending() or signal.SIGINT)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and plugin.left_out:
        return 0  # all tests belong to other shards
    return int(status)
