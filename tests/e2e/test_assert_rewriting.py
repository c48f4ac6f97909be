"""Assertions of scripts show the compared values; a script without assertions pays nothing for that."""

import inspect
import linecache
import sys
import traceback
import warnings

import pytest

import harness

sys.path.insert(0, str(harness.ROOT / "embed/py"))
from test_driver import assert_rewriting  # noqa: E402


def failure(statement, before=""):
    """Runs a script whose assertion fails and returns the message of the AssertionError."""
    lines = "".join(f"    {line}\n" for line in statement.splitlines())
    result = harness.run(f"{before}\ntry:\n{lines}except AssertionError as error:\n    print(error)\n")
    return "\n".join(result.lines)


# ---- messages


@pytest.mark.parametrize("statement, message", [
    ("assert 1 == 2", "assert 1 == 2"),
    ("assert a == 2", "assert 1 == 2"),
    ("assert a == b", "assert 1 == 'text'"),
    ("assert f(a) == b", "assert 1 == 'text'\n +  where 1 = f(a)"),
    ("assert o.x != 5", "assert 5 != 5\n +  where 5 = o.x"),
    ("assert b in [a]", "assert 'text' in [1]"),
    ("assert 'ext' not in b", "assert 'ext' not in 'text'"),
    ("assert a is None", "assert 1 is None"),
    ("assert 0 < a < f(1) < f(9)", "assert 0 < 1 < 1 < f(9)\n +  where 1 = f(1)"),
    ("assert not b", "assert not 'text'"),
    ("assert not f(a) == 1", "assert not 1 == 1\n +  where 1 = f(a)"),
    ("assert f(0)", "assert 0\n +  where 0 = f(0)"),
    ("assert f('')", "assert ''\n +  where '' = f('')"),
    ("assert f(0) and f(2)", "assert (0 and f(2))\n +  where 0 = f(0)"),
    ("assert f(0) or a > 3", "assert (0 or 1 > 3)\n +  where 0 = f(0)"),
    ("assert (n := f(0)) == 3", "assert 0 == 3\n +  where 0 = n := f(0)"),
    ("assert [x for x in (0, 1) if x] == []", "assert [1] == []\n +  where [1] = [x for x in (0, 1) if x]\n"
     "First list contains 1 additional elements.\nFirst extra element 0:\n1\n\n- [1]\n?  -\n\n+ []"),
    ("assert f(\n    a) == f(\n    2)", "assert 1 == 2\n +  where 1 = f( a)\n +  where 2 = f( 2)"),
    ("assert False", "assert False"),
    ("assert a == 2, 'why'", "why\nassert 1 == 2"),
    ("assert a == 2, f(b)", "text\nassert 1 == 2"),
    ("assert a == 2, 7", "7\nassert 1 == 2"),
    ("assert 'käse' == f('käs'), 'Käse'", "Käse\nassert 'käse' == 'käs'\n +  where 'käs' = f('käs')"),
])
def test_the_values_are_told(statement, message):
    before = "a, b = 1, 'text'\ndef f(x): return x\nclass o: x = 5\n"
    assert failure(statement, before) == message


def test_the_output_of_a_command(fake):
    result = harness.run("""
        machine.start()
        assert machine.succeed("echo a; echo b") == "a\\nc\\n"
    """, fake, status=1)
    assert r"""AssertionError: assert 'a\nb\n' == 'a\nc\n'
 +  where 'a\nb\n' = machine.succeed("echo a; echo b")
  a
- b
+ c
""" in result.err


@pytest.mark.parametrize("left, right, part", [
    ("{'a': 1, 'b': 2}", "{'a': 1, 'b': 3}", "- {'a': 1, 'b': 2}\n?               ^\n\n+ {'a': 1, 'b': 3}"),
    ("[1, 2, 3]", "[1, 5, 3]", "First differing element 1:\n2\n5"),
    ("{1, 2}", "{2, 3}", "Items in the first set but not the second:\n1\nItems in the second set but not the first:\n3"),
])
def test_how_they_differ(left, right, part):
    assert part in failure(f"assert {left} == {right}")


def test_values_that_are_hard_to_show():
    assert failure("assert Odd() == 1", "class Odd:\n    def __repr__(self): raise ValueError('x')") == \
        "assert <Odd whose repr() raises ValueError> == 1\n +  where <Odd whose repr() raises ValueError> = Odd()"
    text = failure("assert long == ''", "long = 'x' * 1_000_000 + 'end'")
    assert len(text) < 1000 and "end' == ''" in text
    twice = "class Odd:\n    asked = 0\n    def __eq__(self, other):\n        self.asked += 1\n" \
        "        assert self.asked < 2\n        return False\n    def __repr__(self): return 'odd'\n"
    assert failure("assert [Odd()] == [1]", twice) == "assert [odd] == [1]"


# ---- what stays as it was

PLACES = """
def check(value):
    for _ in range(2):
        with subtest("part"):
            if value:
                assert value == 3, "in a function"

class Helper:
    assert True
    limit = 4
    def check(self, value):
        try:
            assert value < self.limit
        finally:
            print("finally")
        match value:
            case 1:
                assert value == 2

async def later():
    assert 1 == 2

for call in (lambda: check(2), lambda: Helper().check(5), lambda: Helper().check(1), lambda: later().send(None)):
    try:
        call()
    except AssertionError as error:
        print(str(error).replace("\\n", "|"))
assert sorted(name for name in vars(Helper) if not name.startswith("__")) == ["check", "limit"]
"""


def test_everywhere_in_a_script():
    assert harness.run(PLACES).lines == [
        "in a function|assert 2 == 3", "finally", "assert 5 < 4| +  where 4 = self.limit", "finally", "assert 1 == 2",
        "assert 1 == 2"]


def test_the_traceback_is_the_same():
    script = "def check(value):\n    assert (value\n            == 3), 'no'\n\n\nif True:\n    check(\n        2)\n"
    result = harness.run(script, status=1)
    assert """Traceback (most recent call last):
  File "<string>", line 7, in <module>
    check(
  File "<string>", line 2, in check
    assert (value
            ^^^^^
AssertionError: no
assert 2 == 3
""" in result.err


def test_an_exception_in_the_test_passes():
    result = harness.run("""
        def boom(): raise ValueError("mine")
        assert 1 == boom(), "not this"
    """, status=1)
    assert "    assert 1 == boom(), \"not this\"\n                ^^^^^^\n" in result.err
    traceback, _, _ = result.err.partition("the test failed: ")
    assert traceback.count("ValueError: mine") == 1 and "AssertionError" not in result.err


def test_operands_are_evaluated_once_and_messages_on_failure_only():
    assert harness.run("""
        seen = []
        def f(x, result=True):
            seen.append(x)
            return result
        assert f(1) and f(2) == True, f(3)
        assert f(4, False) or f(5), f(6)
        try:
            assert f(7, 0) == f(8, 1) == f(9), f(10, "message")
        except AssertionError as error:
            print(str(error).splitlines()[0])
        print(seen)
    """).lines == ["message", "[1, 2, 4, 5, 7, 8, 10]"]


def test_what_python_says_about_a_script():
    result = harness.run("assert (1, 'always')\n")
    assert "<string>:1: SyntaxWarning: assertion is always true" in result.err
    result = harness.run("assert True\nif:\n", status=1)
    assert 'File "<string>", line 2' in result.err and "SyntaxError: invalid syntax" in result.err
    result = harness.run("assert True\nreturn 3\n", status=1)
    assert "SyntaxError: 'return' outside function" in result.err
    harness.run("from __future__ import annotations\nassert True\ndef f(x: Unknown): pass\n")


def test_a_subtest_tells_it():
    result = harness.run("""
        with subtest("part"):
            value = 2
            assert value == 3
    """, status=1)
    assert '!!! Test "part" failed with error: "assert 2 == 3"\n' in result.log


def test_in_an_interactive_session():
    """At a prompt, test_script() shows the same messages as a run does."""
    with harness.Run("value = 1\nassert value == 2\n", options=["-I"], stdin=harness.subprocess.PIPE) as run:
        run.process.stdin.write(b"test_script()\n")
        run.process.stdin.close()
        run.finish()
        assert "AssertionError: assert 1 == 2" in run.err + run.out


# ---- the cost


def loaded(script):
    script += "\nimport sys\nprint(*sorted(set(sys.modules) & {'ast', 'unittest', 'difflib', '_pytest', 'pytest', " \
              "'test_driver.assert_rewriting', 'test_driver.assert_explanation'}))\n"
    return harness.run(script).lines[-1].split()


def test_without_an_assertion_nothing_is_loaded():
    assert loaded("# an assertion\nx = 'asserts'\nlambda: t.assertEqual(1, 2)") == []
    assert loaded("x = 1") == []


def test_with_assertions_that_hold_next_to_nothing_is():
    assert loaded("assert 1 == 1") == ["test_driver.assert_rewriting"]
    assert "test_driver.assert_explanation" in loaded("try: assert 1 == 2\nexcept AssertionError: pass")


# ---- long scripts

LINES = 4000
FILLER = "filler = [1, 2, 3]\n" * LINES
CHECK = "def check(x):\n    assert x == 1\n"
OTHERS = "if True:\n    assert filler\nelse:\n    pass\n@staticmethod\ndef f():\n    assert 1\n"


def run_long(script):
    """Compiles and executes a long script. Returns the names that the script defines, or the line numbers in the
    traceback of its exception."""
    linecache.cache["<long>"] = len(script), None, script.splitlines(True), "<long>"
    names, parts = {}, assert_rewriting.compile_script(script, "<long>")
    try:
        for code in parts:
            exec(code, names)
    except Exception as error:
        return traceback.format_exception(error)
    return names


def test_a_long_script_is_rewritten_where_it_has_assertions(monkeypatch):
    """The other lines are compiled directly; all line numbers stay right."""
    trees = []

    def compiling(source, filename, mode, flags=0, **named):
        trees.extend([source] if flags else [])
        return compile(source, filename, mode, flags, **named)

    monkeypatch.setattr(assert_rewriting, "compile", compiling, raising=False)
    script = f"'''A docstring.'''\n{FILLER}{CHECK}{FILLER}{OTHERS}{FILLER}check(VALUE)\n"
    *_, place, failure = run_long(script.replace("VALUE", "2"))
    assert trees == [CHECK, OTHERS]
    assert failure == "AssertionError: assert 2 == 1\n"
    assert place.startswith(f'  File "<long>", line {LINES + 3}, in check\n    assert x == 1\n')
    names = run_long(script.replace("VALUE", "1"))
    assert names["__doc__"] == "A docstring."
    assert inspect.getsource(names["f"].__func__) == "@staticmethod\ndef f():\n    assert 1\n"


@pytest.mark.parametrize("statement", [
    'text = """\nassert x\nand more\n"""\n',
    "def f():\n    text = '''\nplain\n'''\n    assert text == '\\nplain\\n'\nf()\n",
    "value = [\n1,\nassertion,\n]\n",
    "value = 1 + \\\nassertion\n",
    "for _ in ():\n    assert False\nelse:\n    value = 2\n",
    "try:\n    assert False\nexcept AssertionError:\n    value = 2\nfinally:\n    assert value\n",
    "assert True; value = 2\n",
    "u'no docstring'; assert 'no' not in str(__doc__)\n",
    "number: int = 2\nassert __annotations__ == {'number': int}\n",
])
def test_what_looks_like_a_statement_is_no_trouble(statement):
    script = FILLER + "assertion = 1\n" + FILLER + statement + FILLER + "raise ValueError('the end')\n"
    *_, place, failure = run_long(script)
    assert failure == "ValueError: the end\n" and f"line {script.count(chr(10))}, in <module>" in place


@pytest.mark.parametrize("statement", ["assert (1, 'always')", "assert True; 1 is 1"])
def test_warnings_about_a_long_script_name_the_line(statement):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        run_long(f"{FILLER}assert True\n{FILLER}{statement}\n")
    assert [(warning.category, warning.lineno) for warning in seen] == [(SyntaxWarning, 2 * LINES + 2)]


def test_errors_in_a_long_script_name_the_line():
    for wrong in "if:\n", "return 1\n", "x = (\n":
        with pytest.raises(SyntaxError) as caught:
            run_long(f"{FILLER}assert True\n{FILLER}{wrong}y = 1\n")
        assert caught.value.lineno == 2 * LINES + 2


def test_what_is_said_at_the_beginning_of_a_long_script_holds_to_its_end():
    script = f"from __future__ import annotations\n{FILLER}assert True\n{FILLER}def f(x: Unknown): pass\n"
    assert run_long(script)["f"]


@pytest.mark.parametrize("many", ["assert True\n" * 2000, "if True:\n    assert True\n" + "    x = [1, 2, 3]\n" * 2 * LINES])
def test_what_would_take_long_to_rewrite_stays_as_it_is(many):
    assert run_long(many + "value = 1\nassert value == 2\n")[-1] == "AssertionError\n"


def test_the_parts_of_a_long_script_are_one_program(fake):
    result = harness.run(f"{FILLER}def check(x):\n    assert x == len(filler)\n{FILLER}check(3)\nmachine.start()\n"
                         "check(4)\n", fake, status=1)
    assert f'File "<string>", line {LINES + 2}, in check\n' in result.err
    assert "AssertionError: assert 4 == 3\n +  where 3 = len(filler)" in result.err
