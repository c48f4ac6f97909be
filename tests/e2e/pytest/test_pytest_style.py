"""The detection of pytest style, and the line of the log with its reason."""

import re
import sys
import textwrap

import harness
import pytest
from pytest_harness import run

sys.path.insert(0, str(harness.ROOT / "embed/py"))
from test_driver_pytest.style import style_of  # noqa: E402

HELPER = """\
def test_client(node):
    node.succeed("true")
"""

# Legacy scripts with helpers that are called test_something, as real ones have.
LEGACY = {
    "called at the top level": HELPER + "test_client(machine)\n",
    "called in a loop": HELPER + "for node in machines:\n    test_client(node)\n",
    "called in a subtest": HELPER + "with subtest('clients'):\n    test_client(machine)\n",
    "called in try": HELPER + "try:\n    test_client(machine)\nfinally:\n    pass\n",
    "called in an if": HELPER + "if True:\n    test_client(machine)\n",
    "called in an assignment": HELPER + "result = test_client(machine)\n",
    "called in a list": HELPER + "results = [test_client(node) for node in machines]\n",
    "decorated": "@polling_condition\n" + HELPER + "start_all()\ntest_client(machine)\n",
    "default arguments": "def test_client(node=None, port=80):\n    pass\n\nstart_all()\ntest_client(port=81)\n",
    "a class in a string for the guest": """\
        machine.succeed('''
        class TestServer:
            async def test_answer(self):
                pass
        def test_it(): pass
        ''')
        """,
    "asserted": HELPER + "assert test_client(machine) is None\n",
    "a method of a class that is used": """\
        class TestRunner:
            def test_one(self): pass

        TestRunner().test_one()
        """,
    "passed on": HELPER + "retry(test_client)\n",
    "while": HELPER + "while not test_client(machine):\n    pass\n",
    "a global with a call": "value = compute()\n" + HELPER,
    "an augmented assignment": "total = 1\n" + HELPER + "total += 1\n",
    "a deletion": HELPER + "del test_client\n",
    "no tests": "import os\nNAMES = ['a']\ndef helper(): pass\n",
    "nothing": "",
    "starts machines": "start_all()\nmachine.succeed('true')\n",
    "a comment": "# nixos-test: legacy\n" + HELPER,
    "a comment after others": "#!/usr/bin/env python3\n# About it.\n\n#nixos-test:legacy\n" + HELPER,
}
PYTEST = {
    "functions": "def test_a(machine): pass\n",
    "only a function that is not called": HELPER,
    "asynchronous": "async def test_a(machine): pass\n",
    "a class": "class TestA:\n    def test_a(self): pass\n",
    "imports, constants and docstrings": '''\
        """A docstring."""
        from __future__ import annotations
        import os.path as path
        from typing import TYPE_CHECKING
        NAMES = ["a", *("b", -1)]
        TABLE: dict = {"a": (1, 2.5), **{"b": None}}
        WHERE = f"{path.sep}x"
        LATER: int
        if TYPE_CHECKING:
            from test_driver.machine import QemuMachine
        else:
            QemuMachine = None
        def test_a(): pass
        ''',
    "tests in an if": "import sys\nif sys.platform == 'linux':\n    def test_a(): pass\nelse:\n    pass\n",
    "marks of pytest": "import pytest\npytestmark = pytest.mark.slow\nslow = [pytest.mark.timeout(3)]\n"
                       "@pytest.mark.parametrize('a', [1])\ndef test_a(a): pass\n",
    "a comment": "# nixos-test: pytest\nNAMES = compute()\ndef test_a(): pass\n",
}


@pytest.mark.parametrize("text", LEGACY.values(), ids=LEGACY)
def test_legacy(text):
    assert style_of(textwrap.dedent(text))[0] == "legacy"


@pytest.mark.parametrize("text", PYTEST.values(), ids=PYTEST)
def test_pytest(text):
    assert style_of(textwrap.dedent(text))[0] == "pytest"


@pytest.mark.parametrize("text", [*LEGACY.values(), *PYTEST.values()], ids=[*LEGACY, *PYTEST])
def test_long_scripts(text):
    """Long scripts are parsed in pieces."""
    text = textwrap.dedent(text)
    assert style_of(text + "X = 1\n" * 5000)[0] == style_of(text)[0]


def test_long_scripts_that_do_something_late():
    start = "start_all()\n"
    late = "X = 1\n" * 5000
    assert style_of(HELPER + late + "test_client(machine)\n") == ("legacy", "line 5003 does something at the top level")
    assert style_of(f"TEXT = '''\n{start * 5000}\n'''\n{HELPER}")[0] == "pytest"
    with pytest.raises(SyntaxError) as caught:
        style_of(HELPER + late + "if:\n")
    assert caught.value.lineno == 5003


def test_reasons():
    assert style_of(HELPER + "for node in machines:\n    test_client(node)\n") == (
        "legacy", "line 3 does something at the top level")
    assert style_of("def test_a(): pass\nclass TestB: pass\n") == (
        "pytest", "it defines test_a, TestB and does nothing else at its top level")


CALLED = HELPER + "\ntest_client(machine)\nprint('called')\n"
NEVER_CALLED = "def test_a(machine):\n    machine.succeed('true')\n"


def log_line(result):
    return re.findall(r"^the test script is .*$", result.log, re.M)


def test_scripts_that_call_their_tests_run(fake):
    assert run(CALLED, fake).lines == ["called"]


def test_the_log_tells_the_style(fake):
    result = run(NEVER_CALLED, fake)
    assert log_line(result) == ["the test script is pytest style: it defines test_a and does nothing else at its top "
                                "level"]
    assert log_line(run(CALLED, fake)) == ["the test script is legacy style: line 4 does something at the top level"]
    assert log_line(run("print()", fake)) == []  # no line for a script that is plainly legacy
    assert log_line(run("print()", fake, env={"logLevel": "debug"})) == [
        "the test script is legacy style: it defines no tests"]


def test_mode_is_forced(fake):
    result = run(NEVER_CALLED, fake, options=["--mode", "legacy"])
    assert log_line(result) == ["the test script is legacy style: --mode says so"] and result.outcomes == {}
    result = run("NAME = str(1)\n" + NEVER_CALLED, fake, options=["--mode=pytest"])
    assert log_line(result) == ["the test script is pytest style: --mode says so"]
    assert result.outcomes == {"test_a": "PASSED"}
    assert "'neither' is not one of auto, legacy, pytest" in run("", options=["--mode", "neither"], status=2).err


def test_a_comment_is_believed(fake):
    result = run("# nixos-test: pytest\nNAME = str(1)\n" + NEVER_CALLED, fake)
    assert log_line(result) == ["the test script is pytest style: its first comment says so"]
    assert "'# nixos-test: other': it must be legacy or pytest" in run("# nixos-test: other\n", status=1).err


@pytest.mark.parametrize("mode", ["auto", "legacy", "pytest"])
def test_syntax_error(mode):
    result = run("def test_a(:\n    pass\n", options=["--mode", mode], status=1)
    assert re.search(r'  File ".*", line 1\n    def test_a\(:\n +\^\nSyntaxError: invalid syntax\n', result.err)
    assert "style.py" not in result.err and "Traceback" not in result.err


def test_options_of_the_other_style(fake):
    result = run("print('never')", fake, words=["-x"], status=2)
    assert "arguments after -- are for pytest style scripts" in result.err and "it defines no tests" in result.err
    for option in ["--no-skip"], ["--restart-dead"], ["--shard", "1/2"]:
        assert f"{option[0]} is for pytest style scripts" in run("print('never')", options=option, status=2).err
    result = run(files={}, options=["--mode", "legacy"], status=2)
    assert "is a directory, which holds pytest style tests only" in result.err


def test_legacy_does_not_import_pytest(fake):
    script = CALLED + "import sys\nprint(*sorted(name for name in sys.modules if 'pytest' in name or name == 'ast'))\n"
    assert run(script.replace("test_client", "client"), fake).lines == ["called", ""]
    assert run(script, fake).lines == ["called", "ast test_driver_pytest test_driver_pytest.style"]


def test_legacy_uses_helpers_of_pytest(fake):
    result = run("""
        import pytest
        with pytest.raises(Exception, match="exit code 3"):
            machine.succeed("exit 3")
        assert 0.1 + 0.2 == pytest.approx(0.3)
        print("done")
        """, fake)
    assert result.lines == ["done"]
