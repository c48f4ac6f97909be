"""The SSH backdoor. Debian has no vhost-device-vsock: a stand-in on PATH writes down its arguments and makes the
sockets; the fake machine, behind a start script that writes down its arguments, does not use them."""

import os
import re

import pytest

import harness

SERVER = """#!/usr/bin/python3 -IS
import os, signal, socket, sys
path = os.environ["STAND_IN"]
with open(path, "a") as file:
    file.write("".join(f"{word}\\n" for word in sys.argv[1:]))
if os.environ.get("STAND_IN_FAILS"):
    sys.exit("stand-in: cannot")
held = []
for vm in sys.argv[2::2]:
    values = dict(value.split("=", 1) for value in vm.split(","))
    for key in "uds-path", "socket":
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].bind(values[key])
        held[-1].listen()
signal.pause()
"""


class BackdoorRun(harness.Run):
    """A run whose configuration enables the backdoor."""

    def json_arguments(self):
        arguments = super().json_arguments()
        path = self.directory / "config.json"
        path.write_text(path.read_text().replace('"enable_ssh_backdoor": false', '"enable_ssh_backdoor": true'))
        return arguments


@pytest.fixture
def stand_in(tmp_path):
    """The environment of a run that finds the stand-in on PATH."""
    program = tmp_path / "bin/vhost-device-vsock"
    program.parent.mkdir()
    program.write_text(SERVER)
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", "STAND_IN": str(tmp_path / "arguments")}


@pytest.fixture
def noting(tmp_path, fakes):
    """Start scripts of two machines that write their arguments to NAME.arguments."""
    scripts = {}
    for name in "web", "a-b":
        path = tmp_path / f"run-{name}-vm"
        path.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/{name}.arguments\n"
                        f"exec {fakes(name)[name]} \"$@\"\n")
        path.chmod(0o755)
        scripts[name] = str(path)
    return scripts


def finished(run, status=0):
    with run:
        result = run.finish()
        if result.status != status:
            run.fail(f"exit status {result.status}")
    return result


def test_one_process_serves_all_machines(noting, stand_in, tmp_path):
    result = finished(BackdoorRun("""
        import stat
        start_all()
        for m in machines:
            print(m.name, m.vsock_guest, m.vsock_host, m.ssh_backdoor_command())
            assert stat.S_IMODE(os.stat(m.vsock_host.parent).st_mode) == 0o700
        dump_machine_ssh()
        other = create_machine("run-other-vm")
        try:
            other.ssh_backdoor_command()
        except Exception as error:
            print(type(error).__name__, error)
        print(other.vsock_host, other.ssh_backdoor_command(7))
        assert machines[0].ssh_backdoor_command(7) == machines[0].ssh_backdoor_command()
    """, noting, env=stand_in))
    sockets = {name: (guest, host) for name, guest, host, *_ in map(str.split, result.lines[:2])}
    # The addresses count from 3, in the order of the machines' names.
    assert (tmp_path / "arguments").read_text().splitlines() == [
        word for number, name in enumerate(["a-b", "web"], 3)
        for word in ("--vm", "guest-cid={},socket={},uds-path={}".format(number, *sockets[name]))]
    for name, (guest, host) in sockets.items():
        assert (tmp_path / f"{name}.arguments").read_text().splitlines()[-6:] == [
            "-no-reboot", "-chardev", f"socket,id=vsock_ssh,path={guest}",
            "-device", "vhost-user-vsock-pci,chardev=vsock_ssh", "-nographic"]
        assert f"{name} {guest} {host} ssh -o User=root vsock-mux/{host}" in result.lines
    listing = ["SSH backdoor enabled, the machines can be accessed like this:",
               f"    a-b:  ssh -o User=root vsock-mux/{sockets['a-b'][1]}",
               f"    web:  ssh -o User=root vsock-mux/{sockets['web'][1]}"]
    before, _, after = result.out.partition("additionally exposed symbols:")
    for text in before, after:
        lines = text.splitlines()
        assert [line for line in lines if line in listing] == listing
        assert any("systemd-ssh-proxy" in line for line in lines)
    assert "start vhost-device-vsock" in result.log and "kill vhost-device-vsock" in result.log
    assert "other: the SSH backdoor does not reach machines made by create_machine()" in result.log
    assert result.lines[-2].startswith("MachineError machine 'other' has no SSH backdoor") and \
        result.lines[-1] == "None ssh -o User=root vsock/7"


def test_the_program_is_missing(fake):
    result = finished(BackdoorRun("print('never')", fake), status=1)
    assert "error: SSH backdoor: vhost-device-vsock is not on PATH" in result.err and "never" not in result.out


def test_the_program_fails(fake, stand_in):
    result = finished(BackdoorRun("print('never')", fake, env={**stand_in, "STAND_IN_FAILS": "1"}), status=1)
    assert "error: SSH backdoor: vhost-device-vsock exited with code 1" in result.err and "cannot" in result.err


def test_the_program_dies_later(fake, stand_in):
    result = finished(BackdoorRun("""
        import time

        def contents(path):
            try:
                return open(path, "rb").read()
            except OSError:  # the process has ended
                return b""

        pid, = [int(pid) for pid in os.listdir("/proc") if pid.isdigit()
                and b"vhost-device-vsock\\0--vm" in contents(f"/proc/{pid}/cmdline")
                and os.environ["NTD_E2E"].encode() in contents(f"/proc/{pid}/environ")]
        os.kill(pid, 9)
        time.sleep(0.5)
        print("the test goes on")
    """, fake, env=stand_in))
    assert "vhost-device-vsock was killed by signal 9 (Killed): the SSH backdoor is gone" in result.log
    assert result.lines == ["the test goes on"]


def test_nothing_is_left_of_a_killed_driver(fake, stand_in):
    with BackdoorRun("machine.start()\nprint('now')\nimport time; time.sleep(1000)", fake, env=stand_in) as run:
        run.wait_for("^now")
        run.signal(9)
        assert run.finish().status == 137


def test_without_machines_there_is_none(stand_in, tmp_path):
    result = finished(BackdoorRun("dump_machine_ssh()", env=stand_in))
    assert not (tmp_path / "arguments").exists()
    assert result.lines == ["The SSH backdoor is not enabled in the configuration."]


def test_a_name_with_a_comma(fakes, stand_in):
    result = finished(BackdoorRun("", {"a,b": fakes("web")["web"]}, env=stand_in), status=1)
    assert "machine 'a,b': vhost-device-vsock takes no name with a comma" in result.err


# ---- vsock devices of the kernel: --dump-vsocks


def test_dump_vsocks(noting):
    result = harness.run("""
        print(web.ssh_backdoor_command())
        a_b.start()
        assert a_b.vsock_host is None
    """, noting, style="options", options=["--dump-vsocks", "10"])
    listing = result.out.partition("additionally exposed symbols:")[0]
    assert re.search(r"^SSH backdoor enabled, the machines can be accessed like this:\n.*\n"
                     r"    a-b:  ssh -o User=root vsock/11\n    web:  ssh -o User=root vsock/12\n", listing, re.M)
    assert result.lines == ["ssh -o User=root vsock/12"]


def test_the_listing_is_aligned(fakes):
    result = harness.run("", fakes("a", "long-name"), options=["--dump-vsocks=1"])
    assert "    a:          ssh -o User=root vsock/2\n    long-name:  ssh -o User=root vsock/3\n" in result.out
