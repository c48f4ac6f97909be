"""Attributes of machines that scripts read and set, and methods that few scripts use, with fake machines.
test_guest_attributes.py tests those that need a real guest."""

import harness


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
