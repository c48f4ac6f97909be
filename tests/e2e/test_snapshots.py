"""Snapshots that a script has QEMU make and load: the driver's ports, which come and go, are in none of them."""

import pytest

import harness

FIRST = """
    PARENT = "cat /proc/$PPID/comm"

    def monitor(line):
        answer = machine.send_monitor_command(line)
        assert "rror" not in answer, answer

    def assert_usable():
        assert machine.succeed(PARENT) == "ntd-agent\\n"
        assert machine.succeed("head -c 300000 /dev/zero | wc -c") == "300000\\n"
        machine.succeed("rm -f /tmp/awaited; (sleep 1; : > /tmp/awaited) > /dev/null 2>&1 &")
        machine.wait_for_file("/tmp/awaited")
"""


def test_a_real_guest_goes_back(without_shares):
    with harness.Session(without_shares, FIRST) as session:
        session("""
            machine.start()
            machine.connect()
            monitor("savevm fresh")
            assert_usable()
            machine.succeed("echo old > /tmp/state")
            monitor("savevm used")
            assert_usable()
            machine.succeed("echo new > /tmp/state")
        """, seconds=300)
        session("""
            for _ in range(2):
                monitor("loadvm used")
                assert machine.succeed("cat /tmp/state") == "old\\n"
                assert_usable()
                machine.succeed("echo new > /tmp/state")
            monitor("loadvm fresh")
            machine.fail("test -e /tmp/state")
            assert_usable()
            machine.qmp_client.send("human-monitor-command", {"command-line": "loadvm used"})
            assert machine.succeed("cat /tmp/state") == "old\\n"
            assert_usable()
            assert "Error" in machine.send_monitor_command("loadvm missing")  # which stops the guest, too
            monitor("cont")
            assert machine.succeed("cat /tmp/state") == "old\\n"
            assert_usable()
        """, seconds=300)


def test_a_root_shell_goes_back(without_shares):
    """Without an agent the shell does the work, and its own port is left."""
    with harness.Session(without_shares, FIRST, options=["--no-agent"]) as session:
        session("""
            machine.connect()
            monitor("savevm fresh")
            assert len(machine.succeed("head -c 300000 /dev/zero | tr '\\\\0' x")) == 300_000
            monitor("savevm used")
            for name in ("fresh", "used", "fresh"):
                assert len(machine.succeed("head -c 300000 /dev/zero | tr '\\\\0' x")) == 300_000
                monitor("loadvm " + name)
            assert len(machine.succeed("head -c 300000 /dev/zero | tr '\\\\0' x")) == 300_000
        """, seconds=300)


@pytest.fixture
def session(fake):
    with harness.Session(fake, FIRST) as running:
        running("machine.start()\nmachine.connect()")
        yield running


def test_ports_are_gone_before_the_command(session):
    session("""
        monitor("savevm fresh")
        for number in range(2):
            assert_usable()
            monitor("  loadvm fresh")
            assert_usable()
            assert machine.qmp_client.send("human-monitor-command", {"command-line": "loadvm fresh"})["return"] == ""
            assert_usable()
            wanted = {"job-id": "save", "tag": f"x{number}", "vmstate": "#block100", "devices": ["#block100"]}
            machine.qmp_client.send("snapshot-save", wanted)
            assert b'{"ports": [],' in (machine.state_dir / f"machine.qcow2.d/x{number}.state").read_bytes()
            machine.qmp_client.send("job-dismiss", {"id": "save"})
    """)


def test_other_commands_keep_the_agent(session):
    session("""
        first = machine.succeed("echo $PPID")
        monitor("info status")
        monitor("set_link savevm on")
        machine.qmp_client.send("human-monitor-command", {"command-line": "info status"})
        assert machine.succeed("echo $PPID") == first
    """)


def test_a_command_that_runs_meanwhile_ends(session):
    session("""
        import threading
        machine.succeed("rm -f $PWD/began")
        errors = []
        thread = threading.Thread(target=lambda: errors.append(error_of(machine.succeed, "touch $PWD/began; sleep 100")))
        thread.start()
        machine.wait_until_succeeds("test -e $PWD/began")
        monitor("savevm meanwhile")
        thread.join()
        assert "touch $PWD/began; sleep 100" in errors[0], errors
        assert_usable()
    """)
