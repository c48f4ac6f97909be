"""The last line of a terminal says what the run waits for; a guest's control sequences do not command the terminal."""

import re
import signal

import pytest

import harness
from terminal import Terminal
from test_repl import interactive

# Where commands wait until the test lets them go on.
GATE = "until [ -e {dir}/{name} ]; do sleep 0.05; done"
TIMES = re.compile(r"\(\d+s( of \w+)?\)(?= \||$)", re.M)


def terminal(script, vms, **named):
    return Terminal(harness.Run(script, vms, env={"TERM": "screen"}, **named))


def status_lines(screen):
    return [line for line in screen.splitlines() if TIMES.search(line)]


def test_waits_of_threads(fakes, tmp_path):
    x, y, z = [GATE.format(dir=tmp_path, name=name) for name in "xyz"]
    with terminal(f"""
        import threading
        start_all()
        thread = threading.Thread(target=lambda: b.wait_until_succeeds({z!r}, timeout=None))
        thread.start()
        a.succeed({x!r}, timeout=900)
        print("half", end="", flush=True)
        print(" whole")
        a.execute({y!r})
        thread.join()
        print("done")
        """, fakes("a", "b")) as shown:
        assert harness.wait_until(lambda: len(status_lines(shown.screen)) == 1 and " | " in shown.screen, 60), shown.screen
        line, = status_lines(shown.screen)
        parts = line.split(" | ")
        assert {part[:3] for part in parts} == {"a: ", "b: "}
        assert any(re.match(r"a: must succeed: until .*\(\d+s of 15m\)$", part) for part in parts)
        assert any(re.match(r"b: waiting for success: until .*\(\d+s\)$", part) for part in parts)
        # The cursor is in the last line of the screen that has text: nothing is below.
        assert shown.screen.rstrip().endswith(line)

        shown.tmux("resize-window", "-x", "60", "-y", "50")
        shown.wait_for("...")
        assert harness.wait_until(lambda: [len(line) < 60 for line in status_lines(shown.screen)] == [True], 10), shown.screen

        (tmp_path / "x").touch()  # what the script prints is not in the line, which then returns
        shown.wait_for("\nhalf whole\n")
        assert harness.wait_until(lambda: any(" | a: until" in line for line in status_lines(shown.screen)), 60), shown.screen
        (tmp_path / "y").touch()
        (tmp_path / "z").touch()
        assert shown.wait_for_end() == 0
        assert "\ndone\n" in shown.screen and not status_lines(shown.screen)
        shown.assert_usable()


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_a_signal_takes_the_line_away(fake, number, status):
    with terminal("machine.connect()\nmachine.wait_for_console_text('never', timeout=600)", fake) as shown:
        assert harness.wait_until(lambda: status_lines(shown.screen), 60), shown.screen
        assert re.match(r"machine: waiting for never to appear on console \(\d+s of 10m\)$",
                        status_lines(shown.screen)[-1])
        shown.signal(number)
        assert shown.wait_for_end() == status
        assert not status_lines(shown.screen)
        shown.assert_usable()


def test_a_boot_shows_the_console(tiny):
    with terminal("machine.succeed('true')", tiny) as shown:
        assert harness.wait_until(lambda: any(line.startswith("machine: waiting for the VM to finish booting: ")
                                              for line in status_lines(shown.screen)), 60), shown.screen
        shown.press("C-c")
        assert shown.wait_for_end() == 130
        assert not status_lines(shown.screen)


def test_no_line_at_a_prompt(fake, tmp_path):
    with Terminal(interactive("standard", tmp_path, vms=fake)) as shown:
        shown.wait_for(">>>")
        shown.type("machine.succeed('for i in 1 2 3 4 5; do echo number $i >&2; sleep 0.5; done')")
        shown.wait_for("number 5")
        assert not status_lines(shown.screen)
        shown.wait_for("(finished: must succeed")
        assert shown.leave() == 0


def test_no_line_without_a_terminal(fake):
    result = harness.run("machine.succeed('sleep 1.5')", fake, env={"TERM": "screen"})
    assert "\r" not in result.err and "\033[36m" not in result.err and "\033[J" not in result.err


COMMANDS = "".join([
    r"\033]0;evil title\007", r"\033]2;evil title\033\\", r"\033kevil title\033\\",  # titles
    r"\033[2J", r"\033[3J", r"\033[H", r"\033c", r"\033[?1049h", r"\033[?25l", r"\033[5;10r",  # the screen
    r"\033]52;c;ZXZpbA==\007", r"\033Pq#0;2;0;0;0~\033\\", r"\302\23331;1H", r"\302\2350;evil\007",
    r"\033[31mred", r"\r", r"over\b\b\b\bunder", r"\342\200\256overridden", r"\033[8", r"\n",
    r"plain text\033]0;without an end", r"\n", r"the last line\n",
])


def test_a_guest_does_not_command_the_terminal(fake, tmp_path):
    (tmp_path / "commands").write_text(COMMANDS)
    with terminal(f"""
        print("before the commands")
        machine.execute('printf "$(cat {tmp_path}/commands)\\n" >&2')
        machine.wait_for_console_text("the last line")
        print("after the commands")
        """, fake) as shown:
        shown.wait_for("after the commands")
        assert shown.wait_for_end() == 0
        assert "evil" not in shown.tmux("display-message", "-p", "#{pane_title}#{window_name}")
        screen = shown.screen
        assert "before the commands" in screen and "run the VM test script" in screen  # nothing was cleared
        assert "machine # redoverunderoverridden\n" in screen and "machine # the last line\n" in screen
        assert shown.tmux("display-message", "-p", "#{alternate_on}#{cursor_flag}").strip() == "01"
        coloured = shown.tmux("capture-pane", "-p", "-e", "-S", "-1000").splitlines()
        line, = [line for line in coloured if "the last line" in line and "#" in line]
        assert "\033[31m" not in line  # the colour has ended with its line
        assert any("\033[31mredoverunder" in line for line in coloured)
        shown.assert_usable()
