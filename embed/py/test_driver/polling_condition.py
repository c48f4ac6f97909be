"""Polling conditions: functions that are checked while a script does other things.

embed/driver imports this module when a script uses polling_condition() or imports the module. A condition runs on the
script's thread that is about to run a command or waits for something, with the GIL.
"""

import time
import warnings
from math import isfinite

from _test_driver import Driver, current_driver, retry, watch


class PollingConditionError(Exception):
    """A condition has stopped holding inside its `with` block."""


def _one_of(what, older, newer, default):
    """Returns the argument that was given by its older or its newer name, `default` if neither was. TypeError if both
    were given."""
    if older is not None and newer is not None:
        raise TypeError(f"{what} was given by its older and its newer name")
    return default if older is newer is None else older if newer is None else newer


def _seconds(duration):
    return duration.total_seconds() if hasattr(duration, "total_seconds") else float(duration)


class PollingCondition:
    """A function that tells whether a condition holds: a true value or None means yes, an exception means no.

    Inside `with condition:` the function is called before each command on any machine, and by each thread that waits
    for something, if more than the interval has passed since the last call. If the condition does not hold,
    PollingConditionError is raised there.

    condition: the function, without arguments.
    logger: the Driver, to whose log the checks are written. It may also be another logger; then the condition belongs
        to the run's driver and may be put into force by appending it to driver.polling_conditions.
    interval: seconds or a timedelta between checks, default 2 s; seconds_interval is the older name.
    description: the condition's name in the log, default: the docstring or the name of the function.
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
        """1 while the function runs, else 0."""
        return int(self.entered)

    @property
    def overdue(self):
        """Whether more than the interval has passed since the last check."""
        return self.last_called + self.interval < time.monotonic()

    def check(self, force=False):
        """Calls the function and returns whether the condition holds. Returns True without a call if the check is not
        due and not forced, and if the function itself, by a command, has led to this check."""
        if self.entered or not (self.overdue or force):
            return True
        with self.logger.nested(self.nested_message):
            passed = time.monotonic() - self.last_called
            self.logger.info(f"Time since last: {passed:.2f}s" if isfinite(passed) else "(not called yet)")
            held = self._ask()
            self.logger.info(self.status_message(held))
        return held

    def due(self):
        """Returns the seconds until the next check, at least 0.01, so that a wait also does its own work."""
        left = self.last_called + self.interval - time.monotonic()
        return max(left, 0.01)

    def maybe_raise(self):
        """Checks the condition; PollingConditionError if it does not hold."""
        if not self.check():
            raise PollingConditionError(self.status_message(False))

    def wait(self, timeout=None, timeout_seconds=None):
        """Waits until the condition holds and calls the function once a second. timeout: seconds or a timedelta,
        default 900 s; timeout_seconds is the older name. RequestedAssertionFailed when the time is over."""

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
        """Calls the function and returns whether the condition holds."""
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
        """Returns the line that the log gets after a check; `status` tells whether the condition holds."""
        return f"Polling condition {'succeeded' if status else 'failed'}: {self.description}"

    @property
    def nested_message(self):
        """The title of a check in the log."""
        return f"Checking polling condition {self.description!r}"

    def __enter__(self):
        self.driver.polling_conditions.append(self)
        _watch(self.driver)

    def __exit__(self, *exception):
        last = self.driver.polling_conditions.pop()
        _unwatch(self.driver)
        assert last is self, "polling conditions are left in the reverse order of entering them"


_watched = []  # the drivers that have conditions in force


def check_all(driver):
    """Checks the driver's conditions in force; PollingConditionError for the first that does not hold."""
    for condition in list(driver.polling_conditions):
        condition.maybe_raise()


class _Check:
    """The callback on machines that checks a driver's conditions. It is a class so that _watch() recognises it."""

    def __init__(self, driver):
        self.driver = driver

    def __call__(self):
        check_all(self.driver)


def check_while_waiting():
    """Checks the conditions in force of all drivers; the C code of waits calls it. Returns the seconds until the next
    condition is due, None if there is none. PollingConditionError as check_all()."""
    for driver in list(_watched):
        check_all(driver)
    conditions = [condition for driver in _watched for condition in driver.polling_conditions]
    return min((condition.due() for condition in conditions if not condition.entered), default=None)


def _watch(driver):
    """Makes the driver's machines and all waits check conditions; without conditions they save the time."""
    if driver not in _watched:
        _watched.append(driver)
    watch(check_while_waiting)
    for machine in driver.machines:
        callbacks = getattr(machine, "callbacks", [])  # an object that a script uses as a machine may lack callbacks
        if not any(isinstance(callback, _Check) for callback in callbacks):
            callbacks.append(_Check(driver))


def _unwatch(driver):
    if not driver.polling_conditions and driver in _watched:
        _watched.remove(driver)
    if not _watched:
        watch(None)


def polling_condition(driver):
    """Returns the decorator polling_condition of scripts, which makes a PollingCondition of a function. It takes no
    arguments or, by name, those of PollingCondition. driver: the Driver that the conditions belong to."""
    def decorator(fun=None, *, seconds_interval=None, interval=None, description=None):
        wanted = _one_of("interval", seconds_interval, interval, 2.0)
        if seconds_interval is not None:
            warnings.warn("polling_condition(): seconds_interval is deprecated. Use interval instead.", stacklevel=2)
        if fun is None:
            return lambda function: PollingCondition(function, driver, wanted, description)
        return PollingCondition(fun, driver, wanted, description)

    return decorator
