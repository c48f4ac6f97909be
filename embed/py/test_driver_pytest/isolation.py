"""Isolated tests, which begin from a snapshot of all machines: --isolation=restore and @pytest.mark.isolated. `run`
imports this module. pytest calls the plugin's hooks on the main thread.

Theory of operation

The machines are booted once. The fixtures of a test with a scope above `function` are set up in their state, and what
they do to machines stays; then the machines and networks are saved at one moment, and the test and its fixtures of
scope `function` follow. What these do is undone before anything else uses the machines: the snapshot is restored.

Such a snapshot is a Level. Levels are a stack, since the fixtures are one: when a test needs one more fixture, the top
level is restored, the fixture is set up, and another level is made with it; when a fixture is torn down, the levels
that contain what it did are dropped, and the next test begins from the one below. For this there is a level before the
first fixture, and before each that can end before others do. Fixtures that use no machine make no level; whether one
has used a machine, the machines' counts of uses tell. A fixture's code before `yield` and that after it begin from the
top level, so what a test has done to the machines disturbs neither.

Between two calls of this module the machines are
    as in the top level,
    `ahead` of it by fixtures, or by tests that are not isolated: what comes next goes on from there,
    or `spoiled` by an isolated test: what comes next begins with a restore.
Tests that are not isolated may stand between isolated ones. What they do stays, as ever, so all levels are then
`outdated`: the next isolated test makes a new one, and nothing goes back below it any more. Outdated levels are kept
for `rerun`, which needs the state before such tests.
"""

import functools
import inspect
import time
from contextlib import contextmanager

import pytest

from _test_driver import boot_seconds, ending, machine_uses, restore_machines, save_machines, spent, tell_of_run
from test_driver.errors import MachineError
from test_driver.machine import NspawnMachine
from test_driver_pytest.fixtures import is_of_driver
from test_driver_pytest.usage import Usage

NAME = "pytest-isolation"  # the beginning of the snapshots' names


def _has_end(fixturedef):
    """Whether code of a fixture runs when it is torn down."""
    return inspect.isgeneratorfunction(fixturedef.func) or "request" in fixturedef.argnames


def _fail(text):
    """Fails the test with that text alone, without the exception that it tells of."""
    raise pytest.fail.Exception(text, pytrace=False) from None


class Level:
    """A snapshot. fixtures: the fixtures, a frozenset, whose doing it contains. Attributes: `machines`, a list; `dead`,
    {machine: cause} of those that had died; `running`, those that ran; `outdated`: see above."""

    def __init__(self, name, machines, fixtures, dead):
        self.name, self.machines, self.fixtures, self.dead = name, machines, fixtures, dict(dead)
        self.running, self.outdated = [one for one in machines if one.booted], False

    def save(self):
        """Saves the machines. MachineError when that is not possible."""
        save_machines(self.name, self.machines)

    def restore(self, crew):
        """Brings the machines back. crew: the Crew, which learns which of them are dead."""
        restore_machines(self.name, self.machines)
        crew.failures.update(self.dead)


class Account:
    """What isolation has cost and saved."""

    def __init__(self):
        self.saves = self.restores = self.boots = 0
        self.save_seconds = self.restore_seconds = self.boot_seconds = 0.0

    def add_save(self, seconds):
        """Adds a snapshot that has been made."""
        self.saves += 1
        self.save_seconds += seconds

    def add_restore(self, seconds, machines):
        """Adds a restore, in place of which these machines would have been booted, all at the same time."""
        self.restores += 1
        self.restore_seconds += seconds
        self.boots += len(machines)
        self.boot_seconds += max(map(boot_seconds, machines), default=0.0)

    def text(self):
        """Returns the account as a line."""
        restores = f"{self.restores} restore{'s' * (self.restores != 1)} in {self.restore_seconds:.1f} s"
        saves = f"{self.saves} snapshot{'s' * (self.saves != 1)} in {self.save_seconds:.1f} s"
        took = f", which would have taken {self.boot_seconds:.1f} s" if self.boot_seconds else ""
        boots = f"{self.boots} boot{'s' * (self.boots != 1)}{took}"
        return f"{restores} and {saves}, in place of {boots}"

    def tell(self):
        """Makes it properties of the run, in JUnit and in the events."""
        for name, value in (("restores", self.restores), ("restore_seconds", f"{self.restore_seconds:.3f}"),
                            ("snapshots", self.saves), ("snapshot_seconds", f"{self.save_seconds:.3f}"),
                            ("boots_saved", self.boots), ("boot_seconds_saved", f"{self.boot_seconds:.3f}")):
            tell_of_run(f"isolation.{name}", str(value))


class Isolation:
    """The plugin.

    driver: the run's Driver. crew: its Crew. everywhere: whether all tests are isolated. observing: whether there is a
    level for each test, isolated or not, for `rerun`. scripted: see Usage.
    """

    def __init__(self, driver, crew, everywhere, observing, scripted):
        self.driver, self.crew = driver, crew
        self.everywhere, self.observing = everywhere, observing
        self.usage, self.account = Usage(crew, scripted), Account()
        self.levels, self.active = [], []  # active: the fixtures whose doing the machines show, in order
        self.ahead = self.spoiled = False
        self.broken = None  # (fixtures, test, why) of a snapshot that could not be made
        self.item, self.reached = None, False  # the test, and whether its level has been reached
        self.used = False  # whether the test has used machines, as far as is known
        self.closed = False  # whether its end has been seen
        self.is_isolated = self.uses = False  # of the test
        self.start = None  # the level from which `rerun` has the test begin
        self.seen = None  # the uses of the machines when they were last looked at

    @property
    def top(self):
        """The level at the top, or None."""
        return self.levels[-1] if self.levels else None

    # ---- the machines

    def _machines(self):
        return list(self.driver.machines)

    def _look(self):
        """Whether the machines have been used since the last look."""
        before, self.seen = self.seen, [(id(one), machine_uses(one)) for one in self._machines()]
        return before is not None and before != self.seen

    def present(self, name):
        """Returns a Level of that name for the present state, which is to be saved."""
        machines = self._machines()
        return Level(name, machines, frozenset(self.active), self.crew.dead(machines))

    def _save(self):
        """Makes a level of the present state. MachineError when that is not possible."""
        same = [level for level in self.levels if level.fixtures == set(self.active)]
        while len(same) > self.observing:
            self.levels.remove(same.pop())  # it is outdated, or would not be made again
        level = self.present(f"{NAME}-{len(self.levels) + 1}")
        began, (booted, *_) = time.monotonic(), spent()
        level.save()
        self.account.add_save(time.monotonic() - began - (spent()[0] - booted))  # it waits for machines that boot
        level.running = [one for one in level.running if one.booted]
        self.levels.append(level)
        self.ahead = False
        self._look()

    def restore(self, level, counts=True):
        """Brings the machines back to a level. counts: whether boots would be needed otherwise."""
        began = time.monotonic()
        level.restore(self.crew)
        self.account.add_restore(time.monotonic() - began, level.running if counts else [])
        self._look()

    def _clean_up(self, counts=True):
        """Undoes what an isolated test has done. Errors are those of restore()."""
        if self.spoiled:
            self.restore(self.top, counts)
            self.spoiled = self.ahead = False

    def _begin_clean(self, level=None):
        """Has the test begin from a level, or without what an isolated test has done. The test fails if that is not
        possible."""
        try:
            if level:
                self.restore(level)
            else:
                self._clean_up()
        except MachineError as error:
            _fail(f"the machines could not be restored: {error}")

    # ---- a snapshot that cannot be made

    def _make_level(self):
        """Makes a level for the test; the first test for which that is not possible fails, and others that would need
        the same are skipped."""
        if self.broken and self.broken[0] <= set(self.active):
            _, nodeid, why = self.broken
            if not self.is_isolated:
                return
            pytest.skip(f"no snapshot can be made: see {nodeid}")
        dead = len(self.crew.dead(self._machines()))
        try:
            self._save()
        except MachineError as error:
            if len(self.crew.dead(self._machines())) > dead:
                _fail(f"no snapshot could be made: {error}")  # others may have more luck
            self.broken = frozenset(self.active), self.item.nodeid, str(error)
            text = f"{self.item.nodeid} cannot begin from a snapshot, nor can other tests: {error}"
            if self.is_isolated:
                _fail(text)
            self.driver.logger.log(f"there are no snapshots for --rerun: {error}")

    # ---- the session

    def _wanted(self, item):
        return self.everywhere or item.get_closest_marker("isolated") is not None

    def pytest_collection_finish(self, session):
        """Refuses containers before anything starts."""
        boxes = [one.name for one in self.driver.machines if isinstance(one, NspawnMachine)]
        isolated = [item.nodeid for item in session.items if self._wanted(item)]
        if not boxes or session.config.option.collectonly:
            return
        names = f"{', '.join(boxes)} {'is a container' if len(boxes) == 1 else 'are containers'}"
        if isolated or self.observing:
            what = "--isolation=restore" if self.everywhere else "--rerun" if self.observing else isolated[0]
            raise pytest.UsageError(f"{what} needs snapshots of all machines, and containers have none: {names}")

    # ---- one test

    def begin(self, item):
        """The set-up of a test begins: undoes what the one before has done, if this one uses machines."""
        self.item, self.reached, self.used, self.closed = item, False, False, False
        self.is_isolated, self.uses = self._wanted(item), self.usage.of_item(item)
        if self.start:
            self._begin_clean(self.start)
            self.reached = True
        elif self.uses:
            self._begin_clean()
        self._look()

    @contextmanager
    def aside(self):
        """A context manager for what the driver itself asks of machines, which is no use by the test."""
        self.used |= self._look()
        try:
            yield
        finally:
            self._look()

    def _reach(self):
        """What comes next is the test's own."""
        if self.reached:
            return
        if self.uses:
            self._begin_clean()
            if self.is_isolated and (self.ahead or not self.levels or self.top.outdated):
                self._make_level()
            elif self.observing and not self.is_isolated and not self.level_of_fixtures():
                self._make_level()
        self.reached = True
        self._look()

    def level_of_fixtures(self):
        """Returns the level before any test has used the fixtures that are set up now, or None."""
        return next((level for level in self.levels if level.fixtures >= set(self.active)), None)

    def level_to_begin_from(self):
        """Returns the level from which the test is to be run again, or None if it has not got so far."""
        if not self.reached or not self.uses:
            return None
        return self.top if self.is_isolated else self.level_of_fixtures()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(self, item):
        self._reach()  # the test has no fixture of scope `function`

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item):
        self._close()

    def _close(self):
        """The test has ended; its fixtures are torn down next."""
        if not self.item or self.closed:
            return
        item, used, self.closed = self.item, self._look() or self.used, True
        if self.start or (self.uses and self.reached and self.is_isolated):
            self.spoiled = True
        elif self.uses and self.reached:
            self._go_on()
        elif used and self.is_isolated and not self.uses:
            self.driver.logger.log(f"{item.nodeid} has used machines and takes none as an argument, so it did not "
                                   "begin from a snapshot")
            self.spoiled = bool(self.levels) and not self.top.outdated
            self.ahead = not self.spoiled
        elif used and not self.uses:
            self._go_on()

    def _go_on(self):
        """A test that is not isolated has changed the machines."""
        self.ahead = True
        for level in self.levels:
            level.outdated = True

    # ---- fixtures

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if is_of_driver(fixturedef) or not self.item:
            yield
            return
        likely = fixturedef.scope != "function" and self.usage.of_fixture(fixturedef)
        if likely:
            self.usage.learn(fixturedef)
        try:
            self._prepare(fixturedef, likely)
        except BaseException:
            # pytest 9 takes a fixture that has finalizers for one that has been set up.
            getattr(fixturedef, "_finalizers", []).clear()
            raise
        if fixturedef.scope == "function":
            yield
            return
        self._look()
        outcome = yield
        used = self._look()
        if self.reached:
            if used and (self.is_isolated or self.start):
                # Asked for in the middle of a test, it ends with the test, like the state of the machines.
                self.item.addfinalizer(functools.partial(fixturedef.finish, request=request))
        elif used or (likely and _has_end(fixturedef)):
            self._add(fixturedef, used, outcome.excinfo is not None)

    def _prepare(self, fixturedef, likely):
        """Has a fixture begin from a state that can be gone back to; one of the test's own, from the test's level."""
        if fixturedef.scope == "function":
            self._reach()
        if not self.uses or self.reached:
            return
        self._begin_clean()
        ends_early = fixturedef.scope != "session" or fixturedef.params
        wanted = not self.levels or (self.ahead and ends_early)
        if likely and wanted and (self.is_isolated or self.observing):
            self._make_level()

    def _add(self, fixturedef, used, failed):
        """A fixture has been set up, or has failed, and may have used machines."""
        if failed and self.levels and self.top.fixtures >= set(self.active) and not self.top.outdated:
            self.spoiled = True  # half of a fixture is in no snapshot
            return
        self.ahead |= used
        if used and not failed:
            self.active.append(fixturedef)
        fixturedef.addfinalizer(functools.partial(self._end, fixturedef))

    def _end(self, fixturedef):
        """A fixture is torn down next."""
        contained = fixturedef in self.active
        fits = not contained or (self.levels and fixturedef in self.top.fixtures)
        if self.spoiled and fits and _has_end(fixturedef) and not ending():
            try:
                self._clean_up(counts=False)
            except Exception as error:
                self.driver.logger.log(f"the fixture {fixturedef.argname} ends without a restore: {error}")
        if contained:
            self.active.remove(fixturedef)
            self._drop(fixturedef)
        self._look()

    def _drop(self, fixturedef):
        """Drops the levels that contain a fixture's doing. What comes next goes back to the one below if that has what
        the other fixtures have done."""
        self.levels = [level for level in self.levels if fixturedef not in level.fixtures]
        below = self.levels and not self.top.outdated and self.top.fixtures >= set(self.active)
        self.spoiled, self.ahead = bool(below), not below
        if self.everywhere and not below and fixturedef.scope != "session":
            self.driver.logger.log(f"the machines keep what the fixture {fixturedef.argname} has done: it has used "
                                   "them without taking one as an argument")

    def pytest_fixture_post_finalizer(self, fixturedef):
        """What the end of a fixture has done to machines is of no use to the tests that follow."""
        if fixturedef.scope == "function" or not self._look() or self.spoiled:
            return
        if self.levels and not self.top.outdated:
            self.spoiled = True
        else:
            self.ahead = True

    # ---- the report

    @pytest.hookimpl(hookwrapper=True)
    def pytest_sessionfinish(self):
        self._close()  # of a test that has been interrupted
        yield  # other fixtures end
        if self.account.saves:
            self.account.tell()

    def pytest_terminal_summary(self, terminalreporter):
        if self.account.restores:
            terminalreporter.write_sep("-", "isolation")
            terminalreporter.write_line(self.account.text())
