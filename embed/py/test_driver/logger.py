"""The log of the run."""

from abc import ABC, abstractmethod
from enum import IntEnum

from _test_driver import CompositeLogger


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


AbstractLogger.register(CompositeLogger)

Logger = CompositeLogger  # its name in drivers before 2024-11

__all__ = ["AbstractLogger", "CompositeLogger", "LogLevel", "Logger"]
