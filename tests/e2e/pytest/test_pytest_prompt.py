"""The prompt: --interactive with a pytest style script, and --pause-on-failure at a test."""

import os
import signal

import pytest
from pytest_harness import PytestRun, run
from terminal import Terminal

FAILS = """
import pytest
module_name = "from the module"
@pytest.fixture
def number(machine): return int(machine.succeed("echo 41"))
def test_fails(number, machine):
    local = number + 1
    print("captured")
    assert local == 43
@pytest.fixture
def broken(machine): raise ValueError("no such luck")
def test_set_up(broken): pass
@pytest.mark.xfail
def test_expected(): assert False
def test_passes(machine): machine.succeed("true")
"""


def piped(text, script, vms, **named):
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    try:
        return run(script, vms, options=["-I"], stdin=read, **named)
    finally:
        os.close(read)


@pytest.fixture
def paused(tmp_path, fake):
    """A run on a terminal with Python's own prompt."""
    for name in "ptpython", "IPython":
        (tmp_path / f"{name}.py").write_text("raise ImportError\n")
    env = {"PYTHONPATH": tmp_path, "HOME": tmp_path, "TERM": "screen"}
    with Terminal(PytestRun(FAILS, fake, options=["--pause-on-failure"], env=env, global_timeout=8)) as terminal:
        terminal.wait_for(">>>")
        yield terminal


def test_pause_at_the_failing_test(paused):
    screen = paused.screen
    assert "assert 42 == 43" in screen and "script.py::test_fails has failed (call)" in screen
    assert "its time limit is off" in screen and "kill QemuMachine" not in screen
    paused.type("print(number, local, module_name, machine.succeed('echo it is up'), 'shown')")
    paused.wait_for("41 42 from the module it is up")
    paused.type("import pdb; pdb.pm()")
    paused.wait_for("(Pdb)")
    paused.type("p local * 2")
    paused.wait_for("84")
    paused.type("q")
    paused.type("import time; time.sleep(8.5); print('time', 'is', 'not', 'up')")
    paused.wait_for("time is not up")
    paused.press("C-d")
    paused.wait_for("script.py::test_set_up has failed (setup)")
    paused.type("print('in', 'set-up', machine.is_up())")
    paused.wait_for("in set-up True")
    paused.press("C-d")
    assert paused.wait_for_end() == 1
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in paused.screen and "captured" in paused.screen


def test_exit_at_the_prompt_ends_the_run(paused):
    paused.type("exit()")
    assert paused.wait_for_end() == 1
    assert "left at the prompt" in paused.screen and "test_set_up ERROR" not in paused.screen


def test_sigterm_at_the_prompt(paused):
    paused.signal(signal.SIGTERM)
    assert paused.wait_for_end() == 143
    assert "test_set_up ERROR" not in paused.screen


def test_no_pause_without_a_terminal(fake):
    result = run(FAILS, fake, options=["--pause-on-failure"], status=1)
    assert "--pause-on-failure needs a terminal" in result.log and "time limit is off" not in result.log


def test_script_twice_at_the_prompt(fake):
    result = piped("test_script()\nmachine.succeed('touch done')\ntest_script()\nprint('still here')\n",
                   "def test_a(machine): machine.succeed('ls')\ndef test_b(machine): machine.succeed('ls done')\n", fake)
    assert result.out.count("test_a PASSED") == 2
    assert result.out.index("test_b FAILED") < result.out.index("test_b PASSED") and "still here" in result.out
    assert result.log.count("machine: starting vm") == 1


def test_reload_at_the_prompt(fake):
    result = piped("test_script()\n"
                   "open(driver.out_dir.parent / 'script.py', 'w').write('def test_new(machine): pass')\n"
                   "reload()\ntest_script()\n", "def test_old(machine): pass\n", fake)
    assert result.out.index("test_old PASSED") < result.out.index("test_new PASSED")
    assert result.out.count("test_old PASSED") == 1


def test_directory_at_the_prompt(fake):
    result = piped("test_script()\nreload()\nrun_tests()\n", "", fake, files={"test_a.py": "def test_a(machine): pass\n"})
    assert result.out.count("test_a PASSED") == 2


def test_ctrl_c_at_the_prompt(paused):
    paused.press("C-c")
    paused.type("print('no', 'end')")
    paused.wait_for("no end")
    paused.type("exit()")
    assert paused.wait_for_end() == 1
