"""The images of test machines, and the commands that start them; test_driver.test_vm imports this module.

A start script is run as it is. For a disk image or an ISO the driver starts a QEMU itself. The image is only read: the
guest's disk is an overlay on it, disk.qcow2 in the machine's state directory, the working directory of start commands.

Whether KVM works is found out by use: the first start runs a boot sector under KVM, which turns on 64-bit mode, counts
to 50 million and ends QEMU with a certain exit status. The presence of /dev/kvm is not enough: on some hosts QEMU then
aborts, firmware never reaches the boot sector, or 64-bit code is so slow that no guest boots. This probe is part of
the start command, so that its process belongs to the machine and ends with it.
"""

import os
import platform
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from _test_driver import kvm_probe
from test_driver.errors import MachineError
from test_driver.machine import QemuStartCommand

# First bytes of files that are no start script, disk or ISO which QEMU can use.
_OTHER_FORMATS = {b"KDMV": "VMDK", b"vhdxfile": "VHDX", b"conectix": "VHD", b"<<< ": "VDI", b"QED\0": "QED"}
_COMPRESSED = (b"\x1f\x8b", b"\xfd7zXZ\0", b"(\xb5/\xfd", b"BZh")
_SECTOR = 512  # bytes
_ISO_ID, _ISO_ID_OFFSET = b"CD001", 0x8001  # ECMA-119, the first volume descriptor


def _command(*words):
    """A shell command of words of any type."""
    return " ".join(shlex.quote(str(word)) for word in words)


def _option_path(path):
    """A path as a value in an option of QEMU, where a single comma would end it."""
    return str(path).replace(",", ",,")


# ---- the kind of an image


def kind_of(path):
    """Returns the kind of an image: "script", "iso", "qcow2" or "raw". ValueError for a file of another kind, OSError
    for one that cannot be read."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"image {path} is a directory; a start script, a disk image or an ISO is needed")
    with open(path, "rb") as file:
        start = file.read(_SECTOR)
        size = file.seek(0, os.SEEK_END)
        file.seek(_ISO_ID_OFFSET)
        is_iso = file.read(len(_ISO_ID)) == _ISO_ID
    if start.startswith(b"QFI\xfb"):
        return "qcow2"
    if is_iso:
        return "iso"
    if start.startswith((b"#!", b"\x7fELF")):
        if not os.access(path, os.X_OK):
            raise ValueError(f"image {path} is a program, but not executable")
        return "script"
    if start.startswith(_COMPRESSED):
        raise ValueError(f"image {path} is compressed")
    for magic, name in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise ValueError(f"image {path} is in the format {name}; qemu-img convert -O qcow2 makes one that can be "
                             "used")
    if not size or size % _SECTOR:
        raise ValueError(f"image {path} is no start script, disk image or ISO: a raw disk consists of whole sectors of "
                         f"{_SECTOR} bytes, this file has {size} bytes")
    return "raw"


# ---- which QEMU


@dataclass(frozen=True)
class Arch:
    """How guests of an architecture are started.

    qemu: the program. machine: the argument of -machine. cdrom: options that connect a drive called "cdrom". firmware:
    files for -bios; the first one that exists is taken, else the last one, which QEMU finds in its own directory.
    """

    qemu: str
    machine: str
    cdrom: tuple
    firmware: tuple = ()


_IDE_CDROM = ("-device", "ide-cd,drive=cdrom,bootindex=1")
_SCSI_CDROM = ("-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=cdrom,bootindex=1")
ARCHES = {
    "x86_64": Arch("qemu-system-x86_64", "q35", _IDE_CDROM),
    "i386": Arch("qemu-system-i386", "q35", _IDE_CDROM),
    "aarch64": Arch("qemu-system-aarch64", "virt", _SCSI_CDROM,
                    ("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", "edk2-aarch64-code.fd")),
}
_ALIASES = {"amd64": "x86_64", "i686": "i386", "arm64": "aarch64"}


def arch_name(arch=None):
    """Returns the name that ARCHES has for an architecture; "x86_64-linux" and "amd64" are x86_64. arch: default: the
    host's. ValueError for an unknown architecture."""
    name = str(arch or platform.machine()).removesuffix("-linux")
    name = _ALIASES.get(name, name)
    if name not in ARCHES:
        raise ValueError(f"arch {name!r} is not known; there are {', '.join(ARCHES)}")
    return name


def _need(program):
    """MachineError if the program is not in PATH."""
    if not shutil.which(program):
        raise MachineError(f"{program} is not in PATH; disk images and ISOs are started with it")


# ---- KVM

_PROBE_STATUS = 85  # QEMU's exit status when the boot sector has run; see embed/machine/kvm_probe.S
_PROBE_COMMAND = ("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35",
                  "-accel", "kvm", "-cpu", "max", "-drive", "file=kvm-probe.img,format=raw,if=virtio,readonly=on",
                  "-device", "isa-debug-exit,iobase=0xf4,iosize=1")


def _write_probe(directory):
    """Writes the disk with the boot sector into a machine's state directory."""
    os.makedirs(directory, mode=0o700, exist_ok=True)  # a script may have removed it after the last start
    with open(Path(directory) / "kvm-probe.img", "wb") as file:
        file.write(kvm_probe())
        file.truncate(1 << 20)  # firmware does not boot from disks of one sector


def _probe_line(qemu, seconds):
    """Shell code that sets the variable `accel` to kvm or tcg. seconds: the limit of the probe."""
    probe = _command("timeout", "-k", 1, f"{seconds:g}", qemu, *_PROBE_COMMAND)
    return (f"accel=tcg; if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then "
            f"(ulimit -c 0; {probe}; exit) > /dev/null 2>&1 < /dev/null; [ $? != {_PROBE_STATUS} ] || accel=kvm; fi; ")


class Accelerators:
    """The accelerators that start commands have found: `known` is {architecture: "kvm" or "tcg"}. Only the first start
    has to look."""

    def __init__(self):
        self.known = {}

    def choose(self, arch, seconds, directory):
        """Returns (shell code to run before QEMU, the argument of -accel as shell code). arch: a name of ARCHES.
        seconds: the limit of the probe. directory: the machine's state directory."""
        if arch in self.known:
            return "", self.known[arch]
        if arch != "x86_64" or not kvm_probe():
            return "", "tcg"
        _write_probe(directory)
        return _probe_line(ARCHES[arch].qemu, seconds), '"$accel"'


accelerators = Accelerators()


# ---- start commands


@dataclass
class Hardware:
    """The hardware of a test machine; create_test_vm() documents the fields."""

    arch: str | None = None
    memory: int | None = None
    cpus: int | None = None
    accel: str | None = None
    qemu_options: tuple = ()


class ImageStartCommand(QemuStartCommand):
    """Starts a QEMU with the image as its disk or CD-ROM.

    name: the machine's. image: a path. kind: see kind_of(). hardware: a Hardware. state_dir: the machine's state
    directory. probe_seconds: the limit of the probe for KVM. MachineError if a program is missing, ValueError for an
    unknown architecture.
    """

    def __init__(self, name, image, kind, hardware, state_dir, probe_seconds):
        self._name, self._image, self._kind, self._hardware = name, Path(image).resolve(), kind, hardware
        self._state_dir, self._probe_seconds = state_dir, probe_seconds
        self.arch, self.accel = arch_name(hardware.arch), hardware.accel or os.environ.get("TEST_VM_ACCEL")
        _need(ARCHES[self.arch].qemu)
        if kind != "iso":
            _need("qemu-img")

    @property
    def machine_name(self):
        return self._name

    def _disk(self):
        if self._kind == "iso":
            return ("-drive", f"file={_option_path(self._image)},if=none,id=cdrom,media=cdrom,format=raw,readonly=on",
                    *ARCHES[self.arch].cdrom)
        return ("-drive", "file=disk.qcow2,if=none,id=disk,format=qcow2,cache=unsafe,werror=report",
                "-device", "virtio-blk-pci,drive=disk,bootindex=1")

    def _firmware(self):
        files = ARCHES[self.arch].firmware
        return ("-bios", next(filter(os.path.exists, files), files[-1])) if files else ()

    def _overlay_line(self):
        if self._kind == "iso":
            return ""
        make = _command("qemu-img", "create", "-q", "-f", "qcow2", "-F", self._kind, "-b", self._image, "disk.qcow2")
        return f"[ -e disk.qcow2 ] || {make} || exit; "

    @property
    def _cmd(self):
        """The shell command, to which QemuStartCommand.cmd() appends the options for the driver's sockets."""
        hardware, arch = self._hardware, ARCHES[self.arch]
        if self.accel:
            first, accel = "", shlex.quote(self.accel)
        else:
            first, accel = accelerators.choose(self.arch, self._probe_seconds, self._state_dir)
        qemu = _command(arch.qemu, "-name", self._name, "-machine", arch.machine, "-cpu", "max",
                        "-m", hardware.memory or 1024, "-smp", hardware.cpus or 1, *self._firmware(), *self._disk(),
                        "-netdev", "user,id=user.0", "-device", "virtio-net-pci,netdev=user.0,romfile=")
        return f"{first}{self._overlay_line()}exec {qemu} -accel {accel} {_command(*hardware.qemu_options)}".rstrip()


def script_line(script, hardware):
    """Returns the command line of a start script, which accepts options of QEMU. hardware: a Hardware; ValueError if
    it has an architecture or an accelerator, which the start script chooses itself."""
    if hardware.arch or hardware.accel:
        raise ValueError(f"image {script} is a start script, which chooses QEMU and its accelerator itself: "
                         "arch and accel are for disk images and ISOs")
    options = ["-m", hardware.memory] if hardware.memory else []
    options += ["-smp", hardware.cpus] if hardware.cpus else []
    return _command(Path(script).absolute(), *options, *hardware.qemu_options)
