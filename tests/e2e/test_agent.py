"""The agent, which the driver starts in guests: what it adds to root shells, and what happens when it ends."""

import pytest

import harness

# What tells whether the agent runs a command: its parent.
PARENT = "cat /proc/$PPID/comm"


def begin(request):
    first = f"import re, threading, time\nPARENT = {PARENT!r}"
    return harness.Session(request.getfixturevalue(request.param), first)


@pytest.fixture(scope="module", params=["fake", "tiny"])
def session(request):
    with begin(request) as running:
        yield running


@pytest.fixture(params=["fake", "tiny"])
def new_session(request):
    """For a test that leaves a root shell without an agent."""
    with begin(request) as running:
        yield running


def test_commands_are_the_agents(session):
    session("""
        assert machine.succeed(PARENT) == "ntd-agent\\n"
        assert machine.execute(PARENT, timeout=None) == (0, "ntd-agent\\n")
    """)


def test_nothing_of_the_launch_is_left(session):
    session("""
        machine.succeed("true")
        machine.succeed("read -r _ _ _ shell _ < /proc/$PPID/stat; for place in /run /dev/shm /tmp /root; do "
                        "! test -e $place/.ntd-agent-$shell; done")
        descriptors = machine.succeed("ls /proc/self/fd").split()
        assert {"4", "5", "6", "7", "8", "9", "10", "11", "12"}.isdisjoint(descriptors), descriptors
    """)


def test_threads_run_commands_at_the_same_time(session):
    """Each command waits for the files of all others, so none ends unless all of them run."""
    session("""
        machine.succeed("rm -rf /tmp/meet-$PPID; mkdir /tmp/meet-$PPID")
        answers = []

        def meet(number):
            answers.append(machine.succeed(f"cd /tmp/meet-$PPID; touch {number}; "
                                           "until test -e 0 -a -e 1 -a -e 2 -a -e 3; do sleep 0.1; done; echo met"))

        threads = [threading.Thread(target=meet, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == ["met\\n"] * 4, answers
    """)


def test_a_killed_agent_is_an_error_and_comes_back(new_session):
    """At most twice for a root shell, which then does the work by itself."""
    new_session("""
        for parent in ("ntd-agent", "ntd-agent", "bash"):
            text = error_of(machine.succeed, "kill -KILL $PPID; sleep 100")
            assert "the agent in the guest ended while `kill -KILL $PPID; sleep 100` ran" in text, text
            assert machine.succeed(PARENT) == parent + "\\n"
        assert machine.execute("echo on; exit 3") == (3, "on\\n")
    """)


def test_a_script_that_speaks_to_the_shell_gets_it(fake):
    with harness.Session(fake, f"PARENT = {PARENT!r}") as session:
        session("""
            assert machine.succeed(PARENT) == "ntd-agent\\n"
            machine.shell.send(b"export SAID=hello\\n")
            assert machine.succeed("echo $SAID; " + PARENT) == "hello\\nbash\\n"
        """)


def test_commands_after_one_that_is_not_waited_for_come_after_it(session):
    session("""
        machine.execute("rm -f /tmp/late; sleep 1; echo late > /tmp/late", check_return=False, check_output=False)
        assert machine.succeed("cat /tmp/late") == "late\\n"
    """)


def test_no_agent(fake):
    with harness.Session(fake, f"PARENT = {PARENT!r}", options=["--no-agent"]) as session:
        session("assert machine.execute(PARENT, timeout=None) == (0, 'bash\\n')")


# ---- standard error kept apart


def test_standard_error_is_a_third_part_for_those_who_ask(session):
    session("""
        assert machine.execute("echo out; printf 'wrong\\n\\n€' >&2; exit 4", stderr=True) == (4, "out\\n", "wrong\\n\\n€")
        assert machine.execute("echo out", stderr=True) == (0, "out\\n", "")
        assert machine.execute("echo wrong >&2", stderr=False) == (0, "")
        assert machine.execute("echo wrong >&2; sleep 100", timeout=1, stderr=True) == (124, "", "wrong\\n")
        assert machine.execute("echo wrong >&2", check_output=False, stderr=True) == (-2, "", "")
        pieces = []
        assert machine.execute("echo a; echo b >&2", on_output=pieces.append, stderr=True) == (0, "a\\n", "b\\n")
        assert pieces == ["a\\n"]
    """)


def test_standard_error_is_on_the_console_nevertheless(session):
    session("""
        machine.execute("echo both ways >&2", stderr=True)
        machine.wait_for_console_text("both ways", timeout=60)
    """)


def test_the_end_of_much_standard_error_is_kept(session):
    session("""
        status, output, errors = machine.execute("i=0; while [ $i -lt 4000 ]; do printf '%0400d\\n' $i >&2; i=$((i + 1)); done",
                                                 stderr=True)
        assert (status, output, len(errors)) == (0, "", 1 << 20)
        assert errors.endswith(f"\\n{3998:0400}\\n{3999:0400}\\n")
    """)


FAILED = """
    text = error_of(machine.succeed, "echo out; seq 30 >&2; exit 3", stderr=True)
    assert text == ("RequestedAssertionFailed: command `echo out; seq 30 >&2; exit 3` failed (exit code 3); standard error:"
                    + "".join(f"\\n    {number}" for number in range(11, 31))), text
    text = error_of(machine.fail, "echo out; echo wrong >&2", stderr=True)
    assert text == ("RequestedAssertionFailed: command `echo out; echo wrong >&2` unexpectedly succeeded; standard error:"
                    "\\n    wrong"), text
    text = error_of(machine.succeed, "false", stderr=True)
    assert text == "RequestedAssertionFailed: command `false` failed (exit code 1)", text
    text = error_of(machine.succeed, "echo wrong >&2; false")
    assert text == "RequestedAssertionFailed: command `echo wrong >&2; false` failed (exit code 1)", text
    assert machine.succeed("echo a; echo b >&2", "echo c", stderr=True) == "a\\nc\\n"
    assert machine.fail("echo a; echo b >&2; exit 1", stderr=True) == "a\\n"
"""


def test_failed_checks_show_the_end_of_standard_error(session):
    session(FAILED)


def test_failed_checks_of_overriding_scripts_do_so_too(session):
    session("""
        from unittest.mock import patch
        with patch.object(machine, "run_callbacks") as callbacks:
    """ + FAILED.replace("\n    ", "\n            ") + """
        assert callbacks.called
    """)


def test_the_root_shell_does_not_keep_it_apart(fake):
    with harness.Session(fake, options=["--no-agent"]) as session:
        session("""
            for method in machine.execute, machine.succeed, machine.fail:
                text = error_of(method, "echo wrong >&2; false", stderr=True)
                assert text == ("ValueError: machine 'machine': the root shell does not keep standard error apart; "
                                "the agent does, where it runs"), text
            assert machine.execute("exit 3") == (3, "")
        """)
