"""The Python prompt: --interactive, reload(), and --pause-on-failure."""

import os
import signal
import subprocess

import pytest

import harness
from terminal import Terminal

PROMPTS = {"ptpython": ">>>", "ipython": "In [1]:", "standard": ">>>"}
WITHOUT = {"ptpython": [], "ipython": ["ptpython"], "standard": ["ptpython", "IPython"]}
SCRIPT = "print('the', 'script', 6 * 7)\n"


def interactive(prompt, modules, script=SCRIPT, vms=None, options=("--interactive",), **named):
    """A run with the prompt of this kind: modules in the directory `modules` keep Python from importing better ones."""
    for name in WITHOUT[prompt]:
        (modules / f"{name}.py").write_text("raise ImportError\n")
    # The user's files, such as the profile of IPython, go to the same directory.
    env = {"PYTHONPATH": modules, "HOME": modules, "TERM": "screen", **named.pop("env", {})}
    return harness.Run(script, vms, options=options, env=env, **named)


def piped(text, script=SCRIPT, vms=None, status=0, **named):
    """Does a run whose prompt reads this text."""
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    try:
        return harness.run(script, vms, options=["-I", *named.pop("options", ())], stdin=read, status=status, **named)
    finally:
        os.close(read)


# ---- a terminal


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_session(prompt, fake, tmp_path):
    with Terminal(interactive(prompt, tmp_path, vms=fake)) as terminal:
        terminal.wait_for(PROMPTS[prompt])
        assert "additionally exposed symbols:" in terminal.screen and "Ctrl-D leaves" in terminal.screen
        terminal.type("test_script()")
        terminal.wait_for("the script 42")
        terminal.type("print('out', machine.succeed('echo from the guest').upper())")
        terminal.wait_for("out FROM THE GUEST")
        terminal.type("machine.succeed('exit 7')")
        terminal.wait_for("RequestedAssertionFailed: command `exit 7` failed (exit code 7)")
        terminal.type("print('goes', 'on', len(machines))")
        terminal.wait_for("goes on 1")
        terminal.type("machine.wait_for_console_text('never')")
        terminal.wait_for("waiting for never to appear on console")
        terminal.press("C-c")
        terminal.wait_for("KeyboardInterrupt")
        terminal.type("print('still', machine.is_up())")
        terminal.wait_for("still True")
        assert terminal.leave() == 0
        assert "kill QemuMachine" in terminal.screen
        terminal.assert_usable()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_signal_ends_the_session(prompt, fake, tmp_path):
    with Terminal(interactive(prompt, tmp_path, vms=fake)) as terminal:
        terminal.wait_for(PROMPTS[prompt])
        terminal.type("machine.start()")
        terminal.wait_for("QEMU running")
        terminal.signal(signal.SIGTERM)
        assert terminal.wait_for_end() == 143
        terminal.assert_usable()


def test_interrupts_with_a_real_guest(tiny, tmp_path):
    with Terminal(interactive("standard", tmp_path, vms=tiny)) as terminal:
        terminal.wait_for(">>>")
        terminal.type("machine.connect()")
        terminal.wait_for("starting vm")
        terminal.press("C-c")
        terminal.wait_for("KeyboardInterrupt")
        terminal.type("machine.wait_until_succeeds('false')")
        terminal.wait_for("(finished: waiting for the VM to finish booting")
        terminal.press("C-c")
        assert harness.wait_until(lambda: terminal.screen.count("KeyboardInterrupt") > 1, 20), terminal.screen
        terminal.type("print('still', machine.succeed('hostname'))")
        terminal.wait_for("still machine")
        terminal.type("exit()")
        assert terminal.wait_for_end() == 0


def test_many_interrupts_do_not_end_the_session(fake, tmp_path):
    with Terminal(interactive("standard", tmp_path, vms=fake)) as terminal:
        terminal.wait_for(">>>")
        for n in range(5):
            terminal.press("C-c")
            assert harness.wait_until(lambda: terminal.screen.count("KeyboardInterrupt") > n, 10), terminal.screen
        terminal.type("exit(5)")
        assert terminal.wait_for_end() == 5


def test_history_and_completion(tmp_path):
    history = ".nixos-test-history"
    run = interactive("standard", tmp_path)
    (run.directory / history).write_text("\n# a date\n+word = 'by the ' + 'history'\n")
    with Terminal(run) as terminal:
        terminal.wait_for(">>>")
        terminal.press("Up", "Enter")
        terminal.type("print(driver.out", enter=False)
        terminal.press("Tab")
        terminal.type(", word)")
        terminal.wait_for(f"{terminal.run.directory}/out by the history")
        assert terminal.leave() == 0
        lines = (terminal.run.directory / history).read_text().splitlines()
        assert "+word = 'by the ' + 'history'" in lines and "+print(driver.out_dir, word)" in lines


def test_the_prompt_goes_with_its_terminal(fake, tmp_path):
    terminal = Terminal(interactive("standard", tmp_path, vms=fake))
    with terminal:
        terminal.wait_for(">>>")
        terminal.type("machine.start()")
        terminal.wait_for("QEMU running")
        subprocess.run(["tmux", "-L", terminal.name, "kill-session"], check=True, timeout=20)
        assert harness.wait_until(lambda: not terminal.left(), 10), terminal.left()
        assert harness.left_files(terminal.run.directory / "tmp") == []
        terminal.tmux("new-session", "-d", "sleep 1000")


# ---- without a terminal


def test_piped_input(fake):
    result = piped("print(machine.succeed('echo one'))\n1 / 0\nmachine.succeed('false')\n"
                   "for i in 'ab':\n    print('letter', i)\n\ntest_script()\nvlans\n"
                   "for i in 'yz':\n    print('letter', i)", vms=fake)
    assert "one" in result.lines and ">>>" not in result.out
    assert [line for line in result.lines if line.startswith(("letter", "the"))] == [
        "letter a", "letter b", "the script 42", "letter y", "letter z"]
    assert "ZeroDivisionError" in result.err and "RequestedAssertionFailed: command `false` failed" in result.err
    assert not (harness.ROOT / ".nixos-test-history").exists()


def test_the_end_of_a_script_is_not_that_of_the_session():
    result = piped("test_script()\nprint('after', 1)\nrun_tests()\nprint('after', 2)\nexit(4)\nprint('never')",
                   script="import sys\nsys.exit(3)", status=4)
    assert [line for line in result.lines if "after" in line] == ["after 1", "after 2"]
    assert result.log.count("the test script ended with exit status 3") == 2


def test_the_time_limit_is_that_of_the_test():
    result = piped("run_tests()\nimport time; time.sleep(2.5)\nprint('alive')", global_timeout=2)
    assert result.lines[-1] == "alive"


# ---- reload()


RELOADS = """
import pathlib
path = pathlib.Path("script.py")
os.chdir("/")
path = pathlib.Path({directory!r}) / path
machine.start()
test_script()
path.write_text("print('second', machine.pid)\\ncheck = t.assertEqual(1, 2)\\n")
test_script()
reload()
test_script()
path.write_text("print('third'\\n")
reload()
test_script()
path.unlink()
driver.reload()
test_script()
"""


@pytest.mark.parametrize("named", [{}, {"style": "options"},
                                   {"arguments": ["--config", "{dir}/config.json", "-o", "{dir}/out", "-I",
                                                  "--script", "script.py"]}], ids=["config", "argument", "option"])
def test_reload(fake, named, tmp_path):
    if "arguments" in named:
        config = harness.Run("", fake, directory=tmp_path)  # for its configuration file
        config.json_arguments()
        (tmp_path / "config.json").write_text(
            (tmp_path / "config.json").read_text().replace("script.py", "missing.py"))
    result = piped(RELOADS.format(directory=str(tmp_path)), script="print('first', machine.pid)", vms=fake,
                   directory=tmp_path, **named)
    texts = [line.split() for line in result.lines if line.startswith(("first", "second", "third"))]
    assert [words[0] for words in texts] == ["first", "first", "second", "second", "second"]
    assert len({words[1] for words in texts}) == 1, "the machine did not stay"
    assert "SyntaxError: '(' was never closed" in result.err and "print('third'" in result.err
    assert "FileNotFoundError" in result.err
    assert "check = t.assertEqual(1, 2)" in result.err  # the new text's line in the traceback


# ---- --pause-on-failure

FAILS = """
machine.start()
def helper():
    return "helped"
answer = 42
with subtest("one"):
    t.assertEqual(answer, 43)
"""


def paused(modules, script=FAILS, vms=None, **named):
    return Terminal(interactive("standard", modules, script, vms, ["--pause-on-failure"], **named))


def test_pause_on_failure(fake, tmp_path):
    with paused(tmp_path, vms=fake, global_timeout=6) as terminal:
        terminal.wait_for(">>>")
        screen = terminal.screen
        assert "RequestedAssertionFailed: 42 != 43" in screen
        assert "its time limit is off" in screen and "kill QemuMachine" not in screen
        terminal.type("print(helper(), answer + 1, machine.succeed('echo it is up'))")
        terminal.wait_for("helped 43 it is up")
        terminal.type("import pdb; pdb.pm()")
        terminal.wait_for("(Pdb)")
        terminal.type("q")
        terminal.type("import time; time.sleep(6.5); print('time', 'is', 'not', 'up')")
        terminal.wait_for("time is not up")
        terminal.type("test_script()")
        assert harness.wait_until(lambda: terminal.screen.count("run the VM test script") > 1, 10)
        terminal.type("exit()")
        assert terminal.wait_for_end() == 1
        assert "kill QemuMachine" in terminal.screen


@pytest.mark.parametrize("script, status", [("print('well')", 0), ("raise SystemExit(0)", 0)])
def test_no_pause_without_failure(tmp_path, script, status):
    with paused(tmp_path, script) as terminal:
        assert terminal.wait_for_end() == status
        assert ">>>" not in terminal.screen


def test_a_pause_keeps_the_status(tmp_path):
    with paused(tmp_path, "import sys\nsys.exit(9)") as terminal:
        terminal.wait_for(">>>")
        assert terminal.leave() == 9


def test_ctrl_c_does_not_pause(tmp_path):
    with paused(tmp_path, "import time\nprint('now')\ntime.sleep(1000)") as terminal:
        terminal.wait_for("now")
        terminal.press("C-c")
        assert terminal.wait_for_end() == 130


def test_no_pause_without_a_terminal(fake):
    result = harness.run(FAILS, fake, options=["--pause-on-failure"], status=1)
    assert "--pause-on-failure needs a terminal" in result.log and "time limit is off" not in result.log


def test_snapshots_at_the_prompt(fake):
    """An error leaves the prompt as it is."""
    result = piped("""
machine.snapshot('one')
machine.crash()
machine.restore('one')
print('SAID', machine.succeed('echo restored'))
machine.restore('none')
print('SAID', machine.succeed('echo still here'))
""", vms=fake)
    assert "SAID restored" in result.out and "SAID still here" in result.out
    assert "ValueError: machine 'machine': it has no snapshot 'none'; it has 'one'" in result.log
