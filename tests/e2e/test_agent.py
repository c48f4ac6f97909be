"""The agent, which the driver starts in guests: what it adds to root shells, and what happens when it ends."""

import pytest

import harness

# What tells whether the agent runs a command: its parent.
PARENT = "cat /proc/$PPID/comm"


@pytest.fixture(scope="module", params=["fake", "tiny"])
def session(request):
    first = f"import re, threading, time\nPARENT = {PARENT!r}"
    with harness.Session(request.getfixturevalue(request.param), first) as running:
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
                        "! test -e $place/.ntd-$shell; done")
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


def test_a_killed_agent_is_an_error_and_comes_back(session):
    """At most twice for a root shell, which then does the work by itself."""
    session("""
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
