"""Tells whether a test script is in pytest style or in legacy style. embed/run imports this module.

A script is in pytest style if its top level defines at least one test and otherwise has only imports, definitions,
constants, docstrings, and `if` statements around these. A top level that does anything else makes the script legacy,
whatever its functions are called: legacy scripts do have helpers named test_something(machine), and call them.
"""

import ast
import re

PIECE = 16 * 1024  # characters of a script that are parsed at a time
COMMENT = re.compile(r"#\s*nixos-test:\s*(\w+)")  # the comment by which a script chooses its style
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
ACTS = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.ListComp, ast.SetComp, ast.DictComp,
        ast.GeneratorExp)


def _comment(text):
    """The style that a comment before the first line of code chooses, or None."""
    for line in text.splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            return None
        match = COMMENT.match(line)
        if match:
            if match[1] not in ("legacy", "pytest"):
                raise SyntaxError(f"'# nixos-test: {match[1]}': it must be legacy or pytest")
            return match[1]
    return None


def _of_pytest(node):
    """Whether a node is an attribute or call of `pytest`, such as pytest.mark.slow(), which only describes tests."""
    while isinstance(node, (ast.Attribute, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return isinstance(node, ast.Name) and node.id == "pytest"


def _is_constant(node):
    """Whether an expression is made without acting; None is no expression."""
    if node is None or (isinstance(node, ast.Call) and _of_pytest(node)):
        return True
    return not isinstance(node, ACTS) and all(map(_is_constant, ast.iter_child_nodes(node)))


def _acts(node):
    """The first statement in `node`, or `node` itself, that does something; None if none does."""
    if isinstance(node, DEFINITIONS + IMPORTS + (ast.Pass,)):
        return None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return None
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_constant(node.value):
        return None
    if isinstance(node, ast.If) and _is_constant(node.test):
        return next(filter(None, map(_acts, node.body + node.orelse)), None)
    return node


def _tests(body):
    """Yields the names of the tests that the statements define."""
    for node in body:
        if isinstance(node, DEFINITIONS):
            if node.name.startswith("Test" if isinstance(node, ast.ClassDef) else "test_"):
                yield node.name
        elif isinstance(node, ast.If):
            yield from _tests(node.body + node.orelse)


def _statements(text):
    """Yields (the number of lines to add to the node's, node) for each statement of the top level. The text is parsed
    in pieces, so that a long script need not be parsed to its end. A piece ends before a line that looks like one of
    the top level. If the line is inside a string or an expression, the piece is no Python: SyntaxError."""
    done = lines = 0
    while done < len(text):
        end = text.find("\n", done + PIECE) + 1
        while end and not text[end : end + 1].isalpha():
            end = text.find("\n", end) + 1
        piece = text[done : end or len(text)]
        for node in ast.parse(piece, "<string>").body:
            yield lines, node
        done, lines = done + len(piece), lines + piece.count("\n")


def _judge(statements):
    """Returns (style, reason) by the statements of _statements()."""
    tests = []
    for lines, node in statements:
        act = _acts(node)
        if act:
            return "legacy", f"line {lines + act.lineno} does something at the top level"
        tests += _tests([node])
    if not tests:
        return "legacy", "it defines no tests"
    shown = ", ".join(tests[:3]) + (" ..." if len(tests) > 3 else "")
    return "pytest", f"it defines {shown} and does nothing else at its top level"


def style_of(text):
    """Returns (style, reason): the style is "legacy" or "pytest", the reason a text. SyntaxError for a script that is
    not Python."""
    said = _comment(text)
    if said:
        return said, "its first comment says so"
    try:
        return _judge(_statements(text))
    except SyntaxError:
        pass  # perhaps only a piece is no Python
    return _judge((0, node) for node in ast.parse(text, "<string>").body)
