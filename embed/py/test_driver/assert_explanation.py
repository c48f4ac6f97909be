"""What is said about an assertion that did not hold: the test with the values of its operands, where these come
from, and for two of a kind that are not equal how they differ."""

_LONGEST = 400  # characters of a value
_COMPARED = 20_000  # characters of two values


def _shown(value):
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr() raises {type(error).__name__}>"
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return text


def explanation(assertion):
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
    """As unittest tells it, but for its first line, which has the values again. Only of containers and of text with
    several lines, and only of a size that difflib can deal with."""
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
    except Exception:  # the second comparison is none of the script
        pass
    return ""
