"""Waits for units while systemd itself changes, and for units made of templates: by the agent, and by commands, with the
same results."""

import pytest

import harness

FIRST = r"""
import threading, time

TEMPLATE = '''[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'test %i != fails && sleep 3'
'''
"""


@pytest.fixture(scope="module", params=["agent", "commands"])
def session(request, guests):
    options = [] if request.param == "agent" else ["--no-agent"]
    with harness.Session({"machine": guests.systemd()}, FIRST, options=options) as running:
        running("machine.wait_for_unit('multi-user.target')", seconds=300)
        running("(machine.shared_dir / 'template').write_text(TEMPLATE)\n"
                "machine.succeed('cp /tmp/shared/template /run/systemd/system/work@.service; systemctl daemon-reload')")
        yield running


def test_systemd_is_executed_anew(session):
    """It has another connection afterwards, and the same units."""
    session(r"""
        waits = []

        def wait():
            machine.wait_for_unit("work@reexec.service", timeout=60)
            waits.append(machine.succeed("systemctl is-active work@reexec.service"))

        machine.succeed("systemctl start --no-block work@reexec.service")
        threads = [threading.Thread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            machine.succeed("systemctl daemon-reexec")
        machine.succeed("systemctl daemon-reload")
        for thread in threads:
            thread.join()
        assert waits == ["active\n"] * 3, waits
        machine.succeed("systemctl start --no-block work@after.service")
        machine.wait_for_unit("work@after.service", timeout=60)
        assert machine.succeed("systemctl is-active work@after.service") == "active\n"
    """, seconds=120)


def test_units_of_a_template(session):
    session(r"""
        for unit in "work@a.service", r"work@a-b\x2dc.service", "work@" + "long" * 20 + ".service":
            machine.succeed(f"systemctl start --no-block '{unit}'")
            machine.wait_for_unit(unit, timeout=60)
            assert machine.succeed(f"systemctl is-active '{unit}'") == "active\n"
        text = error_of(machine.wait_for_unit, "work@never.service", timeout=60)
        assert 'unit "work@never.service" is inactive and there are no pending jobs' in text, text
        machine.succeed("systemctl start --no-block work@fails.service")
        text = error_of(machine.wait_for_unit, "work@fails.service", timeout=60)
        assert 'unit "work@fails.service" reached state "failed"' in text, text
    """, seconds=120)


def test_a_template_is_no_unit(session):
    session(r"""
        began = time.monotonic()
        text = error_of(machine.wait_for_unit, "work@.service", timeout=60)
        assert "work@.service" in text and "action timed out" not in text, text
        result = text
    """, seconds=120)
