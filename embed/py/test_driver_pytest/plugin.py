"""The pytest plugin of a run. It makes each test a subtest of the driver's log, so that all reports contain the tests;
starts the machines that the tests use; and adds logs and evidence to pytest's report of a failure.

`run` imports this module. pytest calls the plugin's hooks on the main thread.
"""

import inspect
import os
import signal
import time
import zlib
from pathlib import Path

import pytest

from _test_driver import begin_test, end_test, ending, leave_if_forked, printable, spent, tell_failure, test_failed
from test_driver.test_vm import living_vms
from test_driver_pytest import reports, requirements
from test_driver_pytest.fixtures import RESERVED

# The lines that `pytest --markers` shows.
MARKS = (
    "machines(start=True): start=False: the test starts the machines that it uses itself",
    "isolated: the test begins from a snapshot of all machines, and what it does to them is undone",
    "restart_machines: machines that have died are started again for this test",
    "requires(*names, memory=None): skip unless the host has it: \"kvm\", \"net\", memory=\"4G\"",
    "vm: boots machines",
    "slow: takes long",
)


def _write_printable(writer):
    """Makes pytest's terminal writer remove control sequences, since reports contain output of guests. Colours pass if
    pytest itself writes in colour."""
    write = writer.write
    writer.write = lambda text, **named: write(printable(text, writer.hasmarkup), **named)


class Plugin:
    """The plugin.

    driver: the run's Driver. crew: its machines.Crew. shard: (index, count) of --shard, count 0 without the option.
    restart_dead: whether machines that have died are started again for the next test. no_skip: whether an unmet
    requirement is a failure. isolation, rerun: the Isolation and the Rerun (or None), other plugins.
    Attributes for `run`: `interrupted` (Ctrl-C ended the run), `left_out` (how many tests
    belong to other shards).
    """

    def __init__(self, driver, crew, shard, restart_dead, no_skip, isolation, rerun):
        self.driver, self.crew = driver, crew
        self.shard, self.restart_dead, self.no_skip = shard, restart_dead, no_skip
        self.isolation, self.rerun = isolation, rerun
        self.times, self.left_out = reports.Times(), 0
        self.interrupted = False
        self.config, self.in_summary = None, False
        self.shared_output = os.path.sameopenfile(1, 2)  # pytest's lines and the log go to the same place
        # The current test: where its log begins, whether it has failed, why it was skipped, and the seconds of boot,
        # waiting and commands that the collection of evidence took.
        self.position, self.failed, self.skipped, self.aside = 0, False, None, (0, 0, 0)
        self.failure = "", "", ""  # the last one, see reports.failure_of()
        # The current attempt at it (pytest-rerunfailures may repeat a test): whether evidence has been collected, and
        # whether a requirement is not met.
        self.told = self.unmet = False

    def is_repeating(self):
        """Whether a test is run again after its failure."""
        return bool(self.rerun and self.rerun.running)

    # ---- the session

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session):
        if session.config.pluginmanager.has_plugin("terminalreporter"):
            _write_printable(session.config.get_terminal_writer())

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config):
        for mark in MARKS:
            config.addinivalue_line("markers", mark)
        self.config, options = config, config.option
        options.verbose = getattr(options, "verbose", 0) or 1  # a line for each test, unless an option says otherwise
        if getattr(options, "reportchars", None) == "fE":  # pytest's default
            options.reportchars = "fEsx"
        if getattr(options, "numprocesses", None) or getattr(options, "tx", None):
            raise pytest.UsageError("the machines belong to this process, so its tests cannot be spread over others "
                                    "(-n, pytest-xdist); run parts in several drivers: --shard 1/4, 2/4 ...")

    def pytest_collection_modifyitems(self, config, items):
        index, count = self.shard
        if not count:
            return
        kept = [item for item in items if zlib.crc32(item.nodeid.encode()) % count == index - 1]
        left_out = [item for item in items if item not in kept]
        self.left_out = len(left_out)
        items[:] = kept
        if left_out:
            config.hook.pytest_deselected(items=left_out)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        if session.config.option.collectonly or (session.testsfailed and
                                                 not session.config.option.continue_on_collection_errors):
            return
        wanted = []
        for item in session.items:
            if self._starts(item) and not self._why_skipped(item):
                wanted += [machine for machine in self.crew.of(item) if machine not in wanted]
        try:
            self.crew.start(wanted)
        except SystemExit:
            raise session.Interrupted(signal.Signals(ending()).name) from None

    def pytest_keyboard_interrupt(self, excinfo):
        if excinfo.type is KeyboardInterrupt:  # pytest also calls the hook with exceptions of its own, as for -x
            self.interrupted = True

    # ---- one test

    @staticmethod
    def _starts(item):
        """Whether the plugin starts the machines of the test: unless it is marked machines(start=False)."""
        mark = item.get_closest_marker("machines")
        return not mark or mark.kwargs.get("start", True)

    @staticmethod
    def _why_skipped(item):
        """The first requirement that the host does not meet, or None. A mark that is wrong counts as met here; the
        set-up of the test reports it."""
        for mark in item.iter_markers("requires"):
            try:
                reason = requirements.missing(mark)
            except ValueError:
                return None
            if reason:
                return reason
        return None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        self.position, self.failed, self.skipped, self.aside = begin_test(item.nodeid), False, None, (0, 0, 0)
        began, before = time.monotonic(), spent()
        outcome = yield
        total = time.monotonic() - began
        self.times.add(item.nodeid, total, [after - first - aside for after, first, aside
                                            in zip(spent(), before, self.aside)])
        if outcome.excinfo:
            self.driver.logger.log_test_error(f"{item.nodeid} was ended by {outcome.excinfo[0].__name__}")
        end_test(self.failed or outcome.excinfo is not None, self.skipped,
                 self.rerun and self.rerun.verdict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        self.told = self.unmet = False
        for mark in item.iter_markers("requires"):
            try:
                reason = requirements.missing(mark)
            except ValueError as error:
                pytest.fail(str(error), pytrace=False)
            if reason and self.no_skip:
                pytest.fail(f"{reason} (--no-skip)", pytrace=False)
            if reason:
                self.unmet = True
                pytest.skip(reason)
        self._refuse_ambiguous_names(item)
        self.isolation.begin(item)
        with self.isolation.aside():
            self._revive(item)

    def _refuse_ambiguous_names(self, item):
        """Fails a test that takes an argument which is both a fixture of pytest and a machine's name."""
        function = getattr(item, "function", None)
        code = getattr(function, "__code__", None)
        names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount] if code else ()
        for name in names:
            if name in RESERVED and name in self.crew.by_name:
                pytest.fail(f"{name!r} is a fixture of pytest and also a machine: take \"machines\" as the argument "
                            f"and use machines[{self.crew.by_name[name].name!r}]", pytrace=False)

    def pytest_pyfunc_call(self, pyfuncitem):
        """Runs a test that is a coroutine, unless another plugin, such as pytest-asyncio, has run it. asyncio.run() is
        not used, because it handles Ctrl-C itself."""
        function = pyfuncitem.obj
        if not inspect.iscoroutinefunction(function):
            return None
        import asyncio  # imported late, because it takes time

        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(function(**{name: pyfuncitem.funcargs[name]
                                                for name in inspect.signature(function).parameters}))
        finally:
            loop.close()
        return True

    def _revive(self, item):
        """Starts dead machines of the test again if the run or the test wants that; fails the test if a machine cannot
        be used."""
        machines = self.crew.of(item)
        dead = self.crew.dead(machines) if self._starts(item) else []
        if dead and (self.restart_dead or item.get_closest_marker("restart_machines")):
            self.driver.logger.log(f"starting again: {', '.join(machine.name for machine, _ in dead)}")
            self.crew.start([machine for machine, _ in dead])
            dead = self.crew.dead(machines)
        if dead:
            pytest.fail("\n".join(f"{machine.name} cannot be used: {cause}" for machine, cause in dead), pytrace=False)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        leave_if_forked(call.excinfo and call.excinfo.value)
        outcome = yield
        report = outcome.get_result()
        if report.skipped:
            self.skipped = self._reason(report)
            if self.unmet:  # report the place of the test instead of the line in this plugin
                path, line, _ = item.reportinfo()
                report.longrepr = str(path), (line or 0) + 1, f"Skipped: {self.skipped}"
        if report.failed and ending():
            item.session.shouldstop = signal.Signals(ending()).name
            self.failure = f"{item.session.shouldstop} ended the run", *reports.failure_of(item, call.excinfo, report)[1:]
        elif report.failed:
            if not self.is_repeating():
                self.failure = reports.failure_of(item, call.excinfo, report)  # before the machines give evidence
            if not self.told:
                self.told = True
                with self.isolation.aside():
                    self._collect(item, report)

    @staticmethod
    def _reason(report):
        """Why the test was skipped."""
        if hasattr(report, "wasxfail"):
            return f"expected to fail: {report.wasxfail}"
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        return text.removeprefix("Skipped: ")

    def _collect(self, item, report):
        """Adds logs and evidence about the test's machines, or else about all that run, to the report of a failure."""
        before = spent()
        machines = self.crew.of(item) or [machine for machine in self.driver.machines if machine.booted]
        machines += [vm for vm in living_vms() if vm.booted]
        reports.add_sections(report, self.position, machines)
        base = Path(self.driver.out_dir) / "failure" / reports.directory_name(item.nodeid)
        reports.add_artifacts(report, self.rerun.directory if self.is_repeating() else base, machines)
        self.aside = [old + after - first for old, after, first in zip(self.aside, spent(), before)]

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        self._begin_line()
        text = f"{report.nodeid} failed ({report.when})\n{report.longreprtext}"
        if report.failed:
            self.failed = True
            test_failed(f"{report.nodeid}: {self.failure[0]}", *self.failure[1:])
            tell_failure(*reports.failure(report))
            self.driver.logger.log_test_error(text)
        elif report.outcome == "rerun":  # of pytest-rerunfailures
            self.driver.logger.log(f"{text}\ntrying it again")

    # ---- what the terminal shows

    def _begin_line(self):
        """Ends pytest's unfinished line before a line of the log follows, if both go to the same place."""
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal and self.shared_output and self.config.option.verbose > 0:
            terminal.ensure_newline()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self, nodeid, location):
        self._begin_line()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_report_teststatus(self, report, config):
        outcome = yield
        category, letter, word = outcome.get_result()
        if report.when == "call" and isinstance(word, str) and word and not self.in_summary:
            outcome.force_result((category, letter, f"{word} ({report.duration:.2f}s)"))

    def pytest_terminal_summary(self, terminalreporter):
        self.in_summary = True
        if self.config.option.verbose >= 0:
            self.times.write(terminalreporter)
