"""The message of an assertion that failed: its test with the values of the operands, the source of each value, and
how two unequal values of one type differ.

assert_rewriting imports this module when the first assertion fails; it runs on the thread that asserts.
"""

_LONGEST = 400  # characters of a value's repr() in the message; the middle of a longer one is left out
_COMPARED = 20_000  # characters of both repr() together; longer values are not compared, difflib would take too long


def _shown(value):
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr() raises {type(error).__name__}>"
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return text


def explanation(assertion):
    """Returns the message, of one or several lines, for `assertion`, an assert_rewriting.Assertion that failed."""
    values = {number: _shown(value) for number, value in assertion.values.items()}

    def part(of):
        if isinstance(of, str):
            return of
        return values.get(of) or assertion.sources[of] or "..."

    text = "assert " + "".join(map(part, assertion.template))
    for number, value in sorted(values.items()):
        source = assertion.sources[number]
        if source and source != value:
            text += f"\n +  where {value} = {source}"
    if assertion.equality:
        text += _difference(*assertion.values.values())
    return text


def _difference(left, right):
    """The difference as unittest describes it, without unittest's first line, which repeats the values; "" for values
    other than containers and text of several lines, and for values too long to compare."""
    if type(left) is not type(right) or not isinstance(left, (str, list, tuple, dict, set, frozenset)):
        return ""
    if isinstance(left, str) and "\n" not in left.strip() + right.strip():
        return ""
    from unittest import TestCase

    class Difference(Exception):
        pass

    class Comparison(TestCase):
        failureException, maxDiff = Difference, None

    try:
        if len(repr(left)) + len(repr(right)) <= _COMPARED:
            Comparison().assertEqual(left, right)
    except Difference as error:
        first, _, rest = str(error).partition("\n")
        return "\n" + (rest if " != " in first else str(error)).strip("\n")
    except Exception:  # the script did not ask for this second comparison, so its exceptions must not reach it
        pass
    return ""
