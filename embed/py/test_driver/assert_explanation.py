"""What is said about an assertion that did not hold: the test with the values of its operands, where these come
from, and for two of a kind that are not equal how they differ."""

LONGEST = 400  # characters of a value


def shown(value):
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr() raises {type(error).__name__}>"
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return text


def explanation(assertion):
    values = {number: shown(value) for number, value in assertion.values.items()}

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
        text += difference(*assertion.values.values())
    return text


def difference(left, right):
    """As unittest tells it, without its first line, which has the values. Only of containers and of text with
    several lines."""
    if type(left) is not type(right) or not isinstance(left, (str, list, tuple, dict, set, frozenset)):
        return ""
    if isinstance(left, str) and "\n" not in left.strip() + right.strip():
        return ""
    from unittest import TestCase

    try:
        TestCase().assertEqual(left, right)
    except AssertionError as error:
        return "\n" + str(error).partition("\n")[2].strip("\n")
    except Exception:  # of a comparison that has no second answer
        pass
    return ""
