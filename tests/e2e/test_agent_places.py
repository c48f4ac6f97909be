"""Real guests that have no good place for the agent's program, or lose it: what cannot be executed or written there, and
disks that are full. Commands are run in any case."""

import pytest

import harness

FIRST = r"""
import re

def parent():
    return machine.succeed("cat /proc/$PPID/comm").strip()

def begin_anew():
    '''Has the guest's init start another root shell. The shell is the command's parent, or that of the agent.'''
    text = error_of(machine.succeed, "p=$PPID; read -r name < /proc/$p/comm; "
                    "[ $name != ntd-agent ] || read -r _ _ _ p _ < /proc/$p/stat; kill -9 $p; sleep 1000")
    assert "began anew" in text, text

def check_commands():
    assert machine.execute("echo out; exit 3") == (3, "out\n")
    assert machine.execute("echo out; sleep 100", timeout=1) == (124, "out\n")
    assert machine.succeed("seq 50000") == "".join(f"{i}\n" for i in range(1, 50001))
    assert machine.succeed(": " + "x" * 200_000 + "; echo end") == "end\n"
"""

PLACES = "/run", "/dev/shm", "/tmp", "/root"


@pytest.fixture(scope="module")
def session(tiny):
    with harness.Session(tiny, FIRST, options=["--log-level", "debug"]) as running:
        running("assert parent() == 'ntd-agent'", seconds=200)
        yield running


def mounted(options, places=PLACES):
    """A command that mounts a new file system at each of the places."""
    return "".join(f"mount -t tmpfs -o {options} tmpfs {place}; " for place in places)


def unmounted(places=PLACES):
    return "".join(f"umount -l {place}; " for place in places)  # a working directory may be there


NO_AGENT = "the root shell runs the commands, as the guest has no agent: "


def why_there_is_none(session, before):
    return [line.partition(NO_AGENT)[2] for line in harness.plain(session.err[before:]).splitlines() if NO_AGENT in line]


def test_the_first_place_that_executes_is_taken(session):
    session("""
        machine.succeed(prepare)
        begin_anew()
        assert parent() == "ntd-agent"
        check_commands()
        assert machine.succeed("ls -A /run /dev/shm /tmp").split() == ["/dev/shm:", "/run:", "/tmp:"]
        machine.succeed(undo)
    """, prepare=mounted("noexec", PLACES[:3]), undo=unmounted(PLACES[:3]))


@pytest.mark.parametrize("options, why", [
    ("noexec", "its program cannot be executed"),
    ("ro", "there is no place for its program"),
    ("size=40k", "there is no room for its program"),
])
def test_without_a_place_the_shell_does_the_work(session, options, why):
    """One line says why."""
    before = len(session.err)
    session("""
        machine.succeed(prepare)
        begin_anew()
        assert parent() == "bash"
        assert machine.execute("echo out; exit 3") == (3, "out\\n")
        assert machine.execute("echo out; sleep 100", timeout=1) == (124, "out\\n")
        if why.endswith("executed"):
            check_commands()
        elif why.endswith("room"):
            text = error_of(machine.succeed, "seq 50000")
            assert "the guest failed to keep the output" in text, text
        assert parent() == "bash"
    """, prepare=mounted(options), why=why)
    assert why_there_is_none(session, before) == [why]
    session("""
        machine.succeed("! ls -A /run /dev/shm /tmp /root | grep ntd", undo)
        begin_anew()
        assert parent() == "ntd-agent"
    """, undo=unmounted())


def test_a_disk_that_a_command_fills(session):
    session("""
        machine.succeed(prepare)
        for place in "/run", "/dev/shm", "/tmp", "/root":
            status, output = machine.execute(f"echo before; cat /dev/zero > {place}/full; echo never")
            assert (status, output) == (1, "before\\n"), (status, output)
        assert parent() == "ntd-agent"
        check_commands()
        machine.succeed("(sleep 0.5; : > /run/there) > /dev/null 2>&1 &")
        machine.wait_for_file("/run/there", timeout=60)
        machine.succeed(undo)
    """, prepare=mounted("size=1m"), undo=unmounted())


def test_a_guest_without_proc_sys(session):
    session("""
        machine.succeed("mount -t tmpfs -o ro tmpfs /proc/sys; ! test -e /proc/sys/kernel")
        begin_anew()
        assert parent() == "ntd-agent"
        check_commands()
        machine.succeed("umount /proc/sys")
    """)


def test_a_read_only_root(session):
    """A guest that mounts nothing of its own writable has no place; one with the usual /run has."""
    session("""
        machine.succeed("mount -o remount,ro /; ! touch /root/file")
        begin_anew()
        assert parent() == "ntd-agent"
        check_commands()
        machine.succeed(prepare)
        begin_anew()
        assert parent() == "bash"
        assert machine.execute("echo out; exit 3") == (3, "out\\n")
        machine.succeed(undo, "mount -o remount,rw /")
    """, prepare=mounted("ro", PLACES[:3]), undo=unmounted(PLACES[:3]))
