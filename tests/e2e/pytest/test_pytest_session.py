"""nixos-test-driver --pytest: sessions of pytest in a project's directory, without a test script."""

import re
import signal

import pytest
from pytest_harness import PytestRun, outcomes

CONFIGURATION = "[pytest]\naddopts = --strict-markers\npython_files = check_*.py\n"
CHECK = """
import builtins, pathlib
import pytest

@pytest.fixture
def log():
    return "the project's own"

def test_a(log):
    assert log == "the project's own" and pathlib.Path("check_it.py").exists()

def test_b(out_dir):
    assert out_dir.name == "out" and not hasattr(builtins, "start_all")

@pytest.mark.slow
def test_c():
    from test_driver.test_vm import create_test_vm
"""


class Session(PytestRun):
    """A session in the run's directory, which gets the `files` {name: text}. words: pytest's arguments."""

    def __init__(self, files, *words, options=(), **named):
        super().__init__(arguments=["--pytest", "-o", "{dir}/out", *options, "--", *words], **named)
        for name, text in files.items():
            (self.directory / name).parent.mkdir(exist_ok=True)
            (self.directory / name).write_text(text)


def run(files, *words, status=0, **named):
    with Session(files, *words, **named) as session:
        result = session.finish()
        assert result.status == status
        return result


def test_the_project_has_its_own_configuration():
    result = run({"pytest.ini": CONFIGURATION, "check_it.py": CHECK, "test_other.py": "def test_no(): assert 0\n"})
    assert result.outcomes == {"test_a": "PASSED", "test_b": "PASSED", "test_c": "PASSED"}
    assert "subtest: check_it.py::test_a" in result.log and "Test will time out and terminate in 86400.0" in result.log


def test_arguments_are_pytests():
    result = run({"pytest.ini": CONFIGURATION, "check_it.py": CHECK}, "check_it.py", "-k", "test_a or test_c", "-m",
                 "not slow")
    assert result.outcomes == {"test_a": "PASSED"}


@pytest.mark.parametrize("words, text, status", [
    (("none.py",), "", 4), ((), "x = 1\n", 5), ((), "def test_it(): assert 1 == 2\n", 1)])
def test_the_exit_status_is_pytests(words, text, status):
    run({"test_it.py": text}, *words, status=status)


def test_machines_are_fixtures(fake):
    test = "def test_it(machine):\n    assert machine.succeed('echo $((1 + 1))') == '2\\n'\n"
    result = run({"tests/test_it.py": test}, options=["--vm-start-scripts", fake["machine"], "--vm-names", "machine"])
    assert result.outcomes == {"test_it": "PASSED"}


def test_ctrl_c_ends_the_session():
    test = "import time\ndef test_it():\n    print('now', flush=True)\n    time.sleep(1000)\ndef test_no(): pass\n"
    with Session({"test_it.py": test}, "-s") as session:
        session.wait_for("^now|now$")
        session.signal(signal.SIGINT)
        result = session.finish()
    assert result.status == 128 + signal.SIGINT and "KeyboardInterrupt" in result.out
    assert "test_no" not in outcomes(result.out)


def test_a_test_script_is_refused():
    with PytestRun(arguments=["--pytest", "{dir}/script.py"]) as refused:
        result = refused.finish()
    assert result.status == 2 and re.search("argument --pytest: there can be no test script", result.err)


@pytest.mark.parametrize("word", ["-k", "--boot-image=x.iso"])
def test_an_option_of_pytests_has_to_follow_the_dashes(word):
    for arguments, hint in (["--pytest", word], " (pytest's own options follow --)"), ([word], ""):
        with PytestRun(arguments=arguments) as refused:
            result = refused.finish()
        name = word.partition("=")[0]
        assert result.status == 2 and f"error: unknown option: {name}{hint}\n" in result.err
