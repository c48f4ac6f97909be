# What is put before every script of this directory: see ../test_contract.py.
import re
import time

try:
    from test_driver.errors import MachineError, RequestedAssertionFailed
except ImportError:  # older drivers raise plain exceptions
    MachineError = RequestedAssertionFailed = Exception


def raised(function, *arguments, **named):
    """The exception that the call raises."""
    try:
        function(*arguments, **named)
    except Exception as error:
        return error
    raise SystemExit("nothing was raised")


def refused(kind, text, function, *arguments, **named):
    """Asserts that the call raises just this type of exception, with this text (a compiled pattern: matching it)."""
    error = raised(function, *arguments, **named)
    assert type(error) is kind, repr(error)
    assert text.fullmatch(str(error)) if isinstance(text, re.Pattern) else text == str(error), str(error)


# The number is a count of attempts in older drivers, then seconds, first whole ones.
def timed_out(limit):
    return re.compile(rf"action timed out after \d+(\.\d\d)? seconds( \(timeout={limit}(\.0)?\))?(.|\n)*")


