"""Sockets, ports, terminals and other attributes of machines with a real guest."""

import pytest

import harness


@pytest.fixture(scope="module")
def session(guests):
    vms = {"machine": guests.tiny("machine", 1, [1])}
    with harness.Session(vms, "import time", vlans=[1]) as running:
        running("machine.connect()", seconds=120)
        yield running


def test_raw_bytes_of_the_root_shell(session):
    session(r"""
        shell = machine.shell
        assert shell.send(b"echo raw-$((1 + 1))\n") == 20
        shell.settimeout(20)
        received = b""
        while not received.endswith(b"\n"):
            received += shell.recv(4)
        assert received == b"raw-2\n", received
        assert machine.succeed("echo framed") == "framed\n"
        shell.settimeout(0.1)
        try:
            shell.recv(10)
        except TimeoutError:
            pass
        else:
            raise Exception("the reply to the driver's command was received")
        shell.settimeout(None)
        assert machine.shell.sendall(b"true\n") is None and shell.recv(0) == b""
        for wrong in "text", 5, None:
            try:
                shell.send(wrong)
            except TypeError:
                continue
            raise Exception("sent")
        machine.succeed("true")
    """)


def test_raw_bytes_of_the_monitor(session):
    session(r"""
        machine.monitor.send(b"info version\n")
        time.sleep(0.5)
        answer = machine.wait_for_monitor_prompt()
        assert answer.endswith("(qemu) ") and answer.count("(qemu) ") == 1 and answer.splitlines()[1][0].isdigit(), answer
        machine.monitor.send(b"info version\n")
        machine.monitor.settimeout(20)
        received = b""
        while not received.endswith(b"(qemu) "):
            received += machine.monitor.recv(1000)
        assert received.decode() == answer
        machine.monitor.settimeout(None)
    """)


def test_wait_for_monitor_prompt_waits(session):
    """It waits for the answer to a command that another thread sends later."""
    session(r"""
        import threading
        timer = threading.Timer(0.5, machine.monitor.send, [b"info name\n"])
        began = time.monotonic()
        timer.start()
        assert machine.wait_for_monitor_prompt().endswith("(qemu) ") and time.monotonic() - began > 0.4
    """)


def test_the_cable_is_pulled_and_plugged_in(session):
    session("""
        def carrier():
            return machine.succeed("cat /sys/class/net/eth1/carrier 2>/dev/null || echo none").strip()

        machine.succeed("ip link set eth1 up")
        retry(lambda last: carrier() == "1", timeout_seconds=20)
        machine.block()
        retry(lambda last: carrier() == "0", timeout_seconds=20)
        machine.unblock()
        retry(lambda last: carrier() == "1", timeout_seconds=20)
    """)


def test_a_port_is_forwarded(session):
    """QEMU listens on the host and connects to the guest's service."""
    session("""
        import socket
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        machine.succeed("ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0 2>/dev/null || true")
        machine.succeed("(while true; do echo from the guest | nc -l -p 1234; done) >/dev/null 2>&1 &")
        machine.forward_port(port, 1234)

        def answers(last):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                return client.recv(100) == b"from the guest\\n"

        retry(answers, timeout_seconds=30)
        for wrong in dict(host_port="eighty"), dict(guest_port=None):
            try:
                machine.forward_port(**wrong)
            except (TypeError, ValueError) as error:
                assert next(iter(wrong)) in str(error), error
            else:
                raise Exception("accepted")
    """)


def test_bytes_for_the_serial_port(session):
    session("""
        machine.succeed("(read -r line < /dev/ttyS0; echo got:$line: >&2) >/dev/null &")
        time.sleep(1)
        machine.send_console("from the host\\n")
        machine.wait_for_console_text("got:from the host:", timeout=20)
        machine.succeed("(read -r line < /dev/ttyS0; echo got:$line: >&2) >/dev/null &")
        time.sleep(1)
        machine.process.stdin.write(b"as bytes\\n")
        machine.process.stdin.flush()
        machine.wait_for_console_text("got:as bytes:", timeout=20)
    """)


def test_lines_of_the_console_in_the_log(session):
    session("""
        machine.log_serial("made up by the script")
        assert "made up by the script" not in machine.get_console_log()
    """)
    assert "machine # made up by the script" in harness.plain(session.err)


def test_the_text_of_a_tty_goes_to_the_journal(session):
    """The guest has no journal; a stand-in for systemd-cat writes its input to a file."""
    session(r"""
        machine.succeed("mkdir -p /root/bin; printf '#!/bin/sh\\ncat > /tmp/journal\\n' > /usr/bin/systemd-cat; chmod +x /usr/bin/systemd-cat")
        machine.succeed("printf 'on-the-screen' > /dev/tty1")
        machine.dump_tty_contents("1")
        assert "on-the-screen" in machine.succeed("cat /tmp/journal")
        machine.dump_tty_contents(1)
    """)


SYSTEMCTL = r"""#!/bin/bash
echo "$*" >> /tmp/systemctl-calls
case "$*" in
*initrd.target*) echo ActiveState=active ;;
*isolate*) (sleep 1; echo switched > /tmp/root; printf 'Spawning backdoor root shell...\n' > /dev/hvc0) > /dev/null 2>&1 & ;;
esac
"""


def test_the_pixels_of_the_screen(session):
    session(r"""
        with machine._managed_screenshot() as path:
            header, pixels = path.read_bytes()[:2], path.stat().st_size
        assert header == b"P6" and pixels > 100_000 and not path.exists()
    """)


def test_the_root_is_switched(session):
    """A stand-in for systemctl starts a new root shell, as a system does when it leaves its initrd."""
    session("""
        import shlex
        machine.succeed(f"printf %s {shlex.quote(systemctl)} > /usr/bin/systemctl; chmod +x /usr/bin/systemctl")
        machine.switch_root()
        assert machine.connected and machine.succeed("cat /tmp/root") == "switched\\n"
        calls = machine.succeed("cat /tmp/systemctl-calls").splitlines()
        assert "initrd.target" in calls[0] and "isolate --no-block initrd-switch-root.target" in calls, calls
        machine.succeed("rm /usr/bin/systemctl")
    """, systemctl=SYSTEMCTL)


def test_the_state_directory_is_removed(session):
    session("""
        other = create_machine("true", name="other")
        (other.state_dir / "disk").touch()
        other.cleanup_statedir()
        assert not other.state_dir.exists() and machine.state_dir.exists()
        result = str(other.state_dir)
    """)
    log = harness.plain(session.err)
    assert "deleting machine state directory" in log
    assert "if you want to keep the machine state, pass --keep-machine-state" in log
