"""Arguments of machines' methods: where upstream formats an argument into a command, any object that formats the same
works here, too."""

import harness


def test_numbers_as_text(fake):
    harness.run(harness.ERROR_OF + """
import enum, socket

class Port(enum.IntEnum):
    HTTP = 8080

with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    for number in str(port), f" {port}", port:
        machine.wait_for_open_port(number, "127.0.0.1")
    machine.wait_for_open_port(port=str(port), timeout="20")
for number in str(port), Port.HTTP:
    machine.wait_for_closed_port(number, timeout="5s")
machine.sleep("0.01")
machine.sleep("0.001m")
assert machine.execute("sleep 30", timeout="0.1") == machine.execute("sleep 30", timeout=0.1) == (124, "")
for seconds in "5", "1m", "1h", "1d", "1.5s", "inf", None:
    assert machine.succeed("echo a", timeout=seconds) == "a\\n"
assert "timeout=0.1" in error_of(machine.wait_until_succeeds, "false", timeout="0.1")
machine.send_key("a", delay="0.01")
""", fake)


def test_what_stands_for_text(fake, tmp_path):
    (tmp_path / "command").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "command").chmod(0o755)
    harness.run("""
import enum, ipaddress
from pathlib import Path, PurePosixPath

class Unit(enum.StrEnum):
    SHELL = "x.service"

class Command:
    def __str__(self):
        return "echo own"

class Subclass(str):
    pass

directory = Path(DIRECTORY)
command = directory / "command"
assert machine.succeed(command, Command(), Subclass("echo sub")) == "ran\\nown\\nsub\\n"
assert machine.execute(command) == (0, "ran\\n") and machine.wait_until_succeeds(command) == "ran\\n"
machine.wait_for_file(PurePosixPath("/proc/version"))
machine.wait_for_file(command, timeout=5)
machine.wait_for_closed_port(1, ipaddress.ip_address("127.0.0.1"))
machine.systemctl(Path("/x"), Subclass("nobody"))
machine.start_job(Unit.SHELL)
machine.get_tty_text(Path("1"))
machine.copy_from_host_via_shell(command, directory / "copy")
assert (directory / "copy").read_bytes() == command.read_bytes()
machine.log(5)
machine.log(msg=["by keyword"])
machine.log_serial(msg="a line")
with machine.nested(msg=command, attrs={"a": "b"}):
    pass
""".replace("DIRECTORY", repr(str(tmp_path))), fake)
