"""The log of the run."""

import sys
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from enum import IntEnum
from functools import wraps

from _test_driver import CompositeLogger, current_driver


class LogLevel(IntEnum):
    DEBUG = 1
    INFO = 2
    WARNING = 3
    ERROR = 4


class AbstractLogger(ABC):
    """What every logger can do; the driver's own is one. A script's, given to log.add_logger(), is told of what
    is logged from then on: nested() and subtest() are context managers, the attribute "machine" is a name.
    """

    @abstractmethod
    def log(self, message, attributes={}):
        pass

    @abstractmethod
    def subtest(self, name, attributes={}):
        pass

    @abstractmethod
    def nested(self, message, attributes={}):
        pass

    def debug(self, message, attributes={}):
        pass

    @abstractmethod
    def info(self, message, attributes={}):
        pass

    @abstractmethod
    def warning(self, message, attributes={}):
        pass

    @abstractmethod
    def error(self, message, attributes={}):
        pass

    def log_test_error(self, message, attributes={}):
        self.log(message, attributes)

    @abstractmethod
    def log_serial(self, message, machine):
        pass

    @abstractmethod
    def print_serial_logs(self, enable):
        pass

    def set_log_level(self, level):
        pass

    # debug, log_test_error and set_log_level are not abstract: loggers that were written for drivers before
    # 2026 do not have them.


class LogWriter(AbstractLogger):
    """What loggers have in common that write down what they are told: one method for all but console lines, and
    whether these and lines below a level are left out."""

    def __init__(self):
        self._serial = True
        self._level = LogLevel.INFO

    @staticmethod
    def maybe_prefix(message, attributes):
        return f"{attributes['machine']}: {message}" if "machine" in attributes else message

    def _at(self, level, message, attributes):
        if self._level <= level:
            self.log(message, attributes)

    def debug(self, message, attributes={}):
        self._at(LogLevel.DEBUG, message, attributes)

    def info(self, message, attributes={}):
        self._at(LogLevel.INFO, message, attributes)

    def warning(self, message, attributes={}):
        self._at(LogLevel.WARNING, message, attributes)

    def error(self, message, attributes={}):
        self.log(message, attributes)

    def subtest(self, name, attributes={}):
        return self.nested(f"subtest: {name}", attributes)

    def log_serial(self, message, machine):
        if self._serial:
            self._write_serial(message, machine)

    def print_serial_logs(self, enable):
        self._serial = enable

    def set_log_level(self, level):
        self._level = level


class TerminalLogger(LogWriter):
    """Writes to standard error, for logs of one's own; the run's log is on the terminal without it."""

    def log(self, message, attributes={}):
        print(self.maybe_prefix(message, attributes), file=sys.stderr)

    @contextmanager
    def nested(self, message, attributes={}):
        self.log(f"\x1b[1m\x1b[32m{message}\x1b[0m", attributes)
        began = time.monotonic()
        yield
        self.log(f"(finished: {message}, in {time.monotonic() - began:.2f} seconds)", attributes)

    def log_test_error(self, message, attributes={}):
        self.log(f"\x1b[31m!!! \x1b[0m{message}", attributes)

    def _write_serial(self, message, machine):
        self.log(f"\x1b[2m{machine} # {message}\x1b[0m")


AbstractLogger.register(CompositeLogger)


def _in_step(step, function):
    """The function, each call of which is a step of its own like `step`."""

    @wraps(function)
    def inner(*args, **kwargs):
        with step._again():
            return function(*args, **kwargs)

    return inner


Logger = CompositeLogger  # its name in drivers before 2024-11


def __getattr__(name):
    if name == "rootlog":  # the run's log in drivers before 2024-11
        return current_driver().logger
    if name in ("JunitXMLLogger", "XMLLogger"):  # what they need takes time to import
        from test_driver import file_loggers

        return getattr(file_loggers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["AbstractLogger", "CompositeLogger", "LogLevel", "LogWriter", "Logger", "TerminalLogger"]
