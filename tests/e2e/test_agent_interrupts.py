"""Signals whose handlers raise an exception, as Ctrl-C does, while the agent works for the script, in a real guest: what
it did there ends, nothing half done is left, and the next command works. (The third Ctrl-C ends a run, so it is SIGALRM
here.)"""

import pytest

import harness

FIRST = r"""
import os, pathlib, signal, tempfile, threading, time

work = pathlib.Path(tempfile.mkdtemp(dir=os.environ["TMPDIR"]))

class Interrupt(Exception):
    pass

def raise_interrupt(number, frame):
    raise Interrupt

signal.signal(signal.SIGALRM, raise_interrupt)

def interrupted(function, *arguments, when="true", **named):
    '''Interrupts the script in the call, as soon as the command `when` succeeds in the guest.'''
    def interrupt():
        while machine.execute(when)[0]:
            pass
        os.kill(os.getpid(), signal.SIGALRM)

    threading.Thread(target=interrupt).start()
    try:
        function(*arguments, **named)
    except Interrupt:
        return
    raise AssertionError("it was not interrupted")

def ends(command):
    '''Waits until the command fails in the guest, as what it looks for has ended.'''
    machine.wait_until_fails(command, timeout=60)

def check():
    assert machine.execute("cat /proc/$PPID/comm; exit 3") == (3, "ntd-agent\n")
"""


@pytest.fixture(scope="module")
def session(tiny):
    with harness.Session(tiny, FIRST) as running:
        running("check()", seconds=200)
        yield running


@pytest.mark.parametrize("timeout", [None, 1000])
def test_a_command(session, timeout):
    """Its whole process group is killed, also what ignores polite signals."""
    session("""
        machine.succeed("rm -f /tmp/begun")
        interrupted(machine.execute, "trap '' INT TERM HUP; sleep 1000 & sleep 1000 | cat & touch /tmp/begun; wait; sleep 1000",
                    timeout=timeout, when="test -e /tmp/begun && pidof sleep")
        ends("pidof sleep")
        check()
    """, timeout=timeout)


@pytest.mark.parametrize("wait", ["machine.wait_for_file, '/never'", "machine.wait_for_open_port, 4999",
                                  "machine.wait_for_open_unix_socket, '/never'", "machine.wait_until_succeeds, 'false'"])
def test_a_wait(session, wait):
    session(f"""
        interrupted({wait}, when="sleep 0.3")
        check()
    """)


@pytest.mark.parametrize("there", [False, True])
def test_a_copy_into_the_guest(session, there):
    """A target that is there keeps its content until the copy is whole. The many files go by the agent."""
    session("""
        source = pathlib.Path(tempfile.mkdtemp(dir=work)) / "source"
        source.mkdir()
        for number in range(3000):
            (source / str(number)).write_text("new" * 2000)
        machine.succeed("rm -rf /tmp/into; mkdir /tmp/into")
        if there:
            machine.succeed("mkdir /tmp/into/source; echo old > /tmp/into/source/2999")
        interrupted(machine.copy_from_host, source, "/tmp/into" if there else "/tmp/into/source",
                    when="test $(find /tmp/into -type f | wc -l) -gt 20")
        ends("find /tmp/into -name '.ntd-*' | grep .")
        if there:
            assert machine.succeed("cat /tmp/into/source/2999") == "old\\n"
            assert machine.succeed("find /tmp/into/source -type f ! -size 6000c ! -size 4c") == ""
        else:
            assert machine.succeed("ls -A /tmp/into") == ""
        machine.succeed("rm -r /tmp/into")
        check()
    """, there=there, seconds=120)


def test_a_copy_out_of_the_guest(session):
    session("""
        machine.succeed("mkdir -p /tmp/many; for i in $(seq 2000); do echo $i > /tmp/many/$i; done")
        target = machine.out_dir / "out"
        interrupted(machine.copy_from_machine, "/tmp/many", "out", when="sleep 0.2")
        assert not target.exists() or list(target.iterdir()) == [], list(target.iterdir())
        check()
        machine.copy_from_machine("/tmp/many", "out")
        assert len(list((target / "many").iterdir())) == 2000
    """, seconds=120)
