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
"""

import _ast
import builtins

_PLAIN = _ast.Name, _ast.Constant, _ast.List, _ast.Tuple, _ast.Dict, _ast.Set  # their values need no explanation
_OPERATORS = {
    _ast.Eq: "==", _ast.NotEq: "!=", _ast.Lt: "<", _ast.LtE: "<=", _ast.Gt: ">", _ast.GtE: ">=",
    _ast.Is: "is", _ast.IsNot: "is not", _ast.In: "in", _ast.NotIn: "not in",
}


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


def compile_script(text, filename):
    """The code of a script, as compile() makes it, with statements that explain themselves."""
    setattr(builtins, "@Assertion", Assertion)
    tree = compile(text, filename, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
    _rewrite(tree, text.encode().splitlines())
    return compile(tree, filename, "exec", dont_inherit=True)
