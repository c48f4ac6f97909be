"""Rewrites the `assert` statements of a script so that a failure shows the compared values.

    assert left() == right, message

becomes

    @assertion = @Assertion((0, " == ", 1), ("left()", "right"), True)
    if not @assertion.keep(0, left()) == @assertion.keep(1, right):
        raise @assertion.failure(message)

where each new node keeps the place of the original in the source, so that tracebacks stay the same. Names with an @
cannot clash with names of the script.

The C of embed/run imports this module, on the main thread, for a script that contains the word `assert`. Start-up time
counts: the module is short, imports assert_explanation only when an assertion fails, and takes nodes from _ast, which
is built into the interpreter; importing `ast` would take longer than all the rest.

Making the tree of a script takes twice as long as compiling it. In a long script, therefore, only the statements that
contain an assertion are rewritten, and the text between them is compiled separately.
"""

import _ast
import builtins

# Operands of these kinds are shown by value alone: a "where VALUE = SOURCE" line would say nothing new.
_PLAIN = _ast.Name, _ast.Constant, _ast.List, _ast.Tuple, _ast.Dict, _ast.Set
_OPERATORS = {
    _ast.Eq: "==", _ast.NotEq: "!=", _ast.Lt: "<", _ast.LtE: "<=", _ast.Gt: ">", _ast.GtE: ">=",
    _ast.Is: "is", _ast.IsNot: "is not", _ast.In: "in", _ast.NotIn: "not in",
}

# Limits of what is rewritten; at both limits rewriting takes a fraction of the start-up time of upstream's driver.
MOST_TEXT = 128 * 1024  # characters
MOST_ASSERTIONS = 1000


class Assertion:
    """One execution of an assert statement.

    template: the text of the test as a tuple of strings, with the number of an operand in place of the operand.
    sources: for each operand its text in the script, or "" if the value explains itself.
    equality: whether the test is `operand 0 == operand 1` and nothing else.
    """

    def __init__(self, template, sources, equality):
        self.template, self.sources, self.equality = template, sources, equality
        self.values = {}  # {number of an operand: value}, of the operands evaluated so far

    def keep(self, number, value):
        """Notes and returns the value of operand `number`."""
        self.values[number] = value
        return value

    def failure(self, *message):
        """Returns the AssertionError to raise; `message` is the statement's own message, if it has one."""
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
        self.lines = lines  # lines of the source as UTF-8 bytes, because nodes count columns in bytes
        self.template, self.sources = [], []

    def source(self, of):
        """The text of node `of` in the script, on one line."""
        lines = self.lines[of.lineno - 1 : of.end_lineno]
        lines[-1] = lines[-1][: of.end_col_offset]
        lines[0] = lines[0][of.col_offset :]
        return b" ".join(line.strip() for line in lines).decode()

    def operand(self, of):
        """Returns the node that evaluates operand `of` and keeps its value."""
        number = len(self.sources)
        self.sources.append("" if isinstance(of, _PLAIN) else self.source(of))
        self.template.append(number)
        return _call(of, "keep", _node(_ast.Constant, of, value=number), of)

    def joined(self, tests, word):
        """Yields the rewritten `tests`; the template gets `word` between them."""
        for index, test in enumerate(tests):
            self.template.append(word if index else "")
            yield self.test(test)

    def test(self, of):
        """Returns test `of` with its operands rewritten: `and`, `or`, `not` and comparisons are taken apart."""
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
        """Returns the two statements that replace assert statement `of`."""
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
    """Rewrites the assertions of a list of statements in place. Assertions directly in a class body stay, because
    `@assertion` would become an attribute of the class; so do asserted tuples, which are always true and get a
    SyntaxWarning from Python."""
    for index in range(len(body) - 1, -1, -1):
        statement = body[index]
        if not isinstance(statement, _ast.Assert):
            _rewrite(statement, lines, in_class)
        elif not in_class and not isinstance(statement.test, _ast.Tuple):
            body[index : index + 1] = _Statement(lines).rewritten(statement)


def _rewrite(statement, lines, in_class=False):
    """Rewrites the assertions in all fields of a node that hold statements; other nodes have no such fields."""
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
    """Guesses whether the line at index `at` begins a statement of the top level. A beginning that is overlooked only
    makes a part longer. A wrong beginning, inside a string or an expression, is noticed later, because the text before
    it does not compile."""
    first = text[at : at + 3]
    return ((first[:1].isalpha() or first[:1] in ("_", "@"))
            and "'" not in first and '"' not in first  # a string that begins a part could become its docstring
            and not text.startswith(("else", "elif", "except", "finally"), at)
            and not (at and text[text.rfind("\n", 0, at - 1) + 1] == "@"))


def _statements(text):
    """Returns [start, end] of each top-level statement that contains an assertion; neighbours are joined."""
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
    """Returns the code object with its line numbers, and those of code in it, increased by `lines`."""
    constants = tuple(_moved(one, lines) if isinstance(one, type(code)) else one for one in code.co_consts)
    return code.replace(co_firstlineno=code.co_firstlineno + lines, co_consts=constants)


def _compile_parts(text, filename, statements):
    """Compiles the text as several code objects, of which those of `statements` are rewritten. A warning would name a
    line of the part instead of the script, so warnings are raised; the caller then compiles the text as a whole."""
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
    """Compiles a script whose assertions explain themselves.

    text: the script. filename: its name in tracebacks. Returns a tuple of code objects to execute one after the other.
    Assertions stay as they are where rewriting would take too long: see MOST_TEXT and MOST_ASSERTIONS. SyntaxError
    for a script that is not Python.
    """
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
            pass  # compiling the whole text shows the error or warning at its right line
    return (_plain(text, filename),)
