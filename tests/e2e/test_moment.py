"""machine.snapshot() and machine.restore() of a real guest, which shares its directories with the host: what comes back,
and what does not go on. With the agent and without it."""

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
