"""machine.clone(): machines that begin with the state of another."""

import os
import signal
import textwrap
from pathlib import Path

import pytest

import harness

FIRST = harness.PROCESSES + harness.ERROR_OF + """
def pss(machine):
    text = open(f"/proc/{qemu(machine)}/smaps_rollup").read()
    return int(text.split("\\nPss:")[1].split()[0]) / 1024

def shared_memory(machine):
    links = [f"/proc/{qemu(machine)}/fd/{fd}" for fd in os.listdir(f"/proc/{qemu(machine)}/fd")]
    file, = [link for link in links if os.path.lexists(link) and os.readlink(link).endswith("/memory (deleted)")]
    return os.stat(file).st_blocks / 2048

def is_reached(machine, address):
    return machine.execute(f"ping -c 1 -W 2 {address}")[0] == 0
"""


def left_directories(run):
    """What clone() has left in the run-time directory and in the memory of this host."""
    places = run.directory / "tmp", Path("/dev/shm")
    return [path for place in places for path in place.glob(f"ntd-clones-{run.pid}-*")]


# ---- a real guest


@pytest.fixture(scope="module")
def session(guests):
    vms = {"machine": guests.tiny(vlans=[1])}
    with harness.Session(vms, FIRST, vlans=[1], options=["--log-level=debug"]) as running:
        running("""
            machine.connect()
            machine.succeed("echo old > /tmp/state; echo old | dd of=/dev/vda conv=fsync")
            machine.succeed("sleep 1000 > /dev/null 2>&1 & echo $! > /tmp/pid")
        """, seconds=300)
        yield running


def test_clones_are_machines_of_their_own(session):
    assert session("""
        machine.succeed("date -s @1000000000")  # which clones do not believe
        clones = machine.clone(2)
        assert [clone.name for clone in clones] == ["machine-1", "machine-2"]
        assert {"machine", "machine-1", "machine-2"} <= {one.name for one in driver.machines}
        states = ["cat /tmp/state", "head -c 4 /dev/vda", "kill -0 $(cat /tmp/pid) && echo runs"]
        every = [machine, *clones]
        # what the guest had printed is known of the clones, too
        assert clones[0].get_console_log() == machine.get_console_log() != ""
        assert all(one.booted and one.connected for one in every)
        for one in every:
            assert [one.succeed(command).strip() for command in states] == ["old", "old", "runs"]
        for one in every:
            one.succeed(f"echo {one.name} > /tmp/state; echo {one.name} | dd of=/dev/vda conv=fsync")
            one.succeed("echo 3 > /proc/sys/vm/drop_caches")
        for one in every:
            assert one.succeed("cat /tmp/state") == one.name + "\\n"
            assert one.succeed("head -n 1 /dev/vda") == one.name + "\\n"
        numbers = [one.succeed("cat /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | xxd -p") for one in every]
        assert len(set(numbers)) == 3, numbers
        assert all(abs(int(one.succeed("date +%s")) - time.time()) < 300 for one in clones)
        for one in every:
            (one.state_dir / "xchg/file").write_text(one.name)
            assert one.succeed("cat /tmp/xchg/file") == one.name
        clones[0].succeed("echo only here > /dev/ttyS0")
        clones[0].wait_for_console_text("only here")
        assert "only here" not in machine.get_console_log() + clones[1].get_console_log()
        result = "shares" if all("share=off" in open(f"/proc/{qemu(one)}/cmdline").read() for one in clones) else ""
    """, seconds=300) == "shares"
    assert "do not share memory" not in session.err
    assert not [path for path in left_directories(session) if session.directory not in path.parents]


def test_clones_live_on(session):
    """They can do what other machines can: save and restore, crash and boot, and be cloned."""
    session("""
        first, second = machine.clone(2, names=["one", "two"])
        assert [first.name, second.name] == ["one", "two"]
        first.succeed("echo then > /tmp/state")
        first.snapshot("then")
        first.succeed("echo later > /tmp/state")
        first.restore("then")
        assert first.succeed("cat /tmp/state") == "then\\n"
        grandchild, = first.clone(1)
        assert grandchild.name == "one-1" and grandchild.succeed("cat /tmp/state") == "then\\n"
        first.crash()
        first.restore("then")
        assert first.succeed("cat /tmp/state") == "then\\n"
        assert grandchild.succeed("head -c 4 /dev/vda") == second.succeed("head -c 4 /dev/vda")
        second.crash()
        second.start()
        second.fail("test -e /tmp/state")
        for one in first, second, grandchild:
            one.crash()
    """, seconds=400)


def test_networks(session):
    session("""
        one, two = machine.clone(2)
        assert "192.168.1.1/" in one.succeed("ip addr show eth1")
        one.succeed("ip addr add 192.168.1.77/24 dev eth1")
        assert not is_reached(two, "192.168.1.77") and not is_reached(machine, "192.168.1.77")
        three, = machine.clone(1, networks="shared")
        three.succeed("ip link set eth1 address 52:54:00:12:01:63; ip addr flush dev eth1")
        three.succeed("ip addr add 192.168.1.99/24 dev eth1")
        assert is_reached(machine, "192.168.1.99") and is_reached(three, "192.168.1.1")
        assert not is_reached(one, "192.168.1.99")
        # a clone's networks are shared as the session's are
        four, = one.clone(1, networks="shared")
        four.succeed("ip link set eth1 address 52:54:00:12:01:64; ip addr flush dev eth1")
        four.succeed("ip addr add 192.168.1.98/24 dev eth1")
        assert is_reached(one, "192.168.1.98") and not is_reached(machine, "192.168.1.98")
        for clone in one, two, three, four:
            clone.crash()
    """, seconds=300)
    assert "its clones are on its own networks" in session.err


def test_a_share_in_use_is_named(session):
    session("""
        before = [one.name for one in driver.machines]
        machine.succeed("cd /tmp/shared; sleep 1000 > /dev/null 2>&1 & echo $! > /tmp/user")
        error = error_of(machine.clone, 2)
        assert "/tmp/shared" in error and "shares with the host" in error, error
        assert machine.succeed("cat /tmp/state").strip()
        assert [one.name for one in driver.machines] == before
        machine.succeed("kill $(cat /tmp/user)")
    """, seconds=200)


def test_without_an_agent(tiny):
    harness.run(FIRST + textwrap.dedent("""
        machine.succeed("date -s @1000000000; echo old > /tmp/state")
        clones = machine.clone(2)
        assert all(abs(int(one.succeed("date +%s")) - time.time()) < 300 for one in clones)
        assert len({one.succeed("cat /proc/sys/kernel/random/uuid") for one in [machine, *clones]}) == 3
        clones[0].succeed("echo new > /tmp/state; echo shared > /tmp/xchg/file")
        assert (clones[0].state_dir / "xchg/file").read_text() == "shared\\n"
        assert [one.succeed("cat /tmp/state").strip() for one in [machine, *clones]] == ["old", "new", "old"]
    """), tiny, options=["--no-agent"], seconds=300)


def test_ten(guests):
    """Ten clones take less time than their boots, and share the memory of the guest."""
    with harness.Session({"machine": guests.tiny()}, FIRST) as session:
        numbers = session("""
            began = time.monotonic()
            machine.connect()
            booted = time.monotonic() - began
            machine.succeed("head -c 100000000 /dev/urandom > /tmp/large")
            alone = pss(machine)
            began = time.monotonic()
            clones = machine.clone(10)
            cloned = time.monotonic() - began
            sums = [clone.succeed("md5sum < /tmp/large") for clone in clones[:2]]
            assert sums == [machine.succeed("md5sum < /tmp/large")] * 2
            ram, file = 0, max(shared_memory(clone) for clone in clones)
            for clone in clones:
                maps = open(f"/proc/{qemu(clone)}/smaps").read().split("/memory (deleted)\\n")
                assert len(maps) == 2, "the memory is not in one file, or the file has not been removed"
                fields = dict(line.split()[:2] for line in maps[1].splitlines()[:20])
                ram += int(fields["Private_Dirty:"]) / 1024
            result = dict(booted=booted, cloned=cloned, alone=alone, together=sum(map(pss, clones)), ram=ram, file=file)
        """, seconds=500)
    print({name: round(value, 1) for name, value in numbers.items()})
    assert numbers["cloned"] < 10 * numbers["booted"]
    assert numbers["file"] < 250  # MiB of the host's memory for the 256 of the guest
    assert numbers["ram"] < 300  # MiB that the clones have changed, of 2560
    assert numbers["together"] < 3 * numbers["alone"]


# ---- a fake one, whose QEMU has no memory to share


@pytest.fixture
def script(fakes, tmp_path):
    """A start script, in whose text FAULT is replaced by what happens before its QEMU begins."""
    def make(fault):
        path = tmp_path / "run-machine-vm"
        command = f"{fakes('machine')['machine']} \"$@\""
        path.write_text(f"#!/bin/sh\nFAKE_DISKS='[]'\nexport FAKE_DISKS\n{fault}\nexec {command}\n")
        path.chmod(0o755)
        return {"machine": str(path)}
    return make


def test_without_shared_memory(script):
    """Each clone loads the whole state."""
    with harness.Session(script(""), FIRST, options=["--log-level=debug"]) as session:
        session("""
            machine.succeed("mkdir $PWD/guest-state; echo old > $PWD/guest-state/file")
            clones = machine.clone(3)
            assert all(one.succeed("cat $PWD/guest-state/file") == "old\\n" for one in clones)
            clones[0].succeed("echo new > $PWD/guest-state/file")
            assert machine.succeed("cat $PWD/guest-state/file") == "old\\n"
            assert [one.name for one in machine.clone(1)] == ["machine-4"]
        """)
        assert "the clones do not share memory" in session.err
        assert not left_directories(session), "there are no disks whose bases could be needed"


def test_misuse(script):
    with harness.Session(script(""), FIRST) as session:
        session("""
            import json
            for n in 0, -1, 251, 10**30:
                assert "1 to 250" in error_of(machine.clone, n)
            for n in "2", 1.5, True, None:
                assert "n must be an int" in error_of(machine.clone, n)
            assert "'own' or 'shared'" in error_of(machine.clone, 1, networks="none")
            assert "2 names, not 1" in error_of(machine.clone, 2, names=["a"])
            assert "twice" in error_of(machine.clone, 2, names=["a", "a"])
            assert "already" in error_of(machine.clone, 1, names=["machine"]) and not machine.booted
            assert "list of str" in error_of(machine.clone, 1, names=[1])
            assert "cannot be the name" in error_of(machine.clone, 1, names=["a/b"])
            (machine.state_dir / "FAKE_BLOCKERS").write_text("the TPM is in use")
            error = error_of(machine.clone, 1)
            assert "cannot be cloned:" in error and "leave the TPM out" in error, error
            (machine.state_dir / "disk.qcow2").touch()
            disk = dict(file=str(machine.state_dir / "disk.qcow2"), backing_file="base.qcow2")
            (machine.state_dir / "FAKE_DISKS").write_text(json.dumps([disk]))
            error = error_of(machine.clone, 1)
            assert "is an overlay of base.qcow2" in error and "absolute path" in error, error
            assert machine.succeed("echo on") == "on\\n"
            assert [one.name for one in driver.machines] == ["machine"]
        """)
        assert not left_directories(session)


@pytest.mark.parametrize("fault, message", [
    ('case $TMPDIR in *-2) echo "it is broken"; exit 3 ;; esac', "exited with code 3"),
    ("case $TMPDIR in *-2) FAKE_LOAD=killed; export FAKE_LOAD ;; esac", "killed by signal 9"),
], ids=["start", "load"])
def test_one_that_fails(script, fault, message):
    with harness.Session(script(fault), FIRST) as session:
        session("""
            machine.connect()
            before = len(below(os.getpid()))
            error = error_of(machine.clone, 3)
            assert "machine 'machine-2'" in error and message in error, error
            assert [one.name for one in driver.machines] == ["machine"]
            assert machine.succeed("echo on") == "on\\n"
            clone, = machine.clone(1)
            assert clone.name == "machine-1"
            clone.crash()
        """, message=message)
        assert not [path for path in left_directories(session) if "shm" in str(path)]


def test_a_template_that_fails(script):
    """It is full, it dies, or it is busy; it is booted for the clones."""
    with harness.Session(script(""), FIRST) as session:
        session("""
            import threading
            clone, = machine.clone(1)
            assert clone.succeed("echo on") == "on\\n"
            (machine.state_dir / "FAKE_SAVE").write_text("full")
            error = error_of(machine.clone, 2)
            assert "writing the guest's state: machine 'machine': QEMU: migrate: " in error and "left" in error, error
            assert machine.succeed("echo on") == "on\\n"
            long = "touch $PWD/began; while ! test -e $PWD/end; do sleep 0.1; done"
            thread = threading.Thread(target=machine.execute, args=[long])
            thread.start()
            machine.wait_until_succeeds("test -e $PWD/began")
            error = error_of(machine.clone, 2, timeout=0.1)
            assert "still under way" in error and "clone() waits" in error, error
            machine.succeed("touch $PWD/end")
            thread.join()
            (machine.state_dir / "FAKE_SAVE").write_text("killed")
            error = error_of(machine.clone, 2)
            assert error.startswith("MachineDied: machine 'machine': ") and "signal 9" in error, error
            machine.wait_for_shutdown()
            (machine.state_dir / "FAKE_SAVE").unlink()
            assert machine.clone(1)[0].succeed("echo on") == "on\\n" and machine.booted
            assert [one.name for one in driver.machines] == ["machine", "machine-1", "machine-2"]
        """)
        assert not [path for path in left_directories(session) if "shm" in str(path)]


STUCK = 'case $TMPDIR in *-1) echo "$*" > "$TMPDIR/started"; exec sleep 1000 ;; esac'


def test_an_interruption(script):
    """The clones are taken back, and the script goes on."""
    with harness.Run(FIRST + textwrap.dedent("""
        machine.connect()
        try:
            machine.clone(3)
        except KeyboardInterrupt:
            assert machine.succeed("echo on").strip() == "on" and len(driver.machines) == 1
            print("it goes on")
    """), script(STUCK)) as run:
        assert harness.wait_until(lambda: [*run.directory.rglob("vm-state-machine-1/started")], 60)
        run.signal(signal.SIGINT)
        result = run.finish(seconds=60)
        assert result.status == 0 and "it goes on" in result.out and not left_directories(run)


def test_nothing_is_left_of_a_killed_driver(script):
    with harness.Run("machine.connect(); machine.clone(2)", script(STUCK)) as run:
        assert harness.wait_until(lambda: [*run.directory.rglob("vm-state-machine-1/started")], 60)
        assert left_directories(run)
        os.kill(run.pid, signal.SIGKILL)
        harness.wait_until(lambda: not left_directories(run), 30)
        assert not left_directories(run)


# ---- pools of test machines


def test_a_pool_of_clones(guests):
    harness.run(FIRST + textwrap.dedent("""
        from test_driver.test_vm import TestVM, TestVMManager

        def is_clone(vm):
            return "-incoming" in open(f"/proc/{qemu(vm)}/cmdline").read()

        with TestVMManager(image=IMAGE, name_prefix="pool") as vms:
            first, second, third = pool = vms.create_many(3, clone=True)
            assert [is_clone(vm) for vm in pool] == [False, True, True] and vms.vms == pool
            assert all(type(vm) is TestVM and vm.connected for vm in pool) and second == f"{first}-1"
            for vm in pool:
                vm.succeed(f"echo {vm} > /tmp/state")
            assert second.user is None and third.timeouts is first.timeouts
            vms.delete(first)
            assert second.succeed("cat /tmp/state") == f"{second}\\n"
            assert first not in driver.machines and second not in driver.machines
        assert not any(vm.booted or vm.state_dir.exists() for vm in pool)
        assert not list(driver.tmp_dir.glob("vm-state-*"))
    """).replace("IMAGE", repr(guests.tiny())), seconds=300)


def test_a_pool_that_cannot_be_cloned(fake):
    """The disk of the fake machine does not exist."""
    result = harness.run(f"""
        from test_driver.test_vm import TestVMManager
        with TestVMManager(image={fake["machine"]!r}) as vms:
            pool = vms.create_many(3, clone=True)
            assert all(vm.succeed("echo on") == "on\\n" for vm in pool)
    """, options=["--log-level=debug"])
    assert "the others are booted: " in result.err and "is not a file in the machine's state directory" in result.err
