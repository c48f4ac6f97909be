"""The agent in containers: when it is there, what becomes of commands when it is killed or cannot be started, and that
nothing of it stays. That commands by the agent are what commands by nsenter are, test_containers.py shows."""

import os
import textwrap

import harness
import pytest

# Runs a command on a thread, of which `ended` gets the result or the error.
THREAD = '''
import threading

def error_of(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return error

def begin(machine, command, **named):
    ended = []

    def run():
        try:
            ended.append(machine.execute(command, **named))
        except Exception as error:
            ended.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    machine.wait_until_succeeds("test -e /tmp/begun")
    machine.succeed("rm /tmp/begun")
    return thread, ended
'''


@pytest.fixture(scope="module")
def left(guests):
    return {"left": guests.container("left", 1, [1])}


@pytest.fixture(scope="module")
def session(left):
    with harness.Session({}, THREAD, containers=left, vlans=[1]) as session:
        yield session


def test_one_agent_for_all_commands(session):
    session("""
        agents = left.succeed("pgrep -x ntd-agent")
        assert len(agents.split()) == 1 and left.succeed("pgrep -x ntd-agent") == agents
        assert left.succeed("ps -o ppid= -p $$").split() == agents.split()
        # Commands have no descriptors but their own; `ls` has one for the directory.
        assert left.succeed("ls /proc/self/fd").split() == ["0", "1", "2", "3"]
        assert left.succeed("pwd; umask; ulimit -c") == "/\\n0022\\n" + left.succeed("ulimit -c")
    """)


def test_the_agent_has_no_file_in_the_container(session):
    session("""
        agent = left.succeed("pgrep -x ntd-agent").strip()
        assert left.succeed(f"readlink /proc/{agent}/exe").startswith("/memfd:")
        assert left.succeed(f"readlink /proc/{agent}/fd/0 /proc/{agent}/fd/1") == "/dev/null\\n" * 2
        left.fail("find / -xdev -name '*ntd*' -not -path '/proc/*' | grep .")
    """)


def test_one_that_is_asked_to_end_lets_commands_end(session):
    """As when the container powers off. The next command has another agent."""
    session("""
        before = left.succeed("pgrep -x ntd-agent; rm -f /tmp/gate; mkfifo /tmp/gate")
        thread, ended = begin(left, "echo begun; touch /tmp/begun; read line < /tmp/gate; echo $line; exit 3")
        left.succeed("pkill -TERM -x ntd-agent")
        left.succeed("echo over > /tmp/gate")  # by nsenter, as the agent begins nothing any more
        thread.join()
        assert ended == [(3, "begun\\nover\\n")], ended
        assert left.wait_until_succeeds("pgrep -x ntd-agent") != before  # one that comes before its end is known has none
    """)


def test_one_that_is_killed_fails_its_commands(left):
    """There are other agents after it, but not without end."""
    harness.run(THREAD + textwrap.dedent("""
        agents = set()
        for _ in range(3):
            agents.add(left.succeed("pgrep -x ntd-agent"))
            thread, ended = begin(left, "touch /tmp/begun; sleep 1000")
            error_of(left.execute, "pkill -KILL -x ntd-agent")
            thread.join()
            assert "machine 'left': the agent in the guest ended while `touch /tmp/begun; sleep 1000` ran" in ended[0], ended
            assert left.succeed("echo a") == "a\\n"
        assert len(agents) == 3
        left.fail("pgrep -x ntd-agent")
        left.wait_for_unit("dbus.service")
        left.shutdown()
        left.succeed("pgrep -x ntd-agent")  # a new boot
    """), containers=left, seconds=120)


@pytest.mark.parametrize("options", [(), ("--no-agent",)], ids=["agent", "nsenter"])
def test_a_container_that_ends_under_commands(left, options):
    """The agent and commands end before systemd-nspawn does, whose end is what is told nevertheless."""
    result = harness.run(THREAD + textwrap.dedent("""
        begun = [begin(left, f"touch /tmp/begun; sleep {1000 + i}") for i in range(4)]
        os.kill(left.get_systemd_process, 9)
        for thread, ended in begun:
            thread.join()
            assert "systemd-nspawn process exited unexpectedly: it " in ended[0], ended
        left.start()
        assert left.succeed("echo again") == "again\\n"
    """), containers=left, options=options, seconds=120)
    assert result.log.count("left: systemd-nspawn running") == 2


@pytest.mark.parametrize("how, why", [("exit 126", "the agent in the guest has ended"),
                                      ("exec sleep 1000", "it took too long to start it"),
                                      ("echo nonsense, as much as a frame has >&0; exec sleep 1000", "bytes that are no frame came")])
def test_where_it_cannot_be_started_nsenter_runs_the_commands(left, tmp_path, how, why):
    """A program in the place of nsenter does not start the agent."""
    path = tmp_path / "nsenter"
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\ncase $* in */proc/self/fd/*) {how};; esac\nexec /usr/bin/nsenter \"$@\"\n")
    path.chmod(0o755)
    result = harness.run("""
        assert left.execute("echo a; exit 3") == (3, "a\\n")
        left.wait_for_unit("dbus.service")
        left.fail("pgrep -x ntd-agent")
        left.shutdown()
    """, containers=left, seconds=120, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, options=["--log-level", "debug"])
    lines = [line for line in result.log.splitlines() if "has no agent" in line]
    assert len(lines) == 1 and lines[0].startswith("left: nsenter runs the commands, as the guest has no agent: "), lines
    assert why in lines[0]


def test_no_agent(left):
    result = harness.run("""
        left.succeed("echo a")
        left.fail("pgrep -x ntd-agent")
    """, containers=left, options=["--no-agent", "--log-level", "debug"], seconds=60)
    assert "has no agent" not in result.log


# What a command can see of who runs it, and how it can end.
COMMANDS = r"""
env | sort
set -o; shopt; trap; umask; pwd; nice; ulimit -a
grep -E 'Sig(Blk|Ign|Cgt)|Cap|NoNew|Groups|Seccomp|Uid|Gid' /proc/self/status
cat /proc/self/cgroup /proc/self/oom_score_adj; for n in /proc/self/ns/*; do [ $n -ef /proc/1/ns/${n##*/} ]; echo $n $?; done
echo $- $0 $_ $SHLVL $#; ps -o sid=,tpgid=,tty= -p $$; tr '\0' ' ' < /proc/$$/cmdline
readlink /proc/self/fd/0; cat; tty
nosuchcommand
echo 'a
exit 256
set +e; false; echo on
kill -9 $$
kill -PIPE $$
kill -STOP $$; echo on
yes | head -1
(sleep 1; echo late) & echo soon
sleep 1000 & echo held; sleep 1000
echo 'trap "echo bye" EXIT; return 3' >> /etc/profile
echo hello
""".strip().splitlines()


def test_commands_cannot_tell_who_runs_them(left):
    """What the agent makes of commands is what nsenter makes of them."""
    by_nsenter, by_agent = (harness.run("""
        for command in COMMANDS:
            print("result", (command, left.execute(command, timeout=5 if "1000" in command else 60, stderr=True)))
    """.replace("COMMANDS", repr(COMMANDS)), containers=left, vlans=[1], options=options, seconds=120)
                            for options in (["--no-agent"], []))
    results = [[line for line in run.out.splitlines() if line.startswith("result")] for run in (by_nsenter, by_agent)]
    assert len(results[0]) == len(COMMANDS) and results[0] == results[1]
