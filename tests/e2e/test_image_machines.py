"""What machines of create_image_machine() consist of, on real QEMU without an operating system: boot sectors and
firmware are the guests. Guests with sshd are in test_boot_image.py."""

import os
import re
import shutil
import socket

import pytest

import boot_images
import harness

FAST = {"TEST_VM_ACCEL": "tcg"}
IMPORTS = harness.ERROR_OF + """
import os
import re
from pathlib import Path
from test_driver.image_machine import ImageMachine
from test_driver.test_vm import Timeouts, create_test_vm, delete_test_vm, living_vms
"""


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("images")
    return {"raw": str(boot_images.make_raw(directory)), "qcow2": str(boot_images.make_qcow2(directory)),
            "iso": str(boot_images.make_iso(directory))}


def run(script, **named):
    env = {**FAST, **named.pop("env", {})}
    result = harness.run(IMPORTS + harness.textwrap.dedent(script), env=env, **named)
    assert "UserWarning" not in result.log
    return result


# ---- disks


def test_disks_are_vda_vdb_and_so_on_in_the_order_of_the_list(images):
    """Linux names virtio disks in the order of their PCI slots."""
    before = [open(images[kind], "rb").read() for kind in ("raw", "qcow2")]
    run(f"""
        disks = [{images["raw"]!r}, "64M", Path({images["qcow2"]!r}), "1GiB"]
        vm = create_image_machine(disks=disks, ssh=False, start=False)
        assert not list(vm.state_dir.glob("disk*"))
        vm.start()
        assert [path.name for path in vm.disk_paths] == ["disk0.qcow2", "disk1.img", "disk2.qcow2", "disk3.img"]
        sizes = [(path.stat().st_size, path.stat().st_blocks * 512 < 1 << 20) for path in vm.disk_paths]
        assert sizes[1] == (64 << 20, True) and sizes[3] == (1 << 30, True), sizes

        blocks = {{block["device"]: block["inserted"] for block in vm.qmp_client.send("query-block")["return"]
                  if block.get("inserted")}}
        assert list(blocks) == ["disk0", "disk1", "disk2", "disk3"], list(blocks)
        assert [blocks[f"disk{{n}}"]["drv"] for n in range(4)] == ["qcow2", "raw", "qcow2", "raw"]
        assert blocks["disk1"]["detect_zeroes"] == "unmap" and blocks["disk1"]["cache"]["no-flush"]
        assert blocks["disk0"]["image"]["backing-image"]["format"] == "raw"
        assert blocks["disk2"]["image"]["backing-image"]["format"] == "qcow2"

        buses = vm.qmp_client.send("query-pci")["return"]
        slots = [device["slot"] for bus in buses for device in bus["devices"] if device["id"]["device"] == 0x1001]
        assert slots == [8, 9, 10, 11], slots
        tree = vm.send_monitor_command("info qtree")
        found = [(int(slot, 16), drive) for slot, drive in
                 re.findall(r'addr = ([0-9a-f]+)\\.0(?:(?!dev: virtio-blk-pci)[\\s\\S])*?drive = "(disk\\d)"', tree)]
        assert sorted(found) == [(8, "disk0"), (9, "disk1"), (10, "disk2"), (11, "disk3")], found
        vm.wait_for_console_text("hello from the image")
        vm.wait_for_console_text("^written")
    """)
    assert before == [open(images[kind], "rb").read() for kind in ("raw", "qcow2")]


def test_the_iso_is_booted_first_and_has_no_name_of_a_disk(images):
    run(f"""
        with create_image_machine({images["iso"]!r}, [{images["raw"]!r}], "300M", 1, ssh=False) as vm:
            vm.wait_for_console_text("^not written")  # as on a CD
            slots = [device["slot"] for bus in vm.qmp_client.send("query-pci")["return"] for device in bus["devices"]
                     if device["id"]["device"] == 0x1001]
            assert slots == [8], slots
            assert vm.qmp_client.send("query-memory-size-summary")["return"]["base-memory"] == 300 << 20
            assert len(vm.qmp_client.send("query-cpus-fast")["return"]) == 1
        with create_image_machine(disks=[{images["iso"]!r}], ssh=False) as vm:  # as on a USB stick
            assert len(vm.qmp_client.send("query-cpus-fast")["return"]) == 2
            assert vm.disk_paths[0].name == "disk0.qcow2"
    """)


def test_a_machine_keeps_its_disks_when_it_starts_again(images):
    run(f"""
        with create_image_machine(disks=[{images["raw"]!r}], ssh=False, timeouts=Timeouts(stop=0.1)) as vm:
            vm.wait_for_console_text("^written")
            vm.shutdown()  # the guest ignores the power button
            before = vm.disk_paths[0].stat()
            vm.start()
            vm.wait_for_console_text("hello from the image")
            assert vm.disk_paths[0].stat().st_ino == before.st_ino
        assert not vm.state_dir.exists()
    """)


def test_wrong_arguments(images, tmp_path):
    (tmp_path / "text").write_bytes(b"some words\n")
    (tmp_path / "script").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "script").chmod(0o755)
    result = run(f"""
        directory = Path({str(tmp_path)!r})
        for arguments in [dict(iso=directory / "missing"), dict(iso={images["raw"]!r}), dict(disks=["4 gigabytes"]),
                          dict(disks=[directory / "text"]), dict(disks=[directory / "script"]), dict(memory="much"),
                          dict(memory="100K"), dict(memory=0), dict(firmware="coreboot"), dict(arch="vax"),
                          dict(nics=0), dict(name="a/b"), dict(name_prefix=""), dict(disks=["1M"] * 17),
                          dict(disks="4G"), dict(qemu_options="-snapshot")]:
            print(error_of(create_image_machine, **arguments))
        with create_image_machine(name="mine", ssh=False, start=False):
            print(error_of(create_image_machine, name="mine"))
        print(living_vms())
    """)
    expected = [
        r"FileNotFoundError: .*missing", r"ValueError: iso .* is no ISO, but a raw", "FileNotFoundError: disk 4 gigabytes: there is no such file, and a size is like '4G'",
        r"ValueError: image .*/text is no start script, disk image or ISO", "ValueError: disk .*script is a program",
        "ValueError: memory 'much': a number of MiB or a size such as '2G'", "ValueError: memory '100K'",
        "ValueError: memory 0", "ValueError: firmware 'coreboot': 'bios' and 'uefi' are known",
        "ValueError: arch 'vax' is not known", "ValueError: nics=0: SSH needs a network card",
        "ValueError: name 'a/b'", "ValueError: name_prefix ''", "ValueError: 17 disks: 16 are possible at most",
        r"ValueError: disks='4G': a list is needed, \['4G'\]", "ValueError: qemu_options='-snapshot': a list is needed",
        "ValueError: there is a test machine that is called 'mine'", r"\[\]",
    ]
    assert len(result.lines) == len(expected), result.out
    for pattern, line in zip(expected, result.lines):
        assert re.match(pattern, line), (pattern, line)


def test_programs_that_are_missing(images, tmp_path):
    (tmp_path / "qemu-system-x86_64").symlink_to(shutil.which("qemu-system-x86_64"))
    result = run(f"""
        os.environ["PATH"] = "/nowhere"
        print(error_of(create_image_machine))
        print(error_of(create_image_machine, arch="aarch64"))
        os.environ["PATH"] = {str(tmp_path)!r}
        print(error_of(create_image_machine, disks=[{images["raw"]!r}]))
    """)
    assert re.match(r"MachineError: qemu-system-x86_64 is not in PATH; .*Debian package qemu-system-x86\)", result.lines[0])
    assert re.match(r"MachineError: qemu-system-aarch64 .*Debian package qemu-system-arm\)", result.lines[1])
    assert re.match(r"MachineError: qemu-img is not in PATH; .*Debian package qemu-utils\)", result.lines[2])


# ---- firmware


def test_uefi_with_variables_of_its_own():
    result = run("""
        with create_image_machine(firmware="uefi", nics=0, ssh=False, timeouts=Timeouts(stop=0.1)) as vm:
            vm.wait_for_console_text("BdsDxe")
            words = vm.start_command._cmd.split()
            code = next(word for word in words if "unit=0" in word).rpartition("file=")[2]
            assert vm.efi_vars_path.parent == vm.state_dir and vm.efi_vars_path.stat().st_mode & 0o200
            drives = {block["inserted"]["file"]: block["inserted"] for block in vm.qmp_client.send("query-block")["return"]
                      if block.get("inserted")}
            assert drives[code]["ro"] and not drives[vm.efi_vars_path.name]["ro"], drives
            vm.shutdown()
            names = [variable.name for variable in vm.read_efi_vars()]
            assert "BootOrder" in names, names
            before = vm.efi_vars_path.stat().st_ino
            vm.start()
            assert vm.efi_vars_path.stat().st_ino == before
    """, seconds=200)
    assert "it has not powered off" in result.log


def test_firmware_that_is_missing(tmp_path):
    result = run("print(error_of(create_image_machine, firmware='uefi'))", env={"TEST_VM_FIRMWARE_DIR": tmp_path})
    assert re.match(rf"MachineError: there is no UEFI firmware for x86_64: {tmp_path}/OVMF_CODE_4M.fd and "
                    r"OVMF_VARS_4M.fd, which the Debian package ovmf has, .*; TEST_VM_FIRMWARE_DIR names another directory$",
                    result.lines[0]), result.out


def fake_qemu(directory, name):
    """A program in QEMU's place that prints its arguments and fails."""
    (directory / name).write_text('#!/bin/sh\nprintf "<%s>\\n" "$@"\nexit 1\n')
    (directory / name).chmod(0o755)


def test_firmware_of_other_architectures_and_beside_qemu(tmp_path):
    """Only the command line is tested, since not every host has the QEMU of the architecture."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "share/qemu").mkdir(parents=True)
    fake_qemu(tmp_path / "bin", "qemu-system-aarch64")
    for name in "edk2-aarch64-code.fd", "edk2-arm-vars.fd":
        (tmp_path / "share/qemu" / name).write_text(name)
        (tmp_path / "share/qemu" / name).chmod(0o444)  # as in a Nix store
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    result = run("""
        from test_driver import vm_firmware
        vm_firmware._PLACES = {arch: () for arch in vm_firmware._PLACES}
        vm = create_image_machine(arch="aarch64", firmware="uefi", start=False)
        error_of(vm.start)
        assert vm.efi_vars_path.read_text() == "edk2-arm-vars.fd" and os.access(vm.efi_vars_path, os.W_OK)
        print(vm.efi_vars_path.name)
    """, env={"PATH": path})
    words = re.findall("<(.*)>", result.log)
    pairs = list(zip(words, words[1:]))
    assert ("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={tmp_path}/share/qemu/edk2-aarch64-code.fd") in pairs
    assert ("-drive", f"if=pflash,format=raw,unit=1,file={result.lines[-1]}") in pairs and "-bios" not in words
    credential = next(word for word in words if word.startswith("type=11,"))
    assert credential.startswith("type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root=")


# ---- networks and SSH


def test_a_port_of_the_host_leads_to_the_guest(images):
    """QEMU itself binds it, so that no other process can take it meanwhile."""
    run(f"""
        from test_driver.ssh_key import run_key
        first, second = create_image_machine(disks=[{images["raw"]!r}]), create_image_machine(nics=2)
        assert first.ssh_port != second.ssh_port
        tables = [vm.send_monitor_command("info usernet") for vm in (first, second)]
        assert f"127.0.0.1 {{first.ssh_port}} " in tables[0] and tables[1].count("HOST_FORWARD") == 1
        assert "user.1" in tables[1]
        command = first.ssh_command("uptime")
        assert command[-4:] == ["-p", str(first.ssh_port), "root@127.0.0.1", "uptime"]
        key = Path(next(word for word in command if word.startswith("-i"))[2:])
        assert first.ssh_command(key="/a/key", user="bob")[-1] == "bob@127.0.0.1" and "-i/a/key" in first.ssh_command(key="/a/key")
        first.use_ssh("alice", key=f"{{key}}.pub", host="192.0.2.1", port=2222)
        assert first.ssh_command()[-4:] == ["-oIdentitiesOnly=yes", "-p", "2222", "alice@192.0.2.1"]
        assert f"-i{{key}}.pub" in first.ssh_command()
        assert key == run_key().private and key.stat().st_mode & 0o777 == 0o600
        assert run_key().public == Path(f"{{key}}.pub").read_text().strip()
        assert run_key().public.startswith("ssh-ed25519 ") and first.ssh_host_key is None
        print(key)
    """)


def test_the_runs_key_is_removed_at_the_end():
    script = "from test_driver.ssh_key import run_key\nprint(run_key().private)\nprint('now')\nimport threading; threading.Event().wait()\n"
    with harness.Run(IMPORTS + script) as running:
        running.wait_for("^now$")
        directory = running.directory / "tmp"
        keys = {path.name for path in directory.glob("ssh-key-*")}
        assert len(keys) == 2
        running.signal(harness.signal.SIGKILL)
        running.finish(seconds=10)
        assert harness.wait_until(lambda: not list(directory.glob("ssh-key-*")), harness.LEAVE_SECONDS)


def test_a_boot_that_shows_no_sshd_says_what_was_missing(images):
    """With the address that was tried, and the end of the console."""
    result = run(f"""
        vm = create_image_machine(disks=[{images["raw"]!r}], timeouts=Timeouts(boot=2))
        vm.wait_for_console_text("^written")
        print(vm.ssh_port)
        print(error_of(vm.succeed, "true"))
        vm.qmp_client.send("quit")
        print(error_of(vm.succeed, "true"))
    """)
    text = result.out.replace("\n", " ")
    assert re.search(rf"MachineTimeout: machine 'image-\w+': sshd at 127\.0\.0\.1:{result.lines[0]} did not answer in time "
                     r"\(2 seconds\).*last console lines:.*hello from the image", text), result.out


def test_ssh_without_a_user_network(images):
    result = run(f"""
        vm = create_image_machine(nics=0, ssh=False)
        assert "no port can be forwarded" in error_of(lambda: vm.ssh_port)
        assert "this needs a root shell in the guest" in error_of(vm.succeed, "true")
        vm.use_ssh(password="secret")
        print(error_of(vm.succeed, "true"))
        print(error_of(vm.use_ssh, host="localhost"))
        print(error_of(vm.use_ssh, key="/does/not/exist"))
    """)
    assert re.match(r"MachineError: machine 'image-\w+': no connection by SSH: ", result.lines[0]), result.out
    assert result.lines[1] == "ValueError: use_ssh(): host must be an IPv4 or IPv6 address, not 'localhost'"
    assert result.lines[2].startswith("FileNotFoundError: ") and "/does/not/exist" in result.lines[2]


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = run(f"""
            timeouts = Timeouts(start_tries=2, start_pause=0.1)
            print(error_of(create_image_machine, ssh_port={port}, timeouts=timeouts))
            print(living_vms())
        """)
    assert re.match(rf"MachineError: machine 'image-\w+': port {port} of 127\.0\.0\.1 cannot be forwarded to its sshd, since "
                    "it is taken; without ssh_port QEMU takes a free one", result.lines[0]), result.out
    assert result.lines[1] == "[]"
    assert result.log.count("start 1 of 2 failed, a port is taken") == 1


def test_two_machines_in_virtual_networks():
    """Network 7 belongs to the run, network 8 is made."""
    result = run("""
        first = create_image_machine(vlans=[7, 8], nics=0, ssh=False)
        second = create_image_machine(vlans=[vlan7], ssh=False)
        assert [vlan.nr for vlan in vlans] == [7, 8]
        tables = [vm.send_monitor_command("info network") for vm in (first, second)]
        for table, numbers in zip(tables, [(7, 8), (7,)]):
            for number in numbers:
                assert f"vlan{number}: index=0,type=vde,sock={vlans[number - 7].socket_dir}" in table, table
        assert "user.0" not in tables[0] and "user.0" in tables[1]
        print(*[address for table in tables for address in re.findall("macaddr=([0-9a-f:]*)", table)])
    """, vlans=[7])
    addresses = result.lines[-1].split()
    assert len(addresses) == len(set(addresses)) == 4


def test_reboots_do_not_end_the_machine(images):
    result = run(f"""
        vm = create_image_machine(disks=[{images["raw"]!r}], ssh=False)
        vm.wait_for_console_text("^written")
        vm.qmp_client.send("system_reset")
        vm.wait_for_console_text("^written")
        assert vm.booted
    """)
    assert "SHUTDOWN" not in result.log
