"""A script's `assert` statements, so that they tell on failure what was compared.

    assert left() == right, message

becomes

    @assertion = @Assertion((0, " == ", 1), ("left()", "right"), True)
    if not @assertion.keep(0, left()) == @assertion.keep(1, right):
        raise @assertion.failure(message)

with everything at its place in the source, so that tracebacks are as they were. Names with an @ cannot clash with
those of a script. This module is imported for scripts with an `assert` only, and is short for their sake: what it takes
to explain a failure is imported when there is one. Nodes come from _ast, which the interpreter has in it; `ast`
would cost more than all the rest.

Trees of Python objects take as long to make as twice the code. In a long script only the statements that have an
assertion are rewritten, and compiled apart from what is between them.
"""

import _ast
import builtins

_PLAIN = _ast.Name, _ast.Constant, _ast.List, _ast.Tuple, _ast.Dict, _ast.Set  # their values need no explanation
_OPERATORS = {
    _ast.Eq: "==", _ast.NotEq: "!=", _ast.Lt: "<", _ast.LtE: "<=", _ast.Gt: ">", _ast.GtE: ">=",
    _ast.Is: "is", _ast.IsNot: "is not", _ast.In: "in", _ast.NotIn: "not in",
}


# What may be rewritten takes a fraction of the time in which other drivers start.
MOST_TEXT = 128 * 1024
MOST_ASSERTIONS = 1000


class Assertion:
    """One execution of a statement. `template`: the text of the test, with numbers for its operands; `sources`:
    what the operands are in the script, "" for plain ones; `equality`: the test is `0 == 1`."""

    def __init__(self, template, sources, equality):
        self.template, self.sources, self.equality = template, sources, equality
        self.values = {}  # of the operands that have been evaluated

    def keep(self, number, value):
        self.values[number] = value
        return value

    def failure(self, *message):
        from test_driver.assert_explanation import explanation

        return AssertionError("\n".join([*map(str, message), explanation(self)]))


def _node(kind, at, **fields):
    return kind(**fields, lineno=at.lineno, col_offset=at.col_offset, end_lineno=at.end_lineno,
                end_col_offset=at.end_col_offset)


def _name(text, at, context=_ast.Load):
    return _node(_ast.Name, at, id=text, ctx=context())


def _call(at, method, *arguments):
    function = _node(_ast.Attribute, at, value=_name("@assertion", at), attr=method, ctx=_ast.Load())
    return _node(_ast.Call, at, func=function, args=list(arguments), keywords=[])


class _Statement:
    """The rewriting of one statement."""

    def __init__(self, lines):
        self.lines = lines  # of the source, in UTF-8, as the nodes count
        self.template, self.sources = [], []

    def source(self, of):
        lines = self.lines[of.lineno - 1 : of.end_lineno]
        lines[-1] = lines[-1][: of.end_col_offset]
        lines[0] = lines[0][of.col_offset :]
        return b" ".join(line.strip() for line in lines).decode()

    def operand(self, of):
        number = len(self.sources)
        self.sources.append("" if isinstance(of, _PLAIN) else self.source(of))
        self.template.append(number)
        return _call(of, "keep", _node(_ast.Constant, of, value=number), of)

    def joined(self, tests, word):
        for index, test in enumerate(tests):
            self.template.append(word if index else "")
            yield self.test(test)

    def test(self, of):
        if isinstance(of, _ast.BoolOp):
            self.template.append("(")
            of.values = list(self.joined(of.values, " and " if isinstance(of.op, _ast.And) else " or "))
            self.template.append(")")
        elif isinstance(of, _ast.UnaryOp) and isinstance(of.op, _ast.Not):
            self.template.append("not ")
            of.operand = self.test(of.operand)
        elif isinstance(of, _ast.Compare):
            of.left = self.operand(of.left)
            for index, (operator, right) in enumerate(zip(of.ops, of.comparators)):
                self.template.append(f" {_OPERATORS[type(operator)]} ")
                of.comparators[index] = self.operand(right)
        else:
            return self.operand(of)
        return of

    def rewritten(self, of):
        test, at = self.test(of.test), of.test
        equality = isinstance(test, _ast.Compare) and self.template == [0, " == ", 1]
        constants = [_node(_ast.Constant, at, value=value)
                     for value in (tuple(self.template), tuple(self.sources), equality)]
        new = _node(_ast.Call, at, func=_name("@Assertion", at), args=constants, keywords=[])
        failure = _call(at, "failure", *filter(None, [of.msg]))
        return [
            _node(_ast.Assign, of, targets=[_name("@assertion", at, _ast.Store)], value=new),
            _node(_ast.If, of, test=_node(_ast.UnaryOp, at, op=_ast.Not(), operand=test),
                 body=[_node(_ast.Raise, at, exc=failure, cause=None)], orelse=[]),
        ]


def _rewrite_body(body, lines, in_class):
    """Not in the body of a class itself, whose names are the class's attributes; nor tuples, which are always
    true and have a warning of their own."""
    for index in range(len(body) - 1, -1, -1):
        statement = body[index]
        if not isinstance(statement, _ast.Assert):
            _rewrite(statement, lines, in_class)
        elif not in_class and not isinstance(statement.test, _ast.Tuple):
            body[index : index + 1] = _Statement(lines).rewritten(statement)


def _rewrite(statement, lines, in_class=False):
    """Of a node with statements in it; others have no such fields."""
    if isinstance(statement, (_ast.FunctionDef, _ast.AsyncFunctionDef, _ast.ClassDef)):
        in_class = isinstance(statement, _ast.ClassDef)
    for field in "body", "orelse", "finalbody":
        _rewrite_body(getattr(statement, field, ()), lines, in_class)
    for field in "handlers", "cases":
        for part in getattr(statement, field, ()):
            _rewrite(part, lines, in_class)


def _plain(text, filename):
    return compile(text, filename, "exec", dont_inherit=True)


def _rewritten(text, filename):
    tree = compile(text, filename, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
    _rewrite(tree, text.encode().splitlines())
    return compile(tree, filename, "exec", dont_inherit=True)


# ---- long scripts


def _begins_statement(text, at):
    """Whether a line at this place begins a statement of the top level, by a guess. One that does not need not be
    told from those that do, and one in the middle of something is found out: what is before it is no Python then."""
    first = text[at : at + 3]
    return ((first[:1].isalpha() or first[:1] in ("_", "@"))
            and "'" not in first and '"' not in first  # which could become a docstring
            and not text.startswith(("else", "elif", "except", "finally"), at)
            and not (at and text[text.rfind("\n", 0, at - 1) + 1] == "@"))


def _statements(text):
    """[start, end] of statements of the top level that have an assertion in them, neighbours joined."""
    found = []
    end = 0
    while (at := text.find("assert", end)) >= 0:
        start = text.rfind("\n", end, at) + 1
        while start > end and not _begins_statement(text, start):
            start = text.rfind("\n", end, start - 1) + 1
        start = max(start, end)
        end = text.find("\n", at) + 1
        while end and not _begins_statement(text, end):
            end = text.find("\n", end) + 1
        end = end or len(text)
        if found and found[-1][1] == start:
            found[-1][1] = end
        else:
            found.append([start, end])
    return found


def _moved(code, lines):
    """The code some lines further down."""
    constants = tuple(_moved(one, lines) if isinstance(one, type(code)) else one for one in code.co_consts)
    return code.replace(co_firstlineno=code.co_firstlineno + lines, co_consts=constants)


def _compile_parts(text, filename, statements):
    """What Python has to say about a part would name the wrong line, so warnings are errors here."""
    import warnings

    parts, done, lines = [], 0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for start, end in [*statements, (len(text), len(text))]:
            for part, compiled in (text[done:start], _plain), (text[start:end], _rewritten):
                if part:
                    parts.append(_moved(compiled(part, filename), lines))
                    lines += part.count("\n")
            done = end
    return tuple(parts)


def compile_script(text, filename):
    """A script as code objects, which are to be executed one after the other. Its assertions explain themselves
    unless there is so much to rewrite that the script would begin later by it than under other drivers."""
    setattr(builtins, "@Assertion", Assertion)
    if text.count("assert") > MOST_ASSERTIONS:
        return (_plain(text, filename),)
    if len(text) <= MOST_TEXT:
        return (_rewritten(text, filename),)
    statements = _statements(text)
    if "__future__" not in text and sum(end - start for start, end in statements) <= MOST_TEXT:
        try:
            return _compile_parts(text, filename, statements)
        except (SyntaxError, Warning):
            pass  # Python's word on the whole follows
    return (_plain(text, filename),)
