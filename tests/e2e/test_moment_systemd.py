"""A snapshot of a guest with systemd: its units and its journal are as they were, and go on."""

import harness


def test_units_and_the_journal(guests):
    script = """
        machine.wait_for_unit("multi-user.target", timeout=600)
        machine.succeed("systemd-run --unit=kept sleep 1000000")
        states = "systemctl list-units --all --no-legend --plain --type=service,target,mount | awk '{print $1, $3, $4}' | sort"
        pid = "systemctl show -p MainPID kept"
        machine.succeed("logger before; journalctl --sync")
        machine.snapshot("then")
        before = machine.succeed(states, pid)
        for end in "running", "crashed":
            machine.succeed("systemctl stop kept; systemd-run --unit=other sleep 1000001; logger lost; journalctl --sync")
            if end == "crashed":
                machine.crash()
            machine.restore("then")
            assert machine.succeed(states, pid) == before, (before, machine.succeed(states, pid))
            machine.succeed("logger after; journalctl --sync")
            machine.succeed("journalctl -b --no-pager -t root -o cat > /tmp/journal")
            assert machine.succeed("cat /tmp/journal").split()[-2:] == ["before", "after"], machine.succeed("cat /tmp/journal")
            machine.succeed("journalctl --verify", "test $(systemctl is-system-running) != offline")
            machine.require_unit_state("kept.service")
            machine.copy_from_host("/etc/hostname", "/tmp/hostname")
        print("as it was")
    """
    result = harness.run(script, {"machine": guests.systemd()}, seconds=900, global_timeout=900)
    assert "as it was" in result.lines
