"""Which syntax a test script has.

Pytest style is a top level that defines at least one test and does nothing: imports, definitions, constants,
docstrings, and `if` around those. Anything that acts there makes the script legacy, however its functions are
called: real legacy scripts have helpers named test_something(machine), and call them.
"""

import ast
import re

BEGINNING = 16 * 1024  # characters, of a script that is longer
ACTS_THERE = "line {} does something at the top level"
COMMENT = re.compile(r"#\s*nixos-test:\s*(\w+)")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
ACTS = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.ListComp, ast.SetComp, ast.DictComp,
        ast.GeneratorExp)


def _comment(text):
    """What the comments before the first line of code say, or None."""
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
    """pytest.mark.slow, pytest.param(...): calls that only describe."""
    while isinstance(node, (ast.Attribute, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return isinstance(node, ast.Name) and node.id == "pytest"


def _is_constant(node):
    if node is None or (isinstance(node, ast.Call) and _of_pytest(node)):
        return True
    return not isinstance(node, ACTS) and all(map(_is_constant, ast.iter_child_nodes(node)))


def _acts(node):
    """The first statement that does something, or None."""
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
    for node in body:
        if isinstance(node, DEFINITIONS):
            if node.name.startswith("Test" if isinstance(node, ast.ClassDef) else "test_"):
                yield node.name
        elif isinstance(node, ast.If):
            yield from _tests(node.body + node.orelse)


def _first_act(text):
    """The line of the first act in the beginning of the script, or None. The beginning ends where a line looks like
    one of the top level; if that is not right, it is no Python, or all the script has to be looked at."""
    end = text.find("\n", BEGINNING) + 1
    while end and not text[end : end + 1].isalpha():
        end = text.find("\n", end) + 1
    try:
        return next((act.lineno for act in map(_acts, ast.parse(text[:end]).body) if act), None) if end else None
    except SyntaxError:
        return None


def style_of(text):
    """("legacy" or "pytest", why). SyntaxError for a script that is not Python."""
    said = _comment(text)
    if said:
        return said, "its first comment says so"
    line = _first_act(text)
    if line:
        return "legacy", ACTS_THERE.format(line)
    body = ast.parse(text, "<string>").body
    tests = list(_tests(body))
    if not tests:
        return "legacy", "it defines no tests"
    act = next(filter(None, map(_acts, body)), None)
    if act:
        return "legacy", ACTS_THERE.format(act.lineno)
    shown = ", ".join(tests[:3]) + (" ..." if len(tests) > 3 else "")
    return "pytest", f"it defines {shown} and does nothing else at its top level"
