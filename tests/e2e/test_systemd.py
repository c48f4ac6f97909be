"""Methods for units, in a real guest with systemd that all tests share."""

import pytest

import harness


FIRST = """
import time
from pathlib import Path

def ended(text):
    \"""Takes the error of a wait for a unit that has ended apart: its message, the file that it names, its content.\"""
    message, separator, path = text.partition("\\nThe unit's status and journal are in ")
    assert separator and path.startswith(f"{machine.out_dir}/failed-units/machine/") and path.endswith("."), text
    return message, path[:-1], Path(path[:-1]).read_text()
"""


@pytest.fixture(scope="module")
def session(guests):
    with harness.Session({"machine": guests.systemd()}, FIRST) as running:
        running("machine.wait_for_unit('multi-user.target')", seconds=200)
        yield running


def test_wait_for_unit(session):
    session("""
        machine.wait_for_unit("ssh.service")
        machine.wait_for_unit("ssh")
        machine.wait_for_unit("basic.target", timeout=10)
        machine.succeed("systemctl start --no-block slow.service")
        machine.wait_for_unit("slow.service")
        assert machine.get_unit_info("slow.service")["ActiveState"] == "active"
    """)


def test_units_that_do_not_become_active(session):
    session("""
        machine.succeed("systemctl start --no-block failing.service")
        text, _, evidence = ended(error_of(machine.wait_for_unit, "failing.service", timeout=60))
        assert text == 'RequestedAssertionFailed: unit "failing.service" reached state "failed"'
        assert "(Result: exit-code)" in evidence and "systemd[1]: failing.service: Failed with" in evidence, evidence
        for unit in "good.service", "no-such.service":
            text, _, evidence = ended(error_of(machine.wait_for_unit, unit, timeout=60))
            assert text == f'RequestedAssertionFailed: unit "{unit}" is inactive and there are no pending jobs'
            assert ("inactive (dead)" if unit == "good.service" else "could not be found") in evidence, evidence
        machine.succeed("systemd-run --no-block --unit=held -p ExecStartPre='sleep 1000' -p TimeoutStartSec=2000 true")
        text = error_of(machine.wait_for_unit, "held.service", timeout=3)
        assert text.startswith("RequestedAssertionFailed: action timed out after "), text
        machine.succeed("systemctl stop held.service")
    """)


def test_unit_info(session):
    session("""
        info = machine.get_unit_info("ssh.service")
        assert type(info) is dict
        assert (info["Id"], info["ActiveState"], info["SubState"], info["LoadState"]) == \\
            ("ssh.service", "active", "running", "loaded")
        assert machine.get_unit_info("good")["Description"] == "Unit that stays, with a = sign"
        assert machine.get_unit_info("no-such.service")["LoadState"] == "not-found"
        assert error_of(machine.get_unit_info, 'a"b').startswith(
            'RequestedAssertionFailed: retrieving systemctl info for unit "a"b" failed with exit code ')
        assert machine.get_unit_property("ssh.service", "ActiveState") == "active"
        assert machine.get_unit_property("good.service", "Description") == "Unit that stays, with a = sign"
        assert "RequestedAssertionFailed" in error_of(machine.get_unit_property, "ssh.service", "NoSuchProperty")
    """)


def test_require_unit_state(session):
    session("""
        machine.require_unit_state("ssh.service")
        machine.require_unit_state("good.service", "inactive")
        assert error_of(machine.require_unit_state, "good.service", "active") == "RequestedAssertionFailed: " \\
            "Expected unit 'good.service' to to be in state 'active' but it is in state 'inactive'"
    """)


def test_systemctl_and_jobs(session):
    session("""
        assert machine.systemctl("is-active good.service") == (3, "inactive\\n")
        assert machine.start_job("good.service") == (0, "")
        machine.wait_for_unit("good")
        machine.require_unit_state("good.service")
        assert machine.systemctl("is-active good.service") == (0, "active\\n")
        assert machine.stop_job("good.service") == (0, "")
        machine.require_unit_state("good.service", "inactive")
        status, output = machine.start_job("no-such.service")
        assert status == 5 and output == ""
    """)


def test_units_of_a_user(session):
    session("""
        machine.succeed("loginctl enable-linger alice")
        machine.wait_for_file("/run/user/$(id -u alice)/systemd/private")
        machine.wait_for_unit("default.target", "alice", timeout=30)
        machine.wait_for_unit("basic.target", user="alice", timeout=30)
        status, output = machine.systemctl("show --property=Names 'basic.target'", "alice")
        assert (status, output) == (0, "Names=basic.target\\n")
        assert machine.get_unit_info("default.target", "alice")["ActiveState"] == "active"
        assert machine.get_unit_property("default.target", "ActiveState", "alice") == "active"
        assert machine.start_job("good.service", "alice") == (0, "")
        machine.wait_for_unit("good.service", "alice", timeout=30)
        machine.require_unit_state("good.service", "inactive")  # the system's unit of that name
        assert machine.stop_job("good.service", "alice") == (0, "")
        text, path, evidence = ended(error_of(machine.wait_for_unit, "good.service", "alice", timeout=30))
        assert text == 'RequestedAssertionFailed: unit "good.service" is inactive and there are no pending jobs'
        assert "@user-alice" in path and "inactive (dead)" in evidence and "Started good.service" in evidence, evidence
        machine.start_job("failing.service", "alice")
        text, path, evidence = ended(error_of(machine.wait_for_unit, "failing.service", "alice", timeout=30))
        assert text == 'RequestedAssertionFailed: unit "failing.service" reached state "failed"'
        assert "(Result: exit-code)" in evidence, evidence
        assert 'retrieving systemctl info for unit "a"b" under user "alice" failed with exit code ' in \\
            error_of(machine.get_unit_info, 'a"b', "alice")
        machine.log("end of test")
    """)
    session.wait_for("^machine: end of test$")
    assert "machine: waiting for unit basic.target with user alice\n" in harness.plain(session.err)


def test_what_is_logged(session):
    before = len(session.err)
    session("""
        machine.wait_for_unit("ssh.service")
        machine.require_unit_state("ssh.service")
        machine.log("done")
    """)
    session.wait_for("^machine: done$")
    log = harness.plain(session.err[before:])
    assert "machine: waiting for unit ssh.service\n" in log
    assert "machine: checking if unit 'ssh.service' has reached state 'active'\n" in log


def test_ports_and_sockets(session):
    session("""
        machine.wait_for_open_port(22)
        machine.wait_for_open_port(22, "127.0.0.1", timeout=30)
        machine.wait_for_closed_port(23)
        machine.systemctl("stop ssh.service")
        machine.wait_for_closed_port(22)
        machine.systemctl("start --no-block ssh.service")
        machine.wait_for_open_port(22)
        machine.wait_for_open_unix_socket("/run/systemd/private")
    """)


def test_the_rest_works_here_too(session):
    session("""
        (machine.shared_dir / "file").write_text("text")
        assert machine.succeed("cat /tmp/shared/file; hostname") == "textmachine\\n"
        machine.copy_from_host("/etc/passwd", "/tmp/copied")
        machine.copy_from_machine("/tmp/copied")
        assert (machine.out_dir / "copied").read_bytes() == open("/etc/passwd", "rb").read()
        assert machine.execute("sleep 30", timeout=1) == (124, "")
        assert machine.execute(": " + "x" * 300_000 + "; echo long; exit 4") == (4, "long\\n")
        machine.succeed("echo to the console >&2")
        machine.wait_for_console_text("to the console")
        assert "Reached target" in machine.get_console_log()
    """)


def test_child_that_keeps_the_output_open(session):
    session("""
        text = error_of(machine.execute, "sleep 1000 & echo x", timeout=2)
        assert "machine 'machine'" in text and "(sleep)" in text, text
        assert machine.execute("echo usable; exit 3") == (3, "usable\\n")
    """)


def test_shutdown(session):
    session("""
        machine.shutdown()
        assert not machine.booted
    """, seconds=120)
