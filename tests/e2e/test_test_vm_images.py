"""Test machines from disks and ISOs, on real QEMU, and files that are no image."""

import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess

import pytest

import boot_images
import harness
from test_test_vm import IMPORTS, assert_cleaned, state_directories

FAST = {"TEST_VM_ACCEL": "tcg"}


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("images")
    return {"raw": boot_images.make_raw(directory), "qcow2": boot_images.make_qcow2(directory),
            "iso": boot_images.make_iso(directory)}


def run(script, **named):
    env = {**FAST, **named.pop("env", {})}
    return harness.run(IMPORTS + harness.textwrap.dedent(script), env=env, **named)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind, writes", [("raw", "written"), ("qcow2", "written"), ("iso", "not written")])
def test_images_boot_and_stay_as_they_are(images, kind, writes):
    before, image = digest(images[kind]), str(images[kind])
    result = run(f"""
        with create_test_vm(image={image!r}, cpus=2, memory=200, timeouts=Timeouts(stop=0.1)) as vm:
            vm.wait_for_console_text("hello from the image")
            vm.wait_for_console_text("^{writes}")
            assert "this needs a root shell in the guest" in error_of(vm.succeed, "true")
            assert vm.qmp_client.send("query-memory-size-summary")["return"]["base-memory"] == 200 << 20
            assert len(vm.qmp_client.send("query-cpus-fast")["return"]) == 2
            port = vm.ssh_port
            assert port == vm.ssh_port and 1024 <= port < 65536
            words = vm.ssh_command("uptime", key="/the/key")
            assert words[0] == "ssh" and words[-4:] == ["-p", str(port), "root@127.0.0.1", "uptime"], words
            vm.shutdown()  # the guest ignores the power button
            assert not vm.booted
            vm.start()  # the same overlay is used again
            vm.wait_for_console_text("hello from the image")
    """)
    assert result.log.count(": it has not powered off within 0.1 s; QEMU is ended\n") == 1
    assert digest(images[kind]) == before


def test_two_machines_from_one_disk(images):
    run(f"""
        with TestVMManager(image={str(images["qcow2"])!r}) as vms:
            for vm in vms.create_many(2):
                vm.wait_for_console_text("^written")
    """)


def test_a_killed_driver_leaves_no_overlay(images):
    script = IMPORTS + f"vm = create_test_vm(image={str(images['raw'])!r})\nvm.wait_for_console_text('written')\n"
    with harness.Run(script + "assert (vm.state_dir / 'disk.qcow2').exists()\nprint('now')\nvm.wait_for_shutdown()",
                     env=FAST) as run:
        run.wait_for("^now$")
        assert len(state_directories(run)) == 1
        run.signal(signal.SIGKILL)
        run.finish(seconds=10)
        assert_cleaned(run)


def kernel_options(script):
    """Returns QEMU's options for the kernel from a start script that make-vm has written."""
    variables, common, _ = script.read_text().partition("# This part is the same for all virtual machines")
    assert common, "the start script does not say where its variables end"
    show = f'{variables}\nprintf "%s\\n" "$kernel" "$initrd" "$parameters"'
    kernel, initrd, parameters = subprocess.run(
        ["bash", "-c", show], stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    return ["-kernel", kernel, "-initrd", initrd, "-append", parameters]


def test_a_disk_whose_guest_has_a_root_shell(guests, images):
    options = kernel_options(harness.Path(guests.tiny()))
    run(f"""
        with create_test_vm({str(images["raw"])!r}, root_shell=True, qemu_options={options!r}) as vm:
            assert vm.succeed("cat /sys/class/block/vda/size") == "2048\\n"
            vm.succeed("echo changed > /dev/vda; sync")
            assert vm.succeed("head -c 7 /dev/vda") == "changed"
            vm.shutdown()
            vm.start()
            assert vm.succeed("head -c 7 /dev/vda") == "changed"  # the guest sees its overlay
    """, seconds=120)
    assert images["raw"].read_bytes()[:7] != b"changed"


def test_a_guest_of_a_start_script(guests):
    run(f"""
        import socket
        with create_test_vm({guests.tiny()!r}, memory=300, user="alice") as vm:
            vm.user = None
            vm.succeed("echo alice:x:1000:1000::/tmp:/bin/sh >> /etc/passwd")
            vm.user = "alice"
            assert vm.succeed("id -u; pwd") == "1000\\n/tmp\\n"
            vm.wait_for_file("/proc/version")
            vm.fail("cat /proc/kmsg")
            assert vm.qmp_client.send("query-memory-size-summary")["return"]["base-memory"] == 300 << 20
            assert vm.ssh_command()[-1] == "alice@127.0.0.1"
            vm.user = None
            vm.succeed("echo it leads to port 22 | nc -N -l 22 > /dev/null 2>&1 &")
            vm.wait_until_succeeds("grep -q ':0016 ' /proc/net/tcp", timeout=30)
            with socket.create_connection(("127.0.0.1", vm.ssh_port)) as connection:
                assert connection.makefile().read() == "it leads to port 22\\n"
            vm.shutdown()
        assert "arch and accel are for disk images" in error_of(create_test_vm, {guests.tiny()!r}, arch="x86_64")
    """, env={"TEST_VM_ACCEL": ""}, seconds=120)


# ---- files that are no image


def test_wrong_images(tmp_path):
    for name, data in [("text", b"some words\n"), ("empty", b""), ("script", b"#!/bin/sh\n"),
                       ("vmdk", b"KDMV".ljust(512)), ("gz", b"\x1f\x8b".ljust(512)),
                       ("torn.qcow2", b"QFI\xfb\0\0\0\3".ljust(512, b"\0"))]:
        (tmp_path / name).write_bytes(data)
    result = run(f"""
        for image in "text", "empty", "script", "vmdk", "gz", "torn.qcow2", "missing", ".":
            print(error_of(create_test_vm, Path({str(tmp_path)!r}) / image))
        print(error_of(create_test_vm))
        print(error_of(create_test_vm, 5))
        print(error_of(create_test_vm, "/", arch="vax"))
        assert not list(driver.tmp_dir.glob("vm-state-*"))
    """)
    expected = [
        r"ValueError: image .*/text is no start script, disk image or ISO: .* this file has 11 bytes",
        r"ValueError: image .*/empty is no start script",
        r"ValueError: image .*/script is a program, but not executable",
        r"ValueError: image .*/vmdk is in the format VMDK; qemu-img convert -O qcow2 makes one that can be used",
        r"ValueError: image .*/gz is compressed",
        r"MachineDied: machine 'test-vm-\w+': QEMU process exited with code 1 before connecting",
    ]
    for pattern in expected:
        assert re.search(f"^{pattern}", result.out, re.M), pattern
    assert "qemu-img: disk.qcow2: " in result.out and "next try" not in result.log
    for pattern in [r"FileNotFoundError: .*missing", r"ValueError: image .* is a directory",
                    r"ValueError: no image: give one", r"TypeError: expected str, bytes or os.PathLike object, not int"]:
        assert re.search(f"^{pattern}", result.out, re.M), pattern


def test_programs_that_are_missing(images):
    result = run(f"""
        os.environ["PATH"] = "/nowhere"
        print(error_of(create_test_vm, {str(images["raw"])!r}))
        print(error_of(create_test_vm, {str(images["raw"])!r}, arch="arm64"))
        print(error_of(create_test_vm, {str(images["raw"])!r}, arch="vax"))
    """)
    assert result.lines[0].startswith("MachineError: qemu-system-x86_64 is not in PATH")
    assert result.lines[1].startswith("MachineError: qemu-system-aarch64 is not in PATH")
    assert result.lines[2] == "ValueError: arch 'vax' is not known; there are x86_64, i386, aarch64"


# ---- start commands


@pytest.fixture
def qemu_of(tmp_path):
    """A function that makes programs which print their arguments and fail. It returns a PATH with them."""
    def make(*names):
        for name in names:
            (tmp_path / name).write_text('#!/bin/sh\necho "called:"; printf "<%s>\\n" "$@"\nexit 1\n')
            (tmp_path / name).chmod(0o755)
        return f"{tmp_path}:{os.environ['PATH']}"

    return make


def test_other_architectures(images, qemu_of):
    """Only the command line is tested, since not every host has the QEMU of the architecture."""
    result = run(f"""
        print(error_of(create_test_vm, {str(images["iso"])!r}, arch="aarch64-linux", qemu_options=["-foo", "a b"]))
    """, env={"PATH": qemu_of("qemu-system-aarch64"), "TEST_VM_ACCEL": ""})
    words = re.findall("<(.*)>", result.log)
    for pair in ("-machine", "virt"), ("-m", "1024"), ("-accel", "tcg"), ("-foo", "a b"), ("-serial", "stdio"):
        assert pair in zip(words, words[1:]), pair
    assert "virtio-scsi-pci" in words and "scsi-cd,drive=cdrom,bootindex=1" in words and "-bios" in words


# ---- KVM


def test_the_probe_tells_whether_64_bit_code_runs(tmp_path):
    """An emulator takes KVM's place: one that runs 64-bit code, and one that does not."""
    result = run(f"""
        from test_driver import vm_image
        vm_image._write_probe({str(tmp_path)!r})
        print(*vm_image._PROBE_COMMAND, vm_image._PROBE_STATUS)
    """)
    *words, status = result.lines[0].split()
    for cpu, works in ("max", True), ("qemu32", False):
        command = [{"kvm": "tcg", "max": cpu}.get(word, word) for word in words]
        ended = subprocess.run(["timeout", "20" if works else "3", "qemu-system-x86_64", *command], cwd=tmp_path)
        assert (ended.returncode == int(status)) == works


def test_kvm_is_used_if_it_works(images, tmp_path):
    """A stand-in for QEMU ends the probe for KVM with a status from a file."""
    real = shutil.which("qemu-system-x86_64")
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text(f"""#!/bin/bash
        case " $* " in
        *" isa-debug-exit,"*) echo probed >> {tmp_path}/probes; exit $(cat {tmp_path}/status) ;;
        *" -accel kvm "*) echo "this would use KVM"; exit 1 ;;
        esac
        exec {shlex.quote(real)} "$@"
    """)
    qemu.chmod(0o755)
    for status, expected in (85, "this would use KVM"), (134, "hello from the image"):
        (tmp_path / "status").write_text(str(status))
        (tmp_path / "probes").unlink(missing_ok=True)
        result = run(f"""
            try:
                for _ in range(2):
                    vm = create_test_vm({str(images["raw"])!r})
                    vm.wait_for_console_text("hello")
            except Exception as error:
                print(error)
        """, env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "TEST_VM_ACCEL": ""})
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            expected = "hello from the image"
        else:
            assert (tmp_path / "probes").read_text() == "probed\n"
        assert expected in result.log + result.out
