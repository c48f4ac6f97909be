"""execute(…, on_output=function): the output of a command while it runs, from each kind of channel."""

import pytest

import harness
from test_events import run_with_events


@pytest.fixture(scope="module")
def session(fakes):
    with harness.Session(fakes("machine")) as running:
        yield running


def test_pieces_make_up_the_output(session):
    session("""
        for text in ("", "short\\n", "x" * 100_000, "€" * 50_000):
            pieces = []
            assert machine.execute(f"printf %s '{text}'", on_output=pieces.append) == (0, text)
            assert "".join(pieces) == text and all(pieces), (len(text), len(pieces))
    """)


def test_bytes_that_are_no_text(session):
    session("""
        pieces = []
        assert machine.execute(r"printf 'a\\xc3b\\xff\\xe2\\x82'", on_output=pieces.append)[1] == "".join(pieces)
        assert "".join(pieces) == "a\\ufffdb\\ufffd\\ufffd"
    """)


def test_an_exception_of_the_function_ends_the_call(session):
    session("""
        def refuse(text):
            raise KeyError(text)
        try:
            machine.execute("echo said; exit 3", on_output=refuse)
            raise AssertionError("no exception")
        except KeyError as error:
            assert error.args == ("said\\n",)
        assert machine.execute("echo goes on") == (0, "goes on\\n")
    """)


def test_the_function_may_run_commands(session):
    session("""
        seen = []
        def ask(text):
            seen.append(machine.succeed("echo inner"))
        assert machine.execute("echo outer", on_output=ask) == (0, "outer\\n") and seen == ["inner\\n"]
    """)


def test_without_output_it_is_not_called(session):
    session("""
        def never(text):
            raise AssertionError(text)
        assert machine.execute("true", on_output=never) == (0, "")
        assert machine.execute("echo x", check_output=False, on_output=never) == (-2, "")
        assert machine.execute("echo x", on_output=None) == (0, "x\\n")
        try:
            machine.execute("true", on_output=5)
            raise AssertionError("no exception")
        except TypeError as error:
            assert "on_output must be a function, not int" in str(error)
    """)


def test_through_an_overriding_class(session):
    session("""
        from unittest.mock import patch
        pieces = []
        with patch.object(machine, "run_callbacks") as callbacks:
            assert machine.execute("echo x", on_output=pieces.append) == (0, "x\\n")
        assert callbacks.called and pieces == ["x\\n"]
    """)


def test_events_have_pieces_only_when_they_are_wanted(fake):
    _, timeline = run_with_events("""
        machine.succeed("echo not wanted")
        with machine.nested("mine"):
            machine.execute("echo wanted", on_output=print)
    """, fake)
    pieces = timeline.of_kind("output")
    assert [(piece["machine"], piece["text"]) for piece in pieces] == [("machine", "wanted\n")]
    assert timeline.find("script", "mine").events("output") == pieces


STREAMS = """
    # The command ends only after the function has seen its first lines.
    seen = ""
    def look(text):
        global seen
        seen += text
        if seen == "first\\n":
            open_the_gate()
    status, output = machine.execute("mkfifo /tmp/gate; echo first; read line < /tmp/gate; echo $line", timeout=60,
                                     on_output=look)
    assert (status, output) == (0, "first\\nopen\\n") and seen == output, (status, output, seen)
"""


def test_a_container_hands_output_over_at_once(guests):
    machine = guests.container("machine")
    with harness.Session({}, containers={"machine": machine}) as running:
        running("def open_the_gate():\n    machine.execute('echo open > /tmp/gate')\n" + harness.textwrap.dedent(STREAMS))
        running("""
            machine.succeed("rm /tmp/gate")
            def stop(text):
                raise KeyboardInterrupt
            try:
                machine.execute("echo $$; exec sleep 4321", on_output=stop)
                raise AssertionError("no exception")
            except KeyboardInterrupt:
                pass
            machine.wait_until_fails("pgrep -f 'sleep 4321'")
        """)
