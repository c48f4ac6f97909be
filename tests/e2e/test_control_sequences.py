"""Control sequences that a guest prints do not reach the terminal; only colours pass, and only if it is a terminal."""

import re
import sys

import harness
from test_repl import piped

EVIL = "\033]52;c;cm0gLXJmIC8=\a\033[2J\033c\x9b2K\033[31mred\033[?1049h text\r"
PRINT = ascii(f"printf '{EVIL}'")  # the log shows the command, with the sequences, too
SCRIPT = rf"""
    machine.execute({PRINT} + " >&2; echo >&2")
    machine.wait_for_console_text("text")
    with subtest("step \033[8m\033]0;title\007"):
        machine.fail({PRINT} + "; false")
    log.warning("\033[31mone\ntwo")
    try:
        machine.wait_until_succeeds({PRINT} + "; false", timeout=1)
    except Exception as error:
        print(ascii(str(error)))
    machine.succeed({PRINT} + "; false")
"""
IN_A_TERMINAL = (sys.executable, "-c", "import os, pty, sys\n"
                 "sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))", harness.DRIVER)
OWN_COLOURS = re.compile(r"\x1b\[(0|1|2|31|32)m")


def test_the_log(fake):
    with harness.Run(SCRIPT, fake) as running:
        result = running.finish()
        raw = (running.directory / "out/console-logs/machine.log").read_bytes()
    assert result.status == 1
    assert "red text" in result.err and "\x1b[31mred" not in result.err
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", OWN_COLOURS.sub("", result.err)) is None
    message, = result.lines
    assert "output:\\n    red text" in message and "\\x1b" not in message and "\\r" not in message
    assert EVIL.encode() in raw  # the raw console log has every byte


def test_a_terminal_gets_colours(fake):
    # A terminal that cannot move its cursor has no line below the log.
    result = harness.run(SCRIPT, fake, driver=IN_A_TERMINAL, status=1, env={"TERM": "dumb"})
    assert "\x1b[31mred text" in result.out
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", re.sub(r"\x1b\[[\d;]*m", "", result.out)) is None
    # Colours are reset at the end of each line, also within a message of several lines.
    assert "\x1b[31mone\x1b[0m\ntwo\n" in result.out


def test_the_prompt(fake):
    result = piped(f"raise ValueError(machine.succeed({PRINT}))\n", vms=fake)
    assert "ValueError: red text" in result.err
    assert "\x1b" not in OWN_COLOURS.sub("", result.err)
