"""machine.snapshot() and machine.restore() of a real guest, which shares its directories with the host: what comes back,
and what does not go on. With the agent and without it."""

import os

import pytest

import harness

FIRST = harness.PROCESSES + """
import signal, threading
from pathlib import Path

kept = {"uuids": set()}  # for later calls

def count():
    \"\"\"What a process in the guest has counted in its memory, with this call.\"\"\"
    return int(machine.succeed("echo > /tmp/ask; cat /tmp/answer"))

def prepare():
    machine.succeed('''
        for module in /lib/modules/disk/*.ko; do insmod $module; done
        mke2fs /dev/vda > /dev/null 2>&1
        mkdir /tmp/disk
        mount -t ext4 /dev/vda /tmp/disk
        echo old | tee /tmp/disk/file > /tmp/file
        mkfifo /tmp/ask /tmp/answer
        (i=0; while read -r _ < /tmp/ask; do i=$((i + 1)); echo $i > /tmp/answer; done) > /dev/null 2>&1 &
        sleep 1000000 > /dev/null 2>&1 &
        echo $! > /tmp/old-process
        date -s @1000000000
    ''')
    assert [count(), count()] == [1, 2]

def change():
    machine.succeed('''
        echo new | tee /tmp/disk/file /tmp/disk/more /tmp/more > /tmp/file
        sync
        kill $(cat /tmp/old-process)
        sleep 1000001 > /dev/null 2>&1 &
        echo $! > /tmp/new-process
        ip address add 10.9.9.9/24 dev eth0
        ip address del 10.0.2.15/24 dev eth0
        umount /tmp/xchg
        date -s @1500000000
    ''')
    assert [count(), count()] == [3, 4]
    return machine.succeed("cat /tmp/new-process").strip()

def addresses():
    return machine.succeed("ip -4 -o address show dev eth0")

def command_of(pid):
    return machine.execute(f"tr '\\0' ' ' < /proc/{pid}/cmdline")[1]

def assert_old(new_process):
    machine.succeed("echo 3 > /proc/sys/vm/drop_caches")
    assert machine.succeed("cat /tmp/file /tmp/disk/file") == "old\\nold\\n"
    machine.fail("test -e /tmp/more || test -e /tmp/disk/more")
    assert machine.succeed("tr '\\\\0' ' ' < /proc/$(cat /tmp/old-process)/cmdline") == "sleep 1000000 "
    assert command_of(new_process) != "sleep 1000001 "
    assert addresses() == kept["addresses"]
    assert count() == 3

def assert_shares_work():
    host = Path(os.environ["TMPDIR"]) / "from-host"
    host.write_text("host")
    machine.copy_from_host(str(host), "/tmp/from-host")
    assert machine.succeed("cat /tmp/from-host") == "host"
    machine.succeed("echo guest > /tmp/from-guest")
    machine.copy_from_machine("/tmp/from-guest", "copies")
    assert (driver.out_dir / "copies/from-guest").read_text() == "guest\\n"
    machine.succeed("echo shared > /tmp/shared/file; echo xchg > /tmp/xchg/file; rm /tmp/shared/file")
    return machine.succeed("grep 9p /proc/mounts")
"""


@pytest.fixture(scope="module", params=[[], ["--no-agent"]], ids=["agent", "shell"])
def session(tiny, request):
    with harness.Session(tiny, FIRST, options=request.param) as running:
        running("""
            machine.start()
            prepare()
            kept.update(mounts=assert_shares_work(), addresses=addresses())
            machine.snapshot("then")
            assert 0 <= float(machine.succeed("date +%s.%N")) - 1e9 < 600
            assert assert_shares_work() == kept["mounts"]
        """, seconds=300)
        yield running


TIMES = int(os.environ.get("RESTORES", 15))  # restores in a row

WAYS = {
    "running": "",
    "crashed": "machine.crash()",
    "shut down": "machine.shutdown()",
    "panicked": "print(error_of(machine.succeed, 'echo c > /proc/sysrq-trigger'))",
    "killed": "os.kill(qemu(machine), signal.SIGKILL)",
    "stopped": "machine.send_monitor_command('stop')",
}


@pytest.mark.parametrize("end", WAYS.values(), ids=WAYS)
def test_all_is_as_it_was(session, end):
    session("""
machine.restore("then")
new_process = change()
""" + end + """
machine.restore("then")
assert abs(float(machine.succeed("date +%s.%N")) - time.time()) < 60
assert_old(new_process)
assert assert_shares_work() == kept["mounts"]
uuid = machine.succeed("cat /proc/sys/kernel/random/uuid")
assert uuid not in kept["uuids"]
kept["uuids"].add(uuid)
""", seconds=300)


def test_a_state_is_saved_after_a_copy(session):
    session("""
machine.restore("then")
large = Path(os.environ["TMPDIR"]) / "large"
large.write_bytes(os.urandom(40_000_000))
errors = []

def copy():
    try:
        machine.copy_from_host(str(large), "/tmp/large")
    except Exception as error:
        errors.append(error)

thread = threading.Thread(target=copy)
thread.start()
while thread.is_alive() and machine.execute("test -s /tmp/large")[0]:
    pass
machine.snapshot("meanwhile")
thread.join()
assert not errors, errors
machine.restore("meanwhile")
import hashlib
assert machine.succeed("sha256sum < /tmp/large").split()[0] == hashlib.sha256(large.read_bytes()).hexdigest()
""", seconds=300)


def test_many_restores_leak_nothing(session):
    """The guest's first snapshot of its own is as large as the last; so are the driver and QEMU."""
    session("""
        def sizes():
            store = sum(path.stat().st_blocks for path in machine.state_dir.iterdir() if path.is_file())
            resident = int(Path("/proc/self/statm").read_text().split()[1])
            descriptors = len(os.listdir(f"/proc/{qemu(machine)}/fd"))
            return store * 512, resident * os.sysconf("SC_PAGESIZE"), descriptors

        def again():
            machine.restore("then")
            assert machine.succeed("cat /tmp/file; echo new > /tmp/file") == "old\\n"

        for _ in range(5):
            again()
        machine.restore("then")
        first, pid, before = sizes(), qemu(machine), held()
        for _ in range(times):
            again()
            assert qemu(machine) == pid
        machine.restore("then")
        assert_held_again(before)
        last = sizes()
        assert last[0] - first[0] < 1 << 20 and last[1] - first[1] < 4 << 20 and last[2] <= first[2], (first, last)
        for _ in range(5):
            machine.snapshot("again")
        first = sizes()
        for _ in range(5):
            machine.snapshot("again")
        last = sizes()
        assert last[0] - first[0] < 32 << 20, (first, last)
    """, seconds=600, times=TIMES)


def test_a_device_of_the_script(session):
    """QEMU loads no state without a device that was there then, and none with one that was not: a new QEMU does."""
    session("""
        machine.restore("then")
        pid = qemu(machine)
        machine.send_monitor_command("chardev-add null,id=other")
        machine.qmp_client.send("device_add", {"driver": "virtserialport", "id": "other", "chardev": "other", "name": "other"})
        machine.wait_until_succeeds("grep -x other /sys/class/virtio-ports/*/name")
        machine.snapshot("with it")
        new_process = change()
        machine.restore("then")
        assert qemu(machine) != pid
        assert_old(new_process)
        error = error_of(machine.restore, "with it")
        assert "Unknown savevm section or instance" in error or "while loading VM state" in error, error
        assert not machine.booted
        machine.restore("then")
        assert machine.succeed("cat /tmp/file") == "old\\n"
    """, seconds=300)


def test_what_is_in_the_way(session):
    session("""
        machine.restore("then")
        path = machine.state_dir / "data.img"
        path.write_bytes(bytes(1 << 20))
        assert "OK" in machine.send_monitor_command(f"drive_add 0 if=none,id=data,format=raw,file={path}")
        machine.succeed("cd /tmp/shared; sleep 1000 > /dev/null 2>&1 & echo $! > /tmp/busy")
        error = error_of(machine.snapshot, "none")
        assert error.startswith("MachineError: machine 'machine': the guest uses a directory that it shares with the host, "
                                "and cannot unmount it: shared /tmp/shared umount: "), error
        assert assert_shares_work().count(" 9p ") == 2
        machine.succeed("kill $(cat /tmp/busy)")
        error = error_of(machine.snapshot, "none")
        assert "its disk data" in error and "data.img) is a writable image of the format raw" in error, error
        assert_shares_work()
        machine.send_monitor_command("drive_del data")
        machine.snapshot("some")
        assert assert_shares_work() == kept["mounts"]
    """, seconds=300)


def test_the_users_own_share(tiny):
    script = """
        import os
        os.environ["QEMU_OPTS"] = "-virtfs local,path=/tmp,mount_tag=mine,security_model=none,id=mine"
        machine.succeed("mkdir '/tmp/a b'; mount -t 9p -o trans=virtio mine '/tmp/a b'")
        try:
            machine.snapshot("none")
        except Exception as error:
            print(type(error).__name__, error)
        print(machine.succeed("grep -c 9p /proc/mounts"), end="")
        machine.succeed("umount '/tmp/a b'")
        machine.snapshot("some")
        machine.restore("some")
        print(machine.succeed("grep -c 9p /proc/mounts"), end="")
    """
    result = harness.run(script, tiny, seconds=300)
    assert result.lines[-1] == "2" and "3" in result.lines, result.lines
    text = "\n".join(result.lines)
    assert "MachineError machine 'machine': its state cannot be saved:\n    QEMU: " in text, text
    assert "unmount the share in the guest before" in text and "the guest has mounted the share 'mine' at /tmp/a" in text, text
