"""machine.expect(): what matches, where the cursor stands afterwards, and the errors."""

import pytest

import harness


@pytest.fixture(scope="module")
def session(fake):
    first = r"""
        import re

        def show(text):
            "On the console, as it is. (The machine is of this host.)"
            open(f"{machine.state_dir}/text", "w", newline="").write(text)
            machine.succeed("cat text >&2")

        def later(text, seconds=0.5):
            open(f"{machine.state_dir}/later", "w", newline="").write(text)
            machine.succeed(f"(sleep {seconds}; cat later >&2) > /dev/null &")

        machine.start()
        machine.connect()
    """
    with harness.Session(fake, first) as running:
        yield running


def test_what_came_before_the_first_call_counts(session):
    session(r"""
        show("\033[1mbanner\033[0m\r\nmenu: ")
        which, match = machine.expect("banner\nmenu: $", timeout=60)
        assert which == 0 and isinstance(match, re.Match), match
    """)


def test_the_match_that_begins_first_counts(session):
    session(r"""
        show("one two three\n")
        which, match = machine.expect("three", re.compile("T(W)O", re.I), "(?P<all>two three)", timeout=60)
        assert (which, match.group(1)) == (1, "w"), (which, match)
        assert machine.expect("one|two", " (th.*)\n", timeout=60)[1].group(1) == "three"
    """)


def test_the_cursor_is_behind_the_match(session):
    session(r"""
        show("käse €1 käse €2\n")
        assert [machine.expect(r"€(\d)", timeout=60)[1].group(1) for _ in range(2)] == ["1", "2"]
        later("käse €3\n")
        assert machine.expect(r"^\n?käse €(\d)", timeout=60)[1].group(1) == "3"
    """)


def test_a_text_that_comes_in_pieces(session):
    session(r"""
        later("log", 0.2)
        later("", 0)
        show("")
        machine.succeed("(sleep 0.3; printf log >&2; sleep 0.3; printf 'in: ' >&2) > /dev/null &")
        machine.expect("login: $", timeout=60)
    """)


def test_waits_for_lines_and_expect_take_nothing_from_each_other(session):
    session(r"""
        show("shared\n")
        machine.wait_for_console_text("shared", timeout=60)
        machine.expect("shared", timeout=60)
        show("again\n")
        machine.expect("again", timeout=60)
        machine.wait_for_console_text("again", timeout=60)
    """)


def test_a_timeout_shows_the_text(session):
    session(r"""
        show("begin\nwrong thing\n")
        machine.expect("begin\n", timeout=60)
        try:
            machine.expect("right", "thi{2}ng", timeout=0.3)
        except TimeoutError as error:
            assert "expect('right', 'thi{2}ng') timed out after 0." in str(error), error
            assert str(error).endswith("has shown since then:\nwrong thing\n"), error
        else:
            raise AssertionError("no error")
        machine.expect("wrong", timeout=60)  # the text is still there
    """)


@pytest.mark.parametrize("call, error", [
    ("machine.expect()", "TypeError"),
    ("machine.expect(3)", "TypeError"),
    ("machine.expect(b'x')", "TypeError"),
    ("machine.expect('(')", "re.error"),
    ("machine.expect('a', timeout='soon')", "(TypeError, ValueError)"),
])
def test_wrong_arguments(session, call, error):
    session(f"""
        try:
            {call}
        except {error}:
            pass
        else:
            raise AssertionError("no error")
    """)


def test_the_end_of_the_machine_ends_the_wait(fake):
    script = r"""
        machine.succeed("(sleep 0.5; echo last words >&2; kill -KILL $FAKE_VM_PID) > /dev/null &")
        machine.expect("last (words)", timeout=60)
        try:
            machine.expect("never", timeout=60)
        except Exception as error:
            print(type(error).__name__, "was" + str(error).partition("process was")[2])
        try:
            machine.expect("never", timeout=60)
        except Exception as error:
            print(type(error).__name__, "was" + str(error).partition("process was")[2])
    """
    result = harness.run(script, fake)
    assert result.out.count("MachineDied was killed by signal 9") == 2, result.out


def test_a_machine_that_is_not_started(fake):
    result = harness.run("machine.expect('x', timeout=5)", fake, status=1)
    assert "is not running" in result.err
