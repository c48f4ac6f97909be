"""Conditions that are watched while a script does other things."""

import time
import warnings
from math import isfinite

from _test_driver import Driver, current_driver, retry, watch


class PollingConditionError(Exception):
    """A condition stopped holding inside its `with` block."""


def _one_of(what, older, newer, default):
    """What was given by one of two names."""
    if older is not None and newer is not None:
        raise TypeError(f"{what} was given by its older and its newer name")
    return default if older is newer is None else older if newer is None else newer


def _seconds(duration):
    return duration.total_seconds() if hasattr(duration, "total_seconds") else float(duration)


class PollingCondition:
    """A function that tells whether something holds; None means yes, an exception no.

    Inside `with condition:` it is checked before each command on any machine, and by a thread that waits
    for anything, if more than the interval has passed since its last check; when it does not hold,
    PollingConditionError. In place of the driver, whose log it writes to, there may be another log; the driver then is
    that of the run. Such a condition may also be appended to driver.polling_conditions.
    """

    def __init__(self, condition, logger, interval=None, description=None, *, seconds_interval=None):
        self.condition = condition
        self.driver = logger if isinstance(logger, Driver) else current_driver()
        self.logger = logger.logger if isinstance(logger, Driver) else logger
        self.interval = _seconds(_one_of("interval", seconds_interval, interval, 2.0))
        self.description = str(description or condition.__doc__ or condition.__name__)
        self.last_called = float("-inf")
        self.entered = False
        if not isinstance(logger, Driver):
            _watch(self.driver)

    @property
    def seconds_interval(self):
        """The older name of `interval`."""
        return self.interval

    @property
    def entry_count(self):
        return int(self.entered)

    @property
    def overdue(self):
        return self.last_called + self.interval < time.monotonic()

    def check(self, force=False):
        """Whether the condition holds; asked only when due (or with force), never from within itself."""
        if self.entered or not (self.overdue or force):
            return True
        with self.logger.nested(self.nested_message):
            passed = time.monotonic() - self.last_called
            self.logger.info(f"Time since last: {passed:.2f}s" if isfinite(passed) else "(not called yet)")
            held = self._ask()
            self.logger.info(self.status_message(held))
        return held

    def due(self):
        """Seconds until the next check."""
        left = self.last_called + self.interval - time.monotonic()
        return max(left, 0.01)  # a wait is not to do nothing else

    def maybe_raise(self):
        if not self.check():
            raise PollingConditionError(self.status_message(False))

    def wait(self, timeout=None, timeout_seconds=None):
        """Waits until the condition holds, asking every second, for 900 seconds unless given. timeout_seconds is the
        older name of timeout."""

        def attempt(last):
            if last:
                log.info(f"Last chance for {self.description}")
            held = self.check(force=True)
            if not held and not last:
                log.info(f"({self.description} failure not fatal yet)")
            return held

        limit = _one_of("timeout", timeout_seconds, timeout, 900)
        log = self.logger
        with log.nested(f"waiting for {self.description}"):
            retry(attempt, limit)

    def _ask(self):
        self.entered = True
        try:
            held = self.condition()
        except Exception:
            held = False
        finally:
            self.entered = False
            self.last_called = time.monotonic()
        return held is None or bool(held)

    def status_message(self, status):
        return f"Polling condition {'succeeded' if status else 'failed'}: {self.description}"

    @property
    def nested_message(self):
        return f"Checking polling condition {self.description!r}"

    def __enter__(self):
        self.driver.polling_conditions.append(self)
        _watch(self.driver)

    def __exit__(self, *exception):
        last = self.driver.polling_conditions.pop()
        _unwatch(self.driver)
        assert last is self, "polling conditions are left in the reverse order of entering them"


_watched = []  # the drivers with conditions in force


def check_all(driver):
    """Checks the conditions in force; PollingConditionError for the first that does not hold."""
    for condition in list(driver.polling_conditions):
        condition.maybe_raise()


class _Check:
    """The callback on machines. One a driver, so that it can be recognised."""

    def __init__(self, driver):
        self.driver = driver

    def __call__(self):
        check_all(self.driver)


def check_while_waiting():
    """The same of all drivers, from within a wait: seconds until the next one is due, None when none can be."""
    for driver in list(_watched):
        check_all(driver)
    conditions = [condition for driver in _watched for condition in driver.polling_conditions]
    return min((condition.due() for condition in conditions if not condition.entered), default=None)


def _watch(driver):
    """Sees to it that the configured machines and waits call us; without conditions they need not."""
    if driver not in _watched:
        _watched.append(driver)
    watch(check_while_waiting)
    for machine in driver.machines:
        callbacks = getattr(machine, "callbacks", [])  # other objects with the methods of a machine need not have any
        if not any(isinstance(callback, _Check) for callback in callbacks):
            callbacks.append(_Check(driver))


def _unwatch(driver):
    if not driver.polling_conditions and driver in _watched:
        _watched.remove(driver)
    if not _watched:
        watch(None)


def polling_condition(driver):
    """The decorator as scripts see it, with or without arguments."""
    def decorator(fun=None, *, seconds_interval=None, interval=None, description=None):
        wanted = _one_of("interval", seconds_interval, interval, 2.0)
        if seconds_interval is not None:
            warnings.warn("polling_condition(): seconds_interval is deprecated. Use interval instead.", stacklevel=2)
        if fun is None:
            return lambda function: PollingCondition(function, driver, wanted, description)
        return PollingCondition(fun, driver, wanted, description)

    return decorator
