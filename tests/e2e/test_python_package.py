"""The package test_driver, its type stubs, and the program generate-driver-symbols."""

import ast
import builtins
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import harness

HERE = Path(__file__).parent
PACKAGES = harness.ROOT / "embed/py"
EXAMPLES = sorted((HERE / "examples").glob("*.py"))
needs_mypy = pytest.mark.skipif(not shutil.which("mypy"), reason="the package mypy is missing")

# The global names of scripts, in the order of upstream's drivers since 2026.
GENERAL = """start_all test_script machines machines_qemu machines_nspawn vlans driver log os create_machine subtest run_tests
    join_all retry serial_stdout_off serial_stdout_on polling_condition BaseMachine QemuMachine NspawnMachine t debug
    dump_machine_ssh
    """.split()


# ---- at run time


def test_a_driver_that_finds_no_package(tmp_path):
    shutil.copy(harness.DRIVER, tmp_path / "driver")
    result = harness.run("", driver=[tmp_path / "driver"], status=1)
    assert "the Python package test_driver is missing" in result.err


def test_the_modules_and_their_names(fake):
    harness.run("""
        import test_driver
        from test_driver.debug import Debug, DebugAbstract, DebugNop
        from test_driver.driver import Driver, load_driver_configuration
        from test_driver.efi import EfiVariable
        from test_driver.errors import MachineError, RequestedAssertionFailed
        from test_driver.logger import AbstractLogger, CompositeLogger, LogLevel
        from test_driver.machine import BaseMachine as B, Machine, NspawnMachine as N, QemuMachine as Q
        from test_driver.machine import QemuStartCommand, retry as r
        from test_driver.machine.qmp import QMPAPIError, QMPSession
        from test_driver.polling_condition import PollingCondition, PollingConditionError
        from test_driver.qmp import QMPAPIError as older
        from test_driver.vlan import VLan

        assert (B, Q, N, r) == (BaseMachine, QemuMachine, NspawnMachine, retry) and Machine is Q and older is QMPAPIError
        assert isinstance(driver, Driver) and isinstance(vlan1, VLan)
        assert isinstance(log, CompositeLogger) and isinstance(log, AbstractLogger)
        assert isinstance(machine, QemuMachine) and isinstance(machine, BaseMachine)
        assert not isinstance(machine, NspawnMachine) and issubclass(NspawnMachine, BaseMachine)
        assert issubclass(RequestedAssertionFailed, AssertionError) and issubclass(MachineError, Exception)
        assert issubclass(QMPAPIError, RuntimeError)
        log.set_log_level(LogLevel.WARNING)

        def typed(machine: QemuMachine, other: "BaseMachine | None" = None) -> Machine:
            return machine

        class Special(QemuMachine):
            pass

        assert typed(machine) is machine
        assert repr(machine) == "<QemuMachine 'machine'>" and repr(vlan1) == "<Vlan Nr. 1>"
    """, fake, vlans=[1])


def test_a_refused_qmp_command(tiny):
    harness.run("""
        from test_driver.machine.qmp import QMPAPIError
        machine.start()
        assert machine.qmp_client is not None
        try:
            machine.qmp_client.send("no-such-command")
        except QMPAPIError as error:
            assert error.class_name == "CommandNotFound" and error.transaction_id is None
            assert str(error) == "<QMP API error related to transaction None [CommandNotFound]: " \\
                "The command no-such-command has not been found>", str(error)
        else:
            raise Exception("it was accepted")
    """, tiny)


def test_start_commands():
    result = harness.run("""
        from pathlib import Path
        from test_driver.machine import QemuStartCommand

        class Quiet(QemuStartCommand):
            def cmd(self, *arguments, **named):
                return super().cmd(*arguments, **named) + " -quiet"

        command = Quiet("VAR=1 /nix/store/x/bin/run-my-server-vm")
        assert command.machine_name == "my-server" and QemuStartCommand("qemu -m 5").machine_name == "machine"
        command._cmd = command._cmd.replace("VAR=1", "VAR=2")
        print(command.cmd(Path("/s/monitor"), "/s/qmp", "/s/sh,ell", allow_reboot=True))
        print("-no-reboot" in command.cmd("/m", "/q", "/s"))
    """)
    options = "-qmp unix:/s/qmp,server=on,wait=off -monitor unix:/s/monitor -chardev socket,id=shell,path=/s/sh,,ell " \
        "-device virtio-serial -device virtconsole,chardev=shell -device virtio-rng-pci -serial stdio -nographic"
    assert result.lines == [f"VAR=2 /nix/store/x/bin/run-my-server-vm {options} -quiet", "True"]


def test_start_commands_of_2026():
    """Start commands of 2026 also take the sockets of the vsock device and the store of EFI variables."""
    harness.run("""
        from pathlib import Path
        from test_driver.machine import QemuStartCommand
        command = QemuStartCommand("printenv NIX_EFI_VARS OWN; cat; :")
        line = command.cmd("/m", "/q", "/s", False, vsock_guest=Path("/v,w"))
        assert "-chardev socket,id=vsock_ssh,path=/v,,w -device vhost-user-vsock-pci,chardev=vsock_ssh" in line
        assert "vsock" not in command.cmd("/m", "/q", "/s")
        here, there = Path("/here"), Path("/there")
        assert QemuStartCommand.build_environment(here, there, Path("/efi"))["NIX_EFI_VARS"] == "/efi"
        assert "NIX_EFI_VARS" not in QemuStartCommand.build_environment(here, there)

        class Older(QemuStartCommand):
            @staticmethod
            def build_environment(state_dir, shared_dir):
                return QemuStartCommand.build_environment(state_dir, shared_dir) | {"OWN": "own"}

        for one, output in (command, b"/efi\\n"), (Older(command._cmd), b"own\\n"):
            process = one.run("/", "/", "/m", "/q", "/s", False, efi_vars_path="/efi", vsock_guest="/v")
            assert process.communicate()[0] == output and process.returncode == 0
    """)


def test_names_that_scripts_import(fake):
    """Scripts import names from the modules of all generations of upstream's driver."""
    harness.run("""
        import unittest
        from test_driver import config
        from test_driver.driver import AssertionTester, MachineConfiguration, NodeConfiguration, get_tmp_dir, pythonize_name
        from test_driver.logger import JunitXMLLogger, Logger, XMLLogger, rootlog
        from test_driver.machine import CHAR_TO_KEY, make_command
        assert get_tmp_dir() == machine.tmp_dir and rootlog is log
        assert NodeConfiguration is MachineConfiguration is config.NodeConfiguration
        assert isinstance(t, AssertionTester) and issubclass(AssertionTester, unittest.TestCase)
        assert [pythonize_name(name) for name in ("a-b.c", "1a", "_x", "Az9", "[")] == ["a_b_c", "_a", "_x", "Az9", "_"]
        assert make_command(["echo", 5, "a b", "it's", machine.tmp_dir]) == f"echo 5 'a b' 'it'\\"'\\"'s' {machine.tmp_dir}"
        keys = {"A": "shift-a", "-": "0x0C", "_": "shift-0x0C", "?": "shift-0x35", ")": "shift-0x0B", " ": "spc", "\\n": "ret"}
        assert keys.items() <= CHAR_TO_KEY.items() and len(CHAR_TO_KEY) == 26 + 2 + 11 + 21
        import test_driver.driver, test_driver.logger
        for module in test_driver.driver, test_driver.logger:
            assert not hasattr(module, "no_such_name")
    """, fake)


def test_driver_configurations_can_be_read(fake):
    result = harness.run("""
        from test_driver.driver import load_driver_configuration
        config = load_driver_configuration(os.path.join(driver.out_dir, "../config.json"))
        print(config.vms["machine"].name, config.vms["machine"].start_script.name, config.containers, config.vlans)
        print(config.global_timeout, config.enable_ssh_backdoor, config.test_script.name)
    """, fake, vlans=[3, 4])
    assert result.lines == ["machine run-machine-vm {} [3, 4]", "0:05:00 False script.py"]


# ---- generate-driver-symbols


def test_the_list_of_symbols(tmp_path):
    program = harness.DRIVER.parent / "generate-driver-symbols"
    subprocess.run([program], cwd=tmp_path, check=True)
    text = (tmp_path / "driver-symbols").read_text()
    assert re.fullmatch(r"\w+(,\w+)*", text)
    names = text.split(",")
    assert [name for name in names if name in GENERAL] == GENERAL
    shown = harness.run("").out.split("\n")[3]
    assert shown.strip().split(", ") == names
    assert list(tmp_path.iterdir()) == [tmp_path / "driver-symbols"]


def test_symbols_that_cannot_be_written(tmp_path):
    (tmp_path / "driver-symbols").mkdir()
    done = subprocess.run([harness.DRIVER.parent / "generate-driver-symbols"], cwd=tmp_path, stderr=subprocess.PIPE)
    assert done.returncode == 1 and b"driver-symbols" in done.stderr


# ---- type stubs


def test_the_stubs_are_what_is_there():
    result = harness.run((HERE / "compare_stubs.py").read_text())
    assert re.fullmatch(r"compared \d\d modules", result.lines[-1])
    assert (PACKAGES / "test_driver/py.typed").exists()


def mypy(tmp_path, *arguments):
    """Runs mypy and returns its exit status and output."""
    done = subprocess.run(
        ["mypy", "--no-implicit-optional", "--cache-dir", tmp_path / "cache", *arguments], cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "MYPYPATH": str(PACKAGES)}, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout


def machine_names(script):
    """Returns the names of a script's machines: names that the script uses but does not bind and that are not
    GENERAL."""
    tree = ast.parse(script)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {(alias.asname or alias.name).partition(".")[0] for node in ast.walk(tree)
              if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names}
    return sorted({node.id for node in names} - bound - set(dir(builtins)) - set(GENERAL) - {"Machine"})


def with_prologue(script):
    declarations = "".join(f"{name}: QemuMachine\n" for name in machine_names(script))
    return (HERE / "prologue.py").read_text() + declarations + script


EVERYTHING = '''
import datetime as dt
import uuid
from test_driver.efi import EfiVariable
from test_driver.errors import MachineError, RequestedAssertionFailed
from test_driver.machine.qmp import QMPAPIError

start_all()
machine.wait_for_unit("multi-user.target", timeout=dt.timedelta(minutes=5))
machine.wait_for_open_port(22, "localhost", 30)
status, output = machine.execute("true", timeout=None, check_return=False)
text: str = output + machine.succeed("a", "b", timeout=5) + machine.fail("false")
lines = machine.get_unit_info("x")["ActiveState"].splitlines()
(machine.out_dir / "x.png").exists() or machine.state_dir.iterdir()
with subtest("one"), machine.nested("two"), log.nested("three"):
    t.assertEqual(status, 0)
    t.assertIn("x", lines)
with t.assertRaises(RequestedAssertionFailed) as caught:
    machine.succeed("false")
assert "exit code" in str(caught.exception)
retry(lambda last: "x" in machine.succeed("y"), timeout_seconds=5)


@polling_condition
def holds() -> bool:
    "it holds"
    return True


@polling_condition(seconds_interval=5.0, description="other")
def holds_too() -> None:
    machine.succeed("true")


with holds, holds_too:
    holds.wait(timeout=5)
machine.send_key("ctrl-alt-f2")
machine.send_chars("text\\n", delay=0.1)
machine.wait_until_tty_matches("2", "login")
machine.screenshot("name")
assert machine.qmp_client
reply = machine.qmp_client.send("input-send-event", {"events": [{"type": "key"}]})["return"]
event = machine.wait_for_qmp_event(lambda e: e["event"] == "DEVICE_DELETED", timeout=120)
machine.create_efi_vars()
machine.write_efi_vars([EfiVariable(uuid.UUID(int=1), "n", b"d", flags=EfiVariable.Flags.RUNTIME_ACCESS)])
names = [variable.name for variable in machine.read_efi_vars()]
created = create_machine("run-x-vm", name="x", keep_machine_state=True)
created.start(allow_reboot=True)
created.connected = False
created.copy_from_machine("/etc/passwd", "etc")
for one in machines:
    one.shutdown()
debug.breakpoint(port=5555)
machine.shell_interact()
machine.shell_interact("tcp:127.0.0.1:4444")
machine.console_interact()
text = machine.ssh_backdoor_command() + str(machine.vsock_host)
dump_machine_ssh()
driver.reload()
print([vlan.nr for vlan in vlans], driver.out_dir / "x", os.environ["HOME"])


def helper(m: Machine, other: BaseMachine) -> int:
    try:
        return m.execute("x")[0] + other.execute("y")[0]
    except (MachineError, QMPAPIError):
        return 1
'''

WRONG = {
    'machine.wait_for_unitt("x")': "attr-defined",
    "machine.succeed(5)": "arg-type",
    "machine.wait_for_open_port(2.5)": "arg-type",
    'machine.succeed("x", timeout=[5])': "arg-type",
    'machine.execute("x") + 1': "operator",
    'machine.name = "x"': "misc",
    'machine.shell.send(b"x")': "union-attr",
    "driver.machines.clearr()": "attr-defined",
    "debug.breakpoint(port='x')": "arg-type",
    "retry(5)": "arg-type",
    "log.set_log_level(3)": "arg-type",
}


@needs_mypy
def test_mypy_accepts_scripts(tmp_path):
    for path in EXAMPLES:
        (tmp_path / path.name).write_text(with_prologue(path.read_text()))
    (tmp_path / "everything.py").write_text(with_prologue(EVERYTHING))
    status, output = mypy(tmp_path, "--check-untyped-defs", *tmp_path.glob("*.py"))
    assert status == 0, output


@needs_mypy
def test_mypy_refuses_wrong_scripts(tmp_path):
    script = with_prologue("\n".join(WRONG) + "\n")
    (tmp_path / "wrong.py").write_text(script)
    status, output = mypy(tmp_path, "wrong.py")
    found = {script.splitlines()[int(line) - 1]: kind
             for line, kind in re.findall(r"^wrong.py:(\d+): error: .*\[([\w-]+)\]$", output, re.M)}
    assert (status, found) == (1, WRONG), output


@needs_mypy
def test_mypy_accepts_the_stubs_themselves(tmp_path):
    status, output = mypy(tmp_path, "--strict", "-p", "test_driver")
    assert status == 0, output
