"""Tests in pytest style with real guests."""

import re

import harness
import pytest
from pytest_harness import run

EXAMPLES = harness.ROOT / "tests/e2e/examples"


def sections(result):
    """Returns {title: text}, the sections of the last failure in the output."""
    parts = re.split(r"^-+ (\S.*?) -+\n", result.out, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def test_one_guest(tiny):
    result = run("""
        def test_before(machine):
            machine.succeed("echo of the test before > /dev/console")
            machine.wait_for_console_text("of the test before")

        def test_values(machine):
            machine.succeed("echo of this test > /dev/console")
            machine.wait_for_console_text("of this test")
            assert machine.succeed("uname -s").strip() == "GNU"
        """, tiny, seconds=120, status=1)
    assert result.outcomes == {"test_before": "PASSED", "test_values": "FAILED"}
    assert "assert 'Linux' == 'GNU'" in result.out
    console = sections(result)["console of machine during this test"]
    assert "of this test" in console and "of the test before" not in console
    assert "uname" in sections(result)["log of this test"]
    assert result.kept == ["script.py-test_values/machine"]
    case = result.cases["script.py::test_values"]
    assert "machine # of this test" in case.findtext("system-out") + (case.findtext("system-err") or "")
    boot, *_ = re.search(r"^ +[\d.]+ +([\d.]+) .*::test_before$", result.out, re.M).groups()
    assert float(boot) > 0.5  # the first test has waited for the boot


@pytest.mark.parametrize("example", ["ping.py", "ping_pytest.py"])
def test_the_same_job_in_both_styles(guests, example):
    vms = {name: guests.tiny(name, node, [1]) for node, name in enumerate(("client", "server"), 1)}
    result = run((EXAMPLES / example).read_text(), vms, vlans=[1], seconds=180)
    assert re.search(r"^client: .*ping -c1 192.168.1.2$", result.log, re.M)
    assert [name for name, case in result.cases.items() if case.find("failure") is not None] == []
    assert len(result.cases) == 2


def test_journal_of_the_time_of_the_test(guests):
    result = run("""
        def test_first(machine):
            machine.wait_for_unit("multi-user.target")
            machine.succeed("logger of the first test", "sleep 4")

        def test_second(machine):
            machine.succeed("logger of the second test")
            machine.wait_until_succeeds("journalctl -o cat | grep -q 'second test'")
            machine.wait_for_unit("no-such.service")
        """, {"machine": guests.systemd()}, seconds=300, status=1)
    assert result.outcomes == {"test_first": "PASSED", "test_second": "FAILED"}
    journal = sections(result)["journal of machine"]
    assert "of the second test" in journal and "of the first test" not in journal
    assert 'unit "no-such.service" is inactive and there are no pending jobs' in result.out


def test_isolated_guests(guests):
    """Two guests on one network: what a test does to disks, memory, processes and the network does not reach the next,
    also when it has killed a guest, filled its disk or shut it down."""
    vms = {name: guests.tiny(name, node, [1]) for node, name in enumerate(("client", "server"), 1)}
    result = run("""
        import os, signal, time
        import pytest

        @pytest.fixture(scope="session")
        def prepared(client, server):
            server.succeed("echo ready > /tmp/state", "sleep 100000 > /dev/null 2>&1 & echo $! > /tmp/pid")
            client.wait_until_succeeds("ping -c1 192.168.1.2")

        @pytest.fixture(autouse=True)
        def as_prepared(prepared, client, server):
            assert server.succeed("cat /tmp/state") == "ready\\n"
            server.succeed("kill -0 $(cat /tmp/pid)")
            server.fail("test -e /tmp/left")
            client.succeed("ping -c1 192.168.1.2")
            assert abs(float(client.succeed("date +%s")) - time.time()) < 30
            server.succeed("echo left > /tmp/left; echo changed > /tmp/state; kill $(cat /tmp/pid)")

        def test_crash(server):
            server.crash()

        def test_kill(client):
            os.kill(client.pid, signal.SIGKILL)
            client.wait_for_shutdown()

        def test_full(server):
            server.fail("cat /dev/zero > /tmp/full")

        def test_shutdown(client, server):
            client.shutdown()
            server.shutdown()

        def test_hang(client):
            client.execute("kill -STOP 1; (while :; do :; done) > /dev/null 2>&1 &", timeout=10)
            client.send_monitor_command("stop")

        def test_network(client):
            client.block()
            client.fail("ping -c1 -W1 192.168.1.2")

        def test_end(server): pass
        """, vms, vlans=[1], options=["--isolation", "restore"], seconds=300)
    assert set(result.outcomes.values()) == {"PASSED"} and len(result.outcomes) == 7
    assert len(re.findall(r"connected to guest root shell$", result.log, re.M)) == 2
    saved = re.search(r"in place of 12 boots, which would have taken ([\d.]+) s$", result.out, re.M)
    took = re.search(r"^6 restores in ([\d.]+) s and 2 snapshots in ([\d.]+) s", result.out, re.M)
    assert float(saved[1]) > 0 and took
