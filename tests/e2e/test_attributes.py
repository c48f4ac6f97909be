"""Attributes of machines that scripts read and set, and methods that few scripts use."""

import pytest

import harness


# ---- on a fake machine


def test_attributes_of_a_machine_that_is_down(fake):
    harness.run("""
        import queue
        from pathlib import Path
        assert (machine.booted, machine.connected, machine.is_up()) == (False, False, False)
        assert machine.pid is machine.process is machine.shell is machine.monitor is machine.qmp_client is None
        assert machine.serial_thread is None and machine.full_console_log == []
        for path in (machine.out_dir, machine.tmp_dir, machine.shared_dir, machine.state_dir, machine.monitor_path,
                     machine.qmp_path, machine.shell_path, machine.efi_vars_path):
            assert isinstance(path, Path) and path.is_absolute(), path
        assert machine.state_dir == machine.tmp_dir / "vm-state-machine" and machine.shared_dir == machine.tmp_dir / "shared-xchg"
        assert machine.efi_vars_path == machine.state_dir / "machine-efi-vars.fd"
        assert isinstance(machine.last_lines, queue.Queue) and machine.last_lines.empty()
        assert machine.callbacks == [] and machine.keep_machine_state is machine.keep_vm_state is False
        try:
            machine.name = "another"
        except AttributeError as error:
            assert "the name of a machine cannot be changed" in str(error)
        else:
            raise Exception("the name could be set")
        machine.note = "of the script"
        assert machine.note == "of the script" and vars(machine) == {"note": "of the script"}
    """, fake)


def test_directories_can_be_set(fake, tmp_path):
    """Tests of installers set them so that one machine takes over the disks of another."""
    harness.run("""
        from pathlib import Path
        machine.state_dir = BASE + "/state"
        machine.shared_dir = Path(BASE) / "shared"
        machine.out_dir = BASE
        assert machine.state_dir == Path(BASE) / "state" and machine.out_dir == Path(BASE)
        assert machine.succeed("echo $TMPDIR $SHARED_DIR; pwd").split()[:2] == [BASE + "/state", BASE + "/shared"]
        assert Path(BASE, "shared").is_dir() and Path(BASE, "state/console.log").exists()
        second = create_machine(machine.start_command._cmd, name="second")
        second.state_dir = machine.state_dir
        machine.crash()
        assert second.succeed("echo $TMPDIR") == BASE + "/state\\n"
        for wrong in 5, None:
            try:
                machine.state_dir = wrong
            except TypeError as error:
                assert "state_dir" in str(error)
            else:
                raise Exception("accepted")
    """.replace("BASE", repr(str(tmp_path))), fake)


def test_attributes_that_only_tell_something_keep_what_a_script_sets(fake):
    harness.run("""
        from pathlib import Path
        machine.tmp_dir = Path("/other")
        machine.keep_vm_state = True
        machine.efi_vars = machine
        assert machine.tmp_dir == Path("/other") and machine.keep_machine_state is machine.keep_vm_state is True
        assert machine.efi_vars is machine and str(machine.state_dir).endswith("/vm-state-machine")
        machine.start()
        assert machine.tmp_dir == Path("/other") and machine.keep_machine_state
        value = object()
        machine.shell = machine.monitor = machine.qmp_client = value
        assert machine.shell is machine.monitor is machine.qmp_client is value
        machine.process.kill()
        machine.process.wait()
        assert machine.shell is value
        machine.start()
        assert machine.shell.fileno() >= 0 and machine.qmp_client.send("query-status")
        for name in "state_dir", "logger_", "monitor_path", "name":
            try:
                delattr(machine, name)
            except AttributeError:
                continue
            raise Exception(f"{name} could be deleted")
    """, fake)


def test_attributes_can_be_patched_for_a_while(fake):
    harness.run("""
        from unittest.mock import patch
        machine.succeed("true")
        pid = machine.process.pid
        for name in "process", "pid", "shell", "monitor", "qmp_client", "serial_thread", "last_lines", "tmp_dir", "efi_vars":
            before = repr(getattr(machine, name)) if name in ("pid", "tmp_dir") else type(getattr(machine, name))
            with patch.object(machine, name, 12):
                assert getattr(machine, name) == 12
            after = getattr(machine, name)
            assert before in (repr(after), type(after)), name
        with patch.object(vlan1, "nr", 12), patch.object(driver, "config", 13):
            assert (vlan1.nr, driver.config) == (12, 13)
        assert vlan1.nr == 1 and driver.config != 13 and machine.process.pid == pid
        machine.shell.send(b"echo by hand\\n")
        assert machine.shell.recv(20) == b"by hand\\n"
        machine.succeed("true")
    """, fake, vlans=[1])


def test_attributes_of_networks_and_the_log_can_be_set(fake):
    result = harness.run("""
        from test_driver.logger import AbstractLogger
        class Printer(AbstractLogger):
            def log(self, message, attributes={}):
                print(message)
            info = warning = error = debug = log_test_error = log
            nested = subtest = log_serial = print_serial_logs = None
        for name in "nr", "socket_dir", "pid", "process", "plug_process", "tap_name", "logger":
            setattr(vlan1, name, machine)
            assert getattr(vlan1, name) is machine
        log.logger_list = [Printer()]
        log.log("to the script's")
        assert len(log.logger_list) == 1
        log.logger_list = []
        log.log("to none")
        machine.succeed("true")
    """, fake, vlans=[1])
    assert result.lines == ["to the script's"] and "kill vlan" in result.log


def test_paths_can_be_set_before_a_start(fake, tmp_path):
    harness.run("""
        from pathlib import Path
        for name in "monitor", "qmp", "shell":
            setattr(machine, f"{name}_path", BASE + f"/{name}-of-mine")
        machine.efi_vars_path = Path(BASE) / "variables"
        machine.vsock_guest, machine.vsock_host = BASE + "/guest", None
        assert machine.succeed("echo $NIX_EFI_VARS") == BASE + "/variables\\n" and machine.shell_path == Path(BASE) / "shell-of-mine"
        assert sorted(os.listdir(BASE)) == ["monitor-of-mine", "qmp-of-mine", "shell-of-mine"]
        assert machine.vsock_guest == Path(BASE) / "guest" and BASE + "/guest" in machine.process.args
        assert machine.vsock_host is None and machine.efi_vars.state_path == Path(BASE) / "variables"
        for wrong in 5, None:
            try:
                machine.qmp_path = wrong
            except TypeError as error:
                assert "qmp" in str(error)
            else:
                raise Exception("accepted")
    """.replace("BASE", repr(str(tmp_path))), fake)


def test_connected_can_be_set(fake):
    """A script may read the root shell's greeting itself and then set `connected`. After crash() the attribute cannot
    be set."""
    result = harness.run("""
        machine.start()
        machine.connected = True
        assert machine.connected and machine.is_up() and machine.succeed("echo here") == "here\\n"
        machine.crash()
        machine.connected = True
        assert not machine.connected
    """, fake, env={"FAKE_BANNER": "no"})
    assert "connected to guest root shell" not in result.log


def test_another_logger_can_be_set(fake):
    result = harness.run("""
        from test_driver.logger import AbstractLogger, CompositeLogger
        from contextlib import contextmanager

        class Mine(AbstractLogger):
            def __init__(self):
                self.lines = []
            def log(self, message, attributes={}):
                self.lines.append(message)
            def log_serial(self, message, machine):
                self.lines.append(f"serial of {machine}: {message}")
            @contextmanager
            def nested(self, message, attributes={}):
                self.lines.append(message)
                yield
            subtest = nested
            info = warning = error = log
            def print_serial_logs(self, enable): ...
            def log_test_error(self, *args): ...

        mine, before = Mine(), machine.logger
        machine.logger = mine
        assert machine.logger is mine
        machine.log("from the script")
        machine.succeed("echo on the console >&2")
        machine.wait_for_console_text("on the console")
        machine.logger = before
        machine.log("back again")
        assert machine.logger is before and "back again" not in mine.lines
        for line in "from the script", "starting vm", "must succeed: echo on the console >&2", "serial of machine: on the console":
            assert line in mine.lines, mine.lines
        for wrong in 5, "x":
            try:
                machine.logger = wrong
            except TypeError:
                continue
            raise Exception("accepted")
    """, fake)
    assert "machine: back again" in result.log and "from the script" not in result.log and "starting vm" not in result.log


def test_a_queue_and_a_list_of_the_script_get_the_console_lines(fake):
    harness.run("""
        import queue
        machine.succeed("for i in 1 2 3; do echo line $i >&2; done")
        machine.wait_for_console_text("line 1")
        assert machine.last_lines is machine.last_lines
        machine.last_lines = mine = queue.Queue()
        machine.full_console_log = log = ["my own"]
        assert machine.last_lines is mine and mine.empty() and machine.full_console_log == log
        machine.succeed("echo later >&2; echo and last >&2")
        assert [mine.get(timeout=60), machine.last_lines.get(timeout=60)] == ["later", "and last"] and mine.empty()
        assert machine.full_console_log == ["my own", "later", "and last"]
        mine.put("put")
        assert mine.qsize() == 1 and mine.get() == "put"
        machine.crash()
        machine.start()
        assert machine.last_lines is not mine and "my own" not in machine.full_console_log
    """, fake)


def test_callbacks(fake):
    harness.run("""
        calls = []
        machine.callbacks.append(lambda: calls.append(machine.succeed("echo inner")))
        assert machine.succeed("echo a") == "a\\n" and calls == ["inner\\n"]
        machine.send_monitor_command("info version")
        assert calls == ["inner\\n"] * 2
        machine.callbacks.clear()
        machine.succeed("true")
        machine.callbacks = [lambda: calls.append("b"), lambda: 1 / 0]
        for function in machine.run_callbacks, lambda: machine.succeed("touch ran"), lambda: machine.send_monitor_command("x"):
            try:
                function()
            except ZeroDivisionError:
                continue
            raise Exception("a callback's exception was lost")
        assert calls[2:] == ["b"] * 3
        machine.callbacks = []
        machine.run_callbacks()
        assert machine.fail("test -e ran") == ""
        for wrong in None, 5, "x":
            try:
                machine.callbacks = wrong
            except TypeError as error:
                assert "callbacks" in str(error)
            else:
                raise Exception("accepted")
    """, fake)


def test_the_console_as_a_queue_and_as_a_list(fake):
    harness.run("""
        import queue, threading, time
        machine.succeed("for i in 1 2 3; do echo line $i >&2; done")
        machine.wait_for_console_text("line 1")
        lines = machine.last_lines
        assert lines.get(timeout=10) == "line 2" and machine.last_lines.get() == "line 3"
        assert lines.empty() and lines.qsize() == 0
        for get in lines.get_nowait, lambda: lines.get(block=False), lambda: lines.get(timeout=0.1):
            try:
                get()
            except queue.Empty:
                continue
            raise Exception("there was a line")
        threading.Timer(0.5, machine.execute, ["echo later >&2; echo and last >&2"]).start()
        assert lines.get() == "later"
        machine.wait_for_console_text("last")
        assert lines.empty()
        assert machine.full_console_log[-5:] == ["line 1", "line 2", "line 3", "later", "and last"]
        assert "\\n".join(machine.full_console_log) == machine.get_console_log()
        machine.succeed("echo x >&2; echo y >&2")
        while machine.last_lines.qsize() < 2:
            time.sleep(0.01)
        assert [lines.get(), lines.get()] == ["x", "y"]
        thread, process = machine.serial_thread, machine.process
        assert thread.is_alive() and process.poll() is None and process.pid == machine.pid
        thread.join(timeout=0.1)
        assert thread.is_alive()
        machine.crash()
        thread.join()
        assert not thread.is_alive() and process.poll() is not None
    """, fake)


def test_use_after_release(fake):
    harness.run("""
        from test_driver.errors import MachineError
        machine.release()
        assert machine.succeed("echo not yet") == "not yet\\n"
        pid = machine.pid
        machine.release()
        assert machine.pid is None and not machine.booted and not os.path.exists(f"/proc/{pid}")
        machine.callbacks.append(print)
        for use in (machine.start, machine.connect, lambda: machine.succeed("true"), lambda: machine.execute("true"),
                    lambda: machine.send_monitor_command("info"), lambda: machine.send_key("a"), start_all,
                    lambda: machine.wait_for_unit("x")):
            try:
                use()
            except MachineError as error:
                assert "machine 'machine' has been released" in str(error), error
            else:
                raise Exception("it could be used")
        machine.release()
        machine.shutdown()
        machine.wait_for_shutdown()
    """, fake)


def test_older_names_of_methods(fake, tmp_path):
    """copy_from_vm() gives a DeprecationWarning. The file is missing in a fake machine."""
    harness.run("""
        try:
            with machine._managed_screenshot():
                raise Exception("there is no screen")
        except RuntimeError as error:
            assert "QMP API is not ready yet" in str(error)
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                machine.copy_from_vm("/nonexistent")
            except Exception:
                pass
        assert [(one.category, str(one.message)) for one in caught] == [(DeprecationWarning, "Use copy_from_machine() instead")]
        assert driver.vhost_vsock is None
        from test_driver.config import DriverConfiguration, load_driver_configuration
        assert isinstance(driver.config, DriverConfiguration)
    """, fake)


# ---- on a real guest


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
