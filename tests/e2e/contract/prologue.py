# Definitions that ../test_contract.py puts before every script of this directory.
import re
import time

try:
    from test_driver.errors import MachineError, RequestedAssertionFailed
except ImportError:  # older drivers raise plain exceptions
    MachineError = RequestedAssertionFailed = Exception


def raised(function, *arguments, **named):
    """Returns the exception that the call raises."""
    try:
        function(*arguments, **named)
    except Exception as error:
        return error
    raise SystemExit("nothing was raised")


def refused(kind, text, function, *arguments, **named):
    """Asserts that the call raises exactly this type of exception, with this text (or a text that matches a compiled
    pattern)."""
    error = raised(function, *arguments, **named)
    assert type(error) is kind, repr(error)
    assert text.fullmatch(str(error)) if isinstance(text, re.Pattern) else text == str(error), str(error)


# The text of a time-out. Older drivers give a number of attempts, later ones seconds, first as a whole number.
def timed_out(limit):
    return re.compile(rf"action timed out after \d+(\.\d\d)? seconds( \(timeout={limit}(\.0)?\))?(.|\n)*")


