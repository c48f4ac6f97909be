# Directories, sockets, and QEMU's environment and options.
# vms: machine=tiny
# vlans: 1

from pathlib import Path

for directory in machine.out_dir, machine.tmp_dir, machine.state_dir, machine.shared_dir:
    assert isinstance(directory, Path) and directory.is_dir()
assert machine.tmp_dir == Path(os.environ["TMPDIR"])
assert machine.state_dir == machine.tmp_dir / "vm-state-machine" and machine.shared_dir == machine.tmp_dir / "shared-xchg"
assert {oct(path.stat().st_mode & 0o777) for path in (machine.state_dir, machine.shared_dir)} == {"0o700"}
assert (machine.tmp_dir / "vde1.ctl/ctl").is_socket()
machine.start()
paths = {name: machine.state_dir / name for name in ("monitor", "qmp", "shell")}
assert all(path.is_socket() for path in paths.values())
assert (machine.monitor_path, machine.qmp_path, machine.shell_path) == tuple(paths.values())
assert (machine.state_dir / "machine.qcow2").is_file()
environment = dict(entry.split("=", 1) for entry in Path(f"/proc/{machine.pid}/environ").read_text().split("\0") if entry)
assert (environment["TMPDIR"], environment["SHARED_DIR"]) == (str(machine.state_dir), str(machine.shared_dir))
assert environment["USE_TMPDIR"] == "1" and environment["QEMU_VDE_SOCKET_1"] == str(machine.tmp_dir / "vde1.ctl")
assert Path(f"/proc/{machine.pid}/cwd").resolve() == machine.state_dir
words = Path(f"/proc/{machine.pid}/cmdline").read_text().split("\0")
options = words[words.index("-qmp"):]
assert options[:14] == [
    "-qmp", f"unix:{paths['qmp']},server=on,wait=off", "-monitor", f"unix:{paths['monitor']}",
    "-chardev", f"socket,id=shell,path={paths['shell']}", "-device", "virtio-serial",
    "-device", "virtconsole,chardev=shell", "-device", "virtio-rng-pci", "-serial", "stdio"], options
assert "-no-reboot" in options and "-nographic" in options
machine.crash()
os.environ["QEMU_KERNEL_PARAMS"] = "word-of-mine"  # start scripts get the environment of the script
assert "word-of-mine" in machine.succeed("cat /proc/cmdline")
machine.crash()
machine.cleanup_statedir()
#: deleting ... state directory .../vm-state-machine
#: if you want to keep the ... state, pass --keep-...-state
assert not machine.state_dir.exists()
