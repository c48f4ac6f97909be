"""The log of a run, and base classes for loggers of scripts.

embed/log imports this module when a script uses `log.nested()` as a decorator or imports the module itself. Methods of
a script's loggers run on the threads that deliver events to loggers, one event at a time, in the order of the log: on
a script's thread when it comes back from a call of the driver, else on a thread of the driver's own.
"""

import sys
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from enum import IntEnum
from functools import wraps

from _test_driver import CompositeLogger, current_driver


class LogLevel(IntEnum):
    """Levels of the log; set_log_level() leaves out lines below a level."""

    DEBUG = 1
    INFO = 2
    WARNING = 3
    ERROR = 4


class AbstractLogger(ABC):
    """The interface of loggers, which the run's own log has, too.

    A script passes a logger of its own to log.add_logger(), and the driver calls its methods for all that is logged
    from then on. nested() and subtest() return context managers. `attributes` is a dict of str; its key "machine" has
    the name of the machine that a line is about. Exceptions of a logger are shown and change nothing.

    debug(), log_test_error() and set_log_level() are not abstract, because loggers that were written for drivers
    before 2026 lack them.
    """

    @abstractmethod
    def log(self, message, attributes={}):
        """Takes a line of the log, of no level."""

    @abstractmethod
    def subtest(self, name, attributes={}):
        """Returns a context manager for a subtest: its log is between its beginning and end."""

    @abstractmethod
    def nested(self, message, attributes={}):
        """Returns a context manager for a step of the log, with the title `message`."""

    def debug(self, message, attributes={}):
        """Takes a line of the level DEBUG."""

    @abstractmethod
    def info(self, message, attributes={}):
        """Takes a line of the level INFO."""

    @abstractmethod
    def warning(self, message, attributes={}):
        """Takes a line of the level WARNING."""

    @abstractmethod
    def error(self, message, attributes={}):
        """Takes a line of the level ERROR."""

    def log_test_error(self, message, attributes={}):
        """Takes the message of a failed test, of one or several lines."""
        self.log(message, attributes)

    @abstractmethod
    def log_serial(self, message, machine):
        """Takes a line of a console. message: the line, without its newline. machine: the name of the machine."""

    @abstractmethod
    def print_serial_logs(self, enable):
        """Has the logger show console lines, or leave them out. enable: bool."""

    def set_log_level(self, level):
        """Has the logger leave out lines below a LogLevel."""


class LogWriter(AbstractLogger):
    """A base class of loggers that write lines. A subclass defines log() for all lines but console lines,
    _write_serial() for console lines, and nested(). Lines below the log level, INFO by default, are left out, and so
    are console lines after print_serial_logs(False)."""

    def __init__(self):
        self._serial = True
        self._level = LogLevel.INFO

    @staticmethod
    def maybe_prefix(message, attributes):
        """Returns the message, prefixed with the machine's name if the line is about a machine."""
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
    """Writes to standard error, for logs that a script makes itself. The driver shows the run's log without it."""

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
    """Returns `function` such that each call is a step of the log of its own, with the text of `step`. The C code of
    `@log.nested(...)` and `@subtest(...)` uses it."""

    @wraps(function)
    def inner(*args, **kwargs):
        with step._again():
            return function(*args, **kwargs)

    return inner


Logger = CompositeLogger  # the class's name in drivers before 2024-11


def __getattr__(name):
    if name == "rootlog":  # the run's log in drivers before 2024-11
        return current_driver().logger
    if name in ("JunitXMLLogger", "XMLLogger"):  # imported late, because the XML modules take time to import
        from test_driver import file_loggers

        return getattr(file_loggers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["AbstractLogger", "CompositeLogger", "LogLevel", "LogWriter", "Logger", "TerminalLogger"]
