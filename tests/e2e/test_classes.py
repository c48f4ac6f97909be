"""The classes, used as by other test frameworks: scripts make and subclass machines, start commands and networks."""

import harness


# ---- machines


def test_a_subclass_of_the_machine_as_frameworks_write_it(fake, fakes):
    """The subclass has its own __init__() and replaces the start command after super().__init__()."""
    harness.run("""
        from test_driver.logger import AbstractLogger
        from test_driver.machine import BaseMachine, QemuMachine, QemuStartCommand

        class OtherStartCommand(QemuStartCommand):
            def cmd(self, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot=False, vsock_guest=None):
                line = super().cmd(monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot)
                return "FROM_CMD=yes " + line

        class OtherMachine(QemuMachine):
            PORT = 22

            def __init__(self, script: str, name: str, port: int, tmp_dir, out_dir, logger: AbstractLogger) -> None:
                self.before = 1
                super().__init__(out_dir=out_dir, tmp_dir=tmp_dir, start_command="replaced below", logger=logger, name=name)
                self.name = name
                self.port = port
                self.start_command = OtherStartCommand(script)

            def wait_for_unit(self, unit, user=None, timeout=900):
                raise NotImplementedError(f"wait_for_unit({unit!r})")

            def say(self):
                with self.nested("saying"):
                    return self.succeed(f"echo $FROM_CMD {self.port} {self.PORT} {self.before}")

        one = OtherMachine(SCRIPT, "one", 2222, machine.tmp_dir, machine.out_dir, driver.logger)
        assert repr(one) == "<OtherMachine 'one'>" and isinstance(one, QemuMachine) and isinstance(one, BaseMachine)
        assert one.state_dir == machine.tmp_dir / "vm-state-one" and one.state_dir.is_dir()
        assert (one.booted, one.pid, one.process) == (False, None, None)
        assert one.say() == "yes 2222 22 1\\n"
        try:
            one.wait_for_unit("x")
        except NotImplementedError as error:
            assert "'x'" in str(error)
        else:
            raise Exception("the method of the base class was called")
        try:
            one.name = "two"
        except AttributeError as error:
            assert "name" in str(error)
        else:
            raise Exception("renamed")
        print(one.pid)
    """.replace("SCRIPT", repr(fakes("one")["one"])), fake)


def test_how_machines_can_be_made(fake, tmp_path):
    """The class takes positional and keyword arguments of every generation; the name comes from the command."""
    harness.run("""
        from pathlib import Path
        from test_driver.machine import NixStartScript, StartCommand
        script = machine.start_command._cmd
        calls = []
        older = QemuMachine(Path(OUT), Path(BASE), NixStartScript("cd /; exec /x/run-older-vm"), log, "older", True, [calls.append])
        assert older.name == "older" and older.keep_vm_state and older.keep_machine_state and older.callbacks == [calls.append]
        assert older.out_dir == Path(OUT) and older.tmp_dir == Path(BASE) and older.shared_dir == Path(BASE) / "shared-xchg"
        unnamed = QemuMachine(tmp_dir=BASE, out_dir=OUT, start_command="/x/bin/run-a-b-vm", logger=driver.logger, name=None)
        assert unnamed.name == "a-b" and unnamed.start_command.machine_name == "a-b" and not unnamed.keep_machine_state

        class Plain(StartCommand):
            def __init__(self):
                self._cmd = script

        plain = QemuMachine(out_dir=OUT, tmp_dir=BASE, start_command=Plain(), logger=log, keep_vm_state=True)
        assert plain.name == "machine" and isinstance(plain.start_command, Plain)
        assert plain.succeed("echo $TMPDIR $SHARED_DIR $NIX_EFI_VARS").split() == [
            BASE + "/vm-state-machine", BASE + "/shared-xchg", BASE + "/vm-state-machine/machine-efi-vars.fd"]
        assert plain.monitor_path == Path(BASE) / "vm-state-machine/monitor"
    """.replace("BASE", repr(str(tmp_path))).replace("OUT", repr(str(tmp_path / "out"))), fake)


def test_commands_of_a_subclass(fake):
    """Methods run commands by the subclass' execute(), which a framework may need to reach its guests."""
    harness.run("""
        from test_driver.errors import RequestedAssertionFailed

        class Elsewhere(QemuMachine):
            asked = []

            def execute(self, command, check_return=True, check_output=True, timeout=900):
                self.asked.append((command, timeout))
                if "through" in command:
                    return super().execute(command, check_return, check_output, timeout)
                return (0, f"<{command}>") if "good" in command else (3, "")

        one = Elsewhere(driver.out_dir, machine.tmp_dir, machine.start_command._cmd, log, "one")
        assert one.succeed("good", "good too", timeout=7) == "<good><good too>" and one.fail("bad") == "" and not one.booted
        assert one.asked == [("good", 7.0), ("good too", 7.0), ("bad", None)]
        assert one.wait_until_succeeds("good ä") == "<good ä>" and one.systemctl("good") == (0, "<systemctl good>")
        try:
            one.succeed("bad")
        except RequestedAssertionFailed as error:
            assert str(error) == "command `bad` failed (exit code 3)"
        else:
            raise Exception("it succeeded")
        assert one.succeed("echo through to the guest") == "through to the guest\\n" and one.booted
    """, fake)


def test_state_of_an_own_machine(fake, tmp_path):
    (tmp_path / "vm-state-kept").mkdir()
    (tmp_path / "vm-state-kept/disk").write_text("x")
    harness.run("""
        kept = QemuMachine(TMP, TMP, "false", log, "kept", keep_machine_state=True)
        assert (kept.state_dir / "disk").read_text() == "x"
        wiped = QemuMachine(TMP, TMP, "false", log, "kept")
        assert not (wiped.state_dir / "disk").exists() and wiped.state_dir.stat().st_mode & 0o777 == 0o700
        wiped.cleanup_statedir()
        assert not wiped.state_dir.exists()
    """.replace("TMP", repr(str(tmp_path))), fake)


def test_wrong_arguments_of_a_machine(fake):
    harness.run(r"""
        import re
        from test_driver.errors import MachineError
        good = dict(out_dir=machine.out_dir, tmp_dir=machine.tmp_dir, start_command="true", logger=log, name="x")

        def error_of(**changes):
            try:
                QemuMachine(**{**good, **changes})
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            raise Exception(f"accepted: {changes}")

        assert error_of(out_dir=5).startswith("TypeError: QemuMachine() argument 'out_dir'")
        assert error_of(tmp_dir=None).startswith("TypeError: QemuMachine() argument 'tmp_dir'")
        assert re.match("TypeError: start_command must be", error_of(start_command=5))
        assert re.match("TypeError: name must be", error_of(name=5))
        assert re.match("ValueError: name: 'a/b'", error_of(name="a/b"))
        assert re.match("TypeError: callbacks must be", error_of(callbacks=5))
        assert re.match("TypeError: logger must be", error_of(logger=5))
        assert error_of(tmp_dir="/nonexistent/x").startswith("FileNotFoundError")
        assert "nosuch" in error_of(nosuch=1)

        class Early(QemuMachine):
            def __init__(self):
                assert repr(self) == "<Early '?'>" and not self.booted
                assert self.callbacks == [] and self.start_command
                for early in self.start, lambda: self.succeed("true"):
                    try:
                        early()
                    except MachineError as error:
                        assert "__init__() has not been called" in str(error)
                    else:
                        raise Exception("used before it was made")
                super().__init__(**good)
                try:
                    super().__init__(**good)
                except RuntimeError:
                    return
                raise Exception("made twice")

        Early()
    """, fake)


# ---- start commands


def test_start_commands_are_honoured(fake):
    """Each start uses what the script has assigned to _cmd or overridden."""
    harness.run("""
        from test_driver.machine import QemuStartCommand
        machine.start_command._cmd = "A='b c' " + machine.start_command._cmd
        assert machine.succeed("echo $A") == "b c\\n"
        machine.crash()
        machine.start_command._cmd = machine.start_command._cmd.replace("b c", "d")
        assert machine.succeed("echo $A") == "d\\n"
        machine.crash()

        class Own(QemuStartCommand):
            asked = []

            def cmd(self, monitor, qmp, shell, allow_reboot=False):
                self.asked.append(allow_reboot)
                assert (monitor, qmp, shell) == (machine.monitor_path, machine.qmp_path, machine.shell_path)
                return super().cmd(monitor, qmp, shell, allow_reboot)

            @staticmethod
            def build_environment(state_dir, shared_dir):
                assert (state_dir, shared_dir) == (machine.state_dir, machine.shared_dir)
                return {**QemuStartCommand.build_environment(state_dir, shared_dir), "OWN": "e", "USE_TMPDIR": "2"}

        machine.start_command = Own(machine.start_command._cmd)
        machine.start(allow_reboot=True)
        machine.start()
        assert machine.succeed("echo $A $OWN $USE_TMPDIR ${NIX_EFI_VARS##*/}") == "d e 2 machine-efi-vars.fd\\n"
        assert Own.asked == [True]
        machine.crash()
        start_all()
        assert Own.asked == [True, False] and machine.succeed("echo $OWN") == "e\\n"
    """, fake)


def test_start_commands_that_fail(fake, fakes):
    harness.run("""
        from test_driver.machine import QemuStartCommand

        class Broken(QemuStartCommand):
            def cmd(self, *arguments):
                return self.result()

        def error_of(function):
            try:
                function()
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            raise Exception("it started")

        a.start_command = broken = Broken("x")
        broken.result = lambda: 1 / 0
        assert error_of(a.start) == "ZeroDivisionError: division by zero"
        assert error_of(start_all) == "ZeroDivisionError: division by zero" and not b.booted
        broken.result = lambda: 5
        assert error_of(a.connect) == "TypeError: cmd() of the start command must return a str, not int"
        broken.result = lambda: "exit 3"
        assert "exited with code 3" in error_of(a.start)
        broken.build_environment = lambda *directories: []
        assert "build_environment() of the start command must return a dict" in error_of(a.start)

        class Growing:
            def __fspath__(self):
                grown.update({f"more{i}": "x" * 100 for i in range(len(grown), 10_000)})
                return "grown"

        grown = {Growing(): "1", "other": "2"}
        broken.build_environment = lambda *directories: grown
        broken.result = lambda: "test $grown$other = 12 && test -z $more5 && exit 4"
        assert "exited with code 4" in error_of(a.start)

        class Runner(QemuStartCommand):
            def run(self, *arguments):
                pass

        for wrong in "text", None, Runner("x"):
            assert error_of(lambda: setattr(a, "start_command", wrong)).startswith("TypeError: start_command")
        assert a.start_command is broken
        assert b.succeed("echo fine") == "fine\\n"
    """, fakes("a", "b"))


def test_a_start_command_can_be_run_by_the_script(fake):
    harness.run("""
        import socket
        from pathlib import Path
        command = type(machine.start_command)("exec " + machine.start_command._cmd)
        listeners = {}
        for name in "monitor", "shell":
            listeners[name] = socket.socket(socket.AF_UNIX)
            listeners[name].bind(f"{machine.state_dir}/own-{name}")
            listeners[name].listen()
        process = command.run(machine.state_dir, machine.shared_dir, machine.state_dir / "own-monitor",
                              machine.state_dir / "own-qmp", machine.state_dir / "own-shell", False)
        shell, _ = listeners["shell"].accept()
        assert b"backdoor" in shell.recv(100)
        process.kill()
        process.wait()
        for name in "monitor", "shell", "qmp":
            Path(f"{machine.state_dir}/own-{name}").unlink()
    """, fake)


def test_the_command_line_has_nothing_before_the_script(tiny):
    """`exec` is added only when the line is run, because scripts edit and compare the line."""
    harness.run("""
        line = machine.start_command.cmd("/m", "/q", "/s")
        assert line.startswith(machine.start_command._cmd + " -qmp "), line
        machine.start()
        assert "qemu-system" in os.readlink(f"/proc/{machine.pid}/exe")  # QEMU has replaced the shell
    """, tiny)


def test_the_vsock_device_of_a_machine(fake, fakes, tmp_path):
    """The script chooses the device's sockets; a start command made for older drivers gets no device."""
    harness.run("""
        from test_driver.machine import QemuStartCommand

        class Older(QemuStartCommand):
            def cmd(self, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot=False):
                return super().cmd(monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot)

        script = machine.start_command._cmd
        named = dict(logger=log, vsock_guest="/guest.sock", vsock_host="/host.sock")
        plain = QemuMachine(driver.out_dir, machine.tmp_dir, script, name="plain", **named)
        asked = QemuMachine(driver.out_dir, machine.tmp_dir, QemuStartCommand(script), name="asked", **named)
        older = QemuMachine(driver.out_dir, machine.tmp_dir, Older(script), name="older", **named)
        assert (str(plain.vsock_guest), str(plain.vsock_host)) == ("/guest.sock", "/host.sock")
        assert "/host.sock" in plain.ssh_backdoor_command() and machine.vsock_guest is None
        for one in plain, asked, older:
            one.start()
            arguments = open(f"/proc/{one.pid}/cmdline").read()
            assert ("id=vsock_ssh,path=/guest.sock" in arguments) is (one is not older), arguments
        half = QemuMachine(driver.out_dir, machine.tmp_dir, script, log, "half", vsock_guest="/guest.sock")
        assert half.vsock_host is None
    """, fake)


def test_the_older_name_of_waiting_for_a_unit(fake):
    harness.run("""
        class Noting(QemuMachine):
            def wait_for_unit(self, unit, user=None, timeout=900):
                units.append(unit)

        units = []
        Noting(driver.out_dir, machine.tmp_dir, machine.start_command._cmd, log, "noting").wait_for_job("one.service")
        assert units == ["one.service"]
    """, fake)
