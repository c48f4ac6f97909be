"""--rerun N: a test that has failed is run N times more, each time from a snapshot of the machines as its fixtures of
scopes above `function` have left them, to tell whether it fails always, sometimes, or only after the tests before it.
`run` imports this module. pytest calls the plugin's hooks on the main thread.

The repetitions are part of the test: pytest is told of its first run only, and of the verdict. They begin after the
test and its fixtures of scope `function` have been torn down, and before the others are. What they log, and the
screenshots and files of machines, are in OUT/failure/TEST/rerun-1 and so on. Where the test was not isolated, the
machines are saved before the repetitions and go on from there after them.
"""

import random
import signal
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from _pytest.runner import CallInfo, call_and_report, runtestprotocol

from _test_driver import ending, log_position, recall, tell_of_seed, vary
from test_driver.errors import MachineError
from test_driver_pytest import reports

BEFORE = "pytest-before-rerun"  # the snapshot of the machines before the repetitions


class Held:
    """In the place of pytest's hook for reports while a test is repeated: keeps the reports of subtests to itself."""

    def __init__(self, hook):
        self.hook, self.reports = hook, []

    def __call__(self, *, report):
        self.reports.append(report)
        return []

    def __getattr__(self, name):
        return getattr(self.hook, name)


def verdict(failed, count, isolated):
    """Returns the verdict on a test that has failed, and then `failed` of `count` times again. isolated: whether the
    first run began from the same snapshot as the others."""
    times = f"{failed} of {count} runs from its snapshot"
    if failed == count:
        return f"deterministic: it fails in {times}"
    if failed == 0 and not isolated:
        return f"only after the tests before it: it passes in {count} of {times[5:]}"
    return f"sometimes: it fails in {times}"


class Rerun:
    """The plugin. driver: the run's Driver. isolation: the Isolation, which is `observing`. count: how often a test is
    repeated. Attributes: `verdict` on the current test, or None; `running`, whether it is being repeated; `directory`,
    where files of that repetition go."""

    def __init__(self, driver, isolation, count):
        self.driver, self.isolation, self.count = driver, isolation, count
        self.verdict, self.failed = None, False
        self.running, self.directory = False, None

    # ---- one test

    def pytest_runtest_logreport(self, report):
        self.failed |= report.failed  # also of a subtest

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        """Does what pytest does with a test, and repeats it if it fails."""
        self.verdict, self.failed = None, False
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        if getattr(item, "_request", None) is False:
            item._initrequest()
        found = [call_and_report(item, "setup")]
        if found[0].passed and not item.config.getoption("setuponly", False):
            found.append(call_and_report(item, "call"))
        self.verdict = self._finish(item, nextitem, found)
        self._forget_arguments(item)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @staticmethod
    def _forget_arguments(item):
        """Has the next run of the test set its fixtures up again."""
        if hasattr(item, "_request"):
            item._request, item.funcargs = False, None

    def _finish(self, item, nextitem, found):
        """Tears the test down, with the repetitions before the fixtures of wider scopes end. Returns the verdict."""
        if not self.failed:
            call_and_report(item, "teardown", nextitem=nextitem)
            return None
        torn = call_and_report(item, "teardown", log=False, nextitem=item.parent)
        self._forget_arguments(item)
        text = self._explain(item)
        for report in [*found, torn]:
            if report.failed:
                report.sections.append(("runs of the test again", text))
        torn.user_properties.append(("rerun", text))
        item.ihook.pytest_runtest_logreport(report=torn)
        self._end_other_fixtures(item, nextitem)
        return text

    @staticmethod
    def _end_other_fixtures(item, nextitem):
        """Tears down what the next test does not need. Without the hook for this, which plugins expect once a test."""
        call = CallInfo.from_call(lambda: item.session._setupstate.teardown_exact(nextitem), "teardown",
                                  reraise=(pytest.exit.Exception, KeyboardInterrupt))
        if call.excinfo:
            report = item.ihook.pytest_runtest_makereport(item=item, call=call)
            item.ihook.pytest_runtest_logreport(report=report)

    def _explain(self, item):
        """Returns the verdict on a test that has failed."""
        isolated, level = self.isolation.is_isolated, self.isolation.level_to_begin_from()
        if ending():
            return "not run again: the run ends"
        if not self.isolation.uses:
            return "not run again: it uses no machines"
        if not level:
            return "not run again: it failed before there was a snapshot for it"
        try:
            with self._kept(isolated):
                outcomes = self._repeat(item, level)
        except MachineError as error:
            return f"no verdict: {error}"
        except SystemExit:
            if not ending():
                raise
            outcomes = []
        if ending():
            item.session.shouldstop = signal.Signals(ending()).name
        if not outcomes:
            return "no verdict: the run ends"
        text = verdict(sum(outcomes), len(outcomes), isolated)
        self.driver.logger.log(f"{item.nodeid}: {text}")
        return text

    @contextmanager
    def _kept(self, isolated):
        """A context manager that brings back the machines of a test that was not isolated. MachineError."""
        isolation = self.isolation
        with isolation.aside():
            before = isolation.present(BEFORE)
            if not isolated:
                before.save()
            try:
                yield
            finally:
                isolation.start = None
                if not isolated and not ending():
                    before.restore(isolation.crew)
                    isolation.spoiled = False

    # ---- the repetitions

    def _repeat(self, item, level):
        """Runs the test again until the run ends; returns a list of bools: whether it has failed. MachineError."""
        base = Path(self.driver.out_dir) / "failure" / reports.directory_name(item.nodeid)
        outcomes = []
        for number in range(1, self.count + 1):
            seed = random.SystemRandom().randrange(1, 1 << 16)  # tests may seed the others
            self.driver.logger.log(f"run {number} of {self.count} of {item.nodeid} again, with --seed {seed}")
            tell_of_seed(f"starts and networks in run {number} of {self.count} of {item.nodeid} again", str(seed))
            failed = self._once(item, level, base / f"rerun-{number}", seed)
            if ending():
                break  # which is why it has failed, if it has
            outcomes.append(failed)
        return outcomes

    def _once(self, item, level, directory, seed):
        """Runs the test again; returns whether it has failed. MachineError if it could not begin from the level."""
        position = log_position()
        directory.mkdir(parents=True, exist_ok=True)
        self.isolation.start = level
        with ExitStack() as stack:
            stack.enter_context(self._files_in(directory))
            held = stack.enter_context(self._held_reports(item))
            vary(seed)
            stack.callback(vary)
            self.running, self.directory = True, directory
            stack.callback(setattr, self, "running", False)
            found = [*runtestprotocol(item, log=False, nextitem=item.parent), *held.reports]
        failures = [f"{report.when}:\n{report.longreprtext}" for report in found if report.failed]
        result = "\n\n".join(failures) or "It has passed."
        (directory / "report.txt").write_text(f"{result}\n\nIts seed was {seed}; --seed is for a whole run with that.\n", errors="replace")
        (directory / "log.txt").write_text(recall(position, None), errors="replace")
        if not self.isolation.reached and not ending():
            raise MachineError(found[0].longreprtext)
        return bool(failures)

    @contextmanager
    def _files_in(self, directory):
        """A context manager in which the files that machines make for the user go to the directory."""
        places = [(one, one.out_dir) for one in [self.driver, *self.driver.machines]]
        try:
            for one, _ in places:
                one.out_dir = directory
            yield
        finally:
            for one, before in places:
                one.out_dir = before

    @contextmanager
    def _held_reports(self, item):
        hook = item.config.hook
        held = Held(hook.pytest_runtest_logreport)
        hook.pytest_runtest_logreport = held
        try:
            yield held
        finally:
            hook.pytest_runtest_logreport = held.hook
