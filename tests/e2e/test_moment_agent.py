"""The agent that is saved with a guest: after a restore it goes on, and is not launched anew; where it has ended, another
takes its place."""

import pytest

import harness

FIRST = harness.PROCESSES + harness.ERROR_OF + """
import signal

kept = {"numbers": set()}  # for later calls

def agent(one=None):
    \"\"\"The process in the guest that runs its commands.\"\"\"
    pid, name = (one or machine).succeed("echo $PPID; cat /proc/$PPID/comm").split()
    assert name == "ntd-agent", name
    return pid

def assert_is_kept(one=None):
    assert agent(one) == kept["agent"]

def kill_agent():
    \"\"\"The driver has heard of its end when the next command has begun.\"\"\"
    error_of(machine.succeed, "kill -KILL $PPID; sleep 1000")

def agent_devices():
    listed = machine.qmp_client.send("qom-list", {"path": "/machine/peripheral"})["return"]
    return [device["name"] for device in listed if device["name"].startswith("ntd-agent-")]

def assert_works(one=None):
    one = one or machine
    assert one.succeed("grep -c 9p /proc/mounts") == "2\\n"
    assert abs(float(one.succeed("date +%s.%N")) - time.time()) < 60
    assert one.execute("exit 3")[0] == 3
    assert len(one.succeed("head -c 300000 /dev/zero | tr '\\\\0' x")) == 300000
    one.wait_for_file("/etc/passwd")
"""


@pytest.fixture(scope="module")
def session(tiny):
    with harness.Session(tiny, FIRST, options=["--log-level=debug"]) as running:
        running("""
            machine.start(allow_reboot=True)
            machine.connect()
            machine.snapshot("first")  # before the first command
            kept["agent"] = agent()
            machine.snapshot("then")
            assert_is_kept()
        """, seconds=300)
        yield running


WAYS = {
    "running": "",
    "crashed": "machine.crash()",
    "killed": "os.kill(qemu(machine), signal.SIGKILL)",
    "without its agent": "kill_agent()",
    "with another agent": "kill_agent(); assert agent() != kept['agent']",
    "rebooted": "machine.reboot(); agent()",
    "restored": "machine.restore('first')",
}


@pytest.mark.parametrize("end", WAYS.values(), ids=WAYS)
def test_it_goes_on(session, end):
    before = len(session.err)
    session("""
machine.restore("then")
""" + end + """
machine.restore("then")
assert_is_kept()
assert_works()
number = machine.succeed("cat /proc/sys/kernel/random/uuid")
assert number not in kept["numbers"]
kept["numbers"].add(number)
assert len(machine.succeed("cat /sys/class/virtio-ports/*/name").split()) == 1
""", seconds=300)
    assert "the agent that was saved with the guest cannot be used" not in session.err[before:]


def test_it_is_there_in_the_first_snapshot(session):
    session("""
        machine.restore("first")
        assert_is_kept()
        assert_works()
    """, seconds=300)


def test_the_shares_are_mounted_by_the_agent(session):
    """A guest whose mount(8) fails gets them all the same."""
    session("""
        machine.restore("then")
        machine.succeed("m=$(command -v mount); rm $m; printf '#!/bin/sh\\\\nexit 1\\\\n' > $m; chmod +x $m; ! mount -t proc p /proc")
        machine.snapshot("without mount")
        machine.restore("without mount")
        assert_is_kept()
        assert_works()
    """, seconds=300)


def test_one_that_dies_while_it_is_saved(session):
    """It is killed as soon as the shares are unmounted for that. Another is launched, at the latest after the restore."""
    session("""
        machine.restore("then")
        machine.succeed("(while grep -q 9p /proc/mounts; do :; done; kill -KILL $PPID) > /dev/null 2>&1 &")
        machine.snapshot("dying")
        assert agent() != kept["agent"]
        for _ in range(2):
            machine.restore("dying")
            assert_works()
    """, seconds=300)


def test_one_that_was_killed_before_the_snapshot(session):
    session("""
        machine.restore("then")
        kill_agent()
        machine.snapshot("another")
        other = agent()
        assert other != kept["agent"]
        for _ in range(2):
            machine.restore("another")
            assert agent() == other
            assert_works()
        machine.restore("then")
        assert_is_kept()
    """, seconds=300)


def test_after_a_script_has_spoken_to_the_shell(session):
    """The agent, which runs nothing any more, is not in the snapshot, and nor is its port: another QEMU can load it."""
    session("""
        machine.restore("then")
        machine.shell.send(b"echo > /tmp/spoken\\n")
        machine.wait_for_file("/tmp/spoken")
        machine.snapshot("spoken")
        assert not agent_devices()
        for _ in range(2):
            machine.restore("spoken")
            assert agent() != kept["agent"]
            assert_works()
            machine.crash()
    """, seconds=300)


def test_another_port_in_its_place(session):
    """A script's own port may have the number: a new QEMU loads the state."""
    session("""
        machine.restore("then")
        pid = qemu(machine)
        device, = agent_devices()
        number = machine.qmp_client.send("qom-get", {"path": f"/machine/peripheral/{device}", "property": "nr"})["return"]
        kill_agent()
        while agent_devices():
            pass
        machine.send_monitor_command("chardev-add null,id=other")
        answer = machine.qmp_client.send("device_add", {"driver": "virtserialport", "id": "other", "chardev": "other",
                                                        "name": "other", "nr": number})
        assert "error" not in answer, answer
        machine.restore("then")
        assert qemu(machine) != pid
        assert_is_kept()
        assert_works()
    """, seconds=300)


def test_without_the_agent(tiny):
    """Under --no-agent no state has one, and none stays."""
    harness.run(FIRST + """
machine.snapshot("then")
for _ in range(2):
    machine.restore("then")
    assert machine.succeed("cat /proc/$PPID/comm") != "ntd-agent\\n"
    assert machine.succeed("! cat /proc/[0-9]*/comm | grep ntd-agent; grep -c 9p /proc/mounts") == "2\\n"
    assert abs(float(machine.succeed("date +%s.%N")) - time.time()) < 60
""", tiny, options=["--no-agent"], seconds=300)


def test_systemd_and_its_clones(guests):
    result = harness.run(FIRST + """
machine.wait_for_unit("multi-user.target", timeout=600)
machine.snapshot("then")
kept["agent"] = agent()
for end in "running", "crashed":
    if end == "crashed":
        machine.crash()
    machine.restore("then")
    assert_is_kept()
    assert_works()
clone, = machine.clone(1)
for one in machine, clone:
    assert_is_kept(one)
    assert_works(one)
print("as it was")
""", {"machine": guests.systemd()}, seconds=900, global_timeout=900)
    assert "as it was" in result.lines


def test_a_kept_boot(tiny, tmp_path):
    """The agent of a kept state goes on in other runs, of both kinds; an older list has none."""
    boot = tmp_path / "boot"
    harness.run("", tiny, options=["--save-boot", boot], seconds=300)
    look = FIRST + """
pid, name = machine.succeed("echo $PPID; cat /proc/$PPID/comm").split()
print("RUNS BY", pid, name)
assert machine.succeed("grep -c 9p /proc/mounts") == "2\\n"
assert abs(float(machine.succeed("date +%s.%N")) - time.time()) < 60
machine.restore("boot")
print("RUNS BY", *machine.succeed("echo $PPID; cat /proc/$PPID/comm").split())
"""
    runs = [harness.run(look, tiny, options=["--boot-from", boot, *more], seconds=300).lines for more in ([], [], ["--no-agent"])]
    seen = [[line for line in lines if line.startswith("RUNS BY")] for lines in runs]
    assert len(set(seen[0] + seen[1])) == 1 and "ntd-agent" in seen[0][0], seen
    assert len(seen[2]) == 2 and not any("ntd-agent" in line for line in seen[2]), seen
