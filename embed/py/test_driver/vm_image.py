"""The hardware of test machines, and the commands that start them; test_driver.test_vm and test_driver.image_machine
import this module.

A start script is run as it is. For disk images and ISOs the driver starts a QEMU itself. Images are only read: the
guest's disk is an overlay on one, in the machine's state directory, the working directory of start commands.

Whether KVM works is found out by use: the first start runs a boot sector under KVM, which turns on 64-bit mode, counts
to 50 million and ends QEMU with a certain exit status. The presence of /dev/kvm is not enough: on some hosts QEMU then
aborts, firmware never reaches the boot sector, or 64-bit code is so slow that no guest boots. This probe is part of
the start command, so that its process belongs to the machine and ends with it.
"""

import os
import platform
import re
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


# ---- sizes and lists

_SIZE = re.compile(r"([0-9]+)([KMGT])(?:i?B)?")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size_of(text):
    """Returns the bytes that a size such as "4G", "512M" or "1GiB" means (a K is 1024), or None for another text."""
    match = _SIZE.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else None


def mebibytes(memory):
    """Returns a size of memory in MiB. memory: a number of MiB, or a size as text. ValueError for anything else."""
    size = size_of(memory) if isinstance(memory, str) else None
    number = size / (1 << 20) if size else memory
    if isinstance(number, (str, bool)) or number < 1 or number != int(number):
        raise ValueError(f"memory {memory!r}: a number of MiB or a size such as '2G' is needed")
    return int(number)


def listed(values, argument):
    """Returns a list as a tuple. ValueError for a text or a path, which Python would take apart. argument: its name."""
    if isinstance(values, (str, bytes, os.PathLike)):
        raise ValueError(f"{argument}={values!r}: a list is needed, [{values!r}]")
    return tuple(values)


# ---- which QEMU


@dataclass(frozen=True)
class Arch:
    """How guests of an architecture are started.

    qemu: the program. package: Debian's package that has it. machine: the argument of -machine. cdrom: options that
    connect a drive called "cdrom". firmware: files for -bios; the first one that exists is taken, else the last one,
    which QEMU finds in its own directory. tcg_cpu: the processor that emulation is quickest with.
    """

    qemu: str
    package: str
    machine: str
    cdrom: tuple
    firmware: tuple = ()
    tcg_cpu: str = "max"


_IDE_CDROM = ("-device", "ide-cd,drive=cdrom,bootindex=1")
_SCSI_CDROM = ("-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=cdrom,bootindex=1")
ARCHES = {
    "x86_64": Arch("qemu-system-x86_64", "qemu-system-x86", "q35", _IDE_CDROM, tcg_cpu="Nehalem"),
    "i386": Arch("qemu-system-i386", "qemu-system-x86", "q35", _IDE_CDROM),
    "aarch64": Arch("qemu-system-aarch64", "qemu-system-arm", "virt", _SCSI_CDROM,
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


def _need(program, package):
    """MachineError if the program, which is in that package of Debian, is not in PATH."""
    if not shutil.which(program):
        raise MachineError(f"{program} is not in PATH; disk images and ISOs are started with it (Debian package "
                           f"{package})")


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
        """Returns (shell code to run before QEMU, "kvm" or "tcg"), or None in place of the name, if the code sets the
        variable `accel` to it. arch: a name of ARCHES. seconds: the limit of the probe. directory: the machine's state
        directory."""
        if arch in self.known:
            return "", self.known[arch]
        if arch != "x86_64" or not kvm_probe():
            return "", "tcg"
        _write_probe(directory)
        return _probe_line(ARCHES[arch].qemu, seconds), None


accelerators = Accelerators()


# ---- disks

_FIRST_SLOT, _MOST_DISKS = 8, 16  # of the PCI bus, in whose order Linux names disks


@dataclass(frozen=True)
class Disk:
    """A disk of a machine. file: its name in the state directory. format: "raw" or "qcow2". make: the words of the
    command that makes the file."""

    file: str
    format: str
    make: tuple


def new_disk(size, name):
    """Returns a Disk without data, whose file takes room only for what is written. size: bytes. name: of the file,
    without its suffix."""
    return Disk(f"{name}.img", "raw", ("truncate", "-s", size, f"{name}.img"))


def overlay_disk(image, kind, name):
    """Returns a Disk that begins as the image, which is only read. kind: see kind_of(), but not "script"; an ISO is a
    raw disk, as on a USB stick. name: of the file, without its suffix."""
    backing = "raw" if kind == "iso" else kind
    return Disk(f"{name}.qcow2", "qcow2", ("qemu-img", "create", "-q", "-f", "qcow2", "-F", backing, "-b",
                                           Path(image).resolve(), f"{name}.qcow2"))


def disk_of(what, name):
    """Returns the Disk for a size such as "4G", or for the path of an image. ValueError or OSError for a file that is
    no image."""
    size = size_of(what) if isinstance(what, str) else None
    if size is not None:
        return new_disk(size, name)
    image = os.fspath(what)
    try:
        kind = kind_of(image)
    except FileNotFoundError:
        raise FileNotFoundError(f"disk {image}: there is no such file, and a size is like '4G' or '512M'") from None
    if kind == "script":
        raise ValueError(f"disk {image} is a program, not an image")
    return overlay_disk(image, kind, name)


# ---- start commands


@dataclass
class Hardware:
    """The hardware of a test machine; create_test_vm() and create_image_machine() document the fields up to `nics`.

    disks: of Disk. vlans: of (number, directory of the switch's socket). forwarded: the port of 127.0.0.1 that the
    first user network forwards to the guest's port 22; 0: a free one; None: none. credentials: of (name, text), for
    systemd in the guest.
    """

    arch: str | None = None
    memory: int | str | None = None
    cpus: int | None = None
    accel: str | None = None
    qemu_options: tuple = ()
    iso: str | os.PathLike | None = None
    firmware: str = "bios"
    nics: int = 1
    disks: tuple = ()
    vlans: tuple = ()
    forwarded: int | None = None
    credentials: tuple = ()


def _mac(name, vlan):
    """The address of a machine's card in a VLAN: the same each time, and another for each machine and network."""
    import hashlib

    digest = hashlib.sha256(f"{name} {vlan}".encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])


class ImageStartCommand(QemuStartCommand):
    """Starts a QEMU with an ISO in its CD-ROM drive, disks, firmware and network cards.

    name: the machine's. hardware: a Hardware. state_dir: the machine's state directory. probe_seconds: the limit of the
    probe for KVM. MachineError if a program or the firmware is missing, ValueError for an unknown architecture or
    firmware, more disks than there is room for, or memory that is no size.
    """

    def __init__(self, name, hardware, state_dir, probe_seconds):
        self._name, self._hardware = name, hardware
        self._state_dir, self._probe_seconds = state_dir, probe_seconds
        self.arch, self.accel = arch_name(hardware.arch), hardware.accel or os.environ.get("TEST_VM_ACCEL")
        self._memory = mebibytes(1024 if hardware.memory is None else hardware.memory)
        if len(hardware.disks) > _MOST_DISKS:
            raise ValueError(f"{len(hardware.disks)} disks: {_MOST_DISKS} are possible at most")
        if hardware.firmware not in ("bios", "uefi"):
            raise ValueError(f"firmware {hardware.firmware!r}: 'bios' and 'uefi' are known")
        _need(ARCHES[self.arch].qemu, ARCHES[self.arch].package)
        if any(disk.make[0] == "qemu-img" for disk in hardware.disks):
            _need("qemu-img", "qemu-utils")
        self._uefi = None
        if hardware.firmware == "uefi":
            from test_driver.vm_firmware import find_firmware

            self._uefi = find_firmware(self.arch, ARCHES[self.arch].qemu)

    @property
    def machine_name(self):
        return self._name

    # The options of QEMU, as words.

    def _drives(self):
        if self._hardware.iso:
            iso = _option_path(Path(self._hardware.iso).resolve())
            yield from ("-drive", f"file={iso},if=none,id=cdrom,media=cdrom,format=raw,readonly=on",
                        *ARCHES[self.arch].cdrom)
        for number, disk in enumerate(self._hardware.disks):
            unmap = ",discard=unmap,detect-zeroes=unmap" if disk.format == "raw" else ""
            yield from ("-drive", f"file={disk.file},if=none,id=disk{number},format={disk.format},cache=unsafe{unmap},"
                        "werror=report",
                        "-device", f"virtio-blk-pci,drive=disk{number},addr={_FIRST_SLOT + number:#x},"
                        f"bootindex={2 + number},serial=disk{number}")

    def _firmware(self):
        if self._uefi:
            return ("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={_option_path(self._uefi.code)}",
                    "-drive", f"if=pflash,format=raw,unit=1,file={self._variables}")
        files = ARCHES[self.arch].firmware
        return ("-bios", next(filter(os.path.exists, files), files[-1])) if files else ()

    def _networks(self):
        """The empty romfile keeps the firmware from loading network boot code."""
        hardware = self._hardware
        if not hardware.nics and not hardware.vlans:
            yield from ("-nic", "none")
        for number in range(hardware.nics):
            forward = ""
            if number == 0 and hardware.forwarded is not None:
                forward = f",hostfwd=tcp:127.0.0.1:{hardware.forwarded}-:22"
            yield from ("-netdev", f"user,id=user.{number}{forward}",
                        "-device", f"virtio-net-pci,netdev=user.{number},romfile=")
        for number, directory in hardware.vlans:
            yield from ("-netdev", f"vde,id=vlan{number},sock={_option_path(directory)}",
                        "-device", f"virtio-net-pci,netdev=vlan{number},romfile=,mac={_mac(self._name, number)}")

    def _credentials(self):
        import base64

        for name, text in self._hardware.credentials:
            value = base64.b64encode(text.encode()).decode()
            yield from ("-smbios", f"type=11,value=io.systemd.credential.binary:{name}={value}")

    def _engine(self, accel):
        """The accelerator and the processor. accel: "kvm", "tcg" or another one that QEMU has."""
        if accel != "tcg":
            return "-accel", accel, "-cpu", "max"
        # An x86 guest cannot have several threads on a processor that orders memory less strictly.
        threads = (self._hardware.cpus or 1) > 1 and (os.cpu_count() or 1) > 1 and platform.machine() == "x86_64"
        return "-accel", "tcg,thread=multi" if threads else "tcg", "-cpu", ARCHES[self.arch].tcg_cpu

    # The shell command.

    @property
    def _variables(self):
        """The name of the machine's copy of the firmware's variables, which is machine.efi_vars_path."""
        return f"{self._name}-efi-vars.fd"

    def _make_files(self):
        for disk in self._hardware.disks:
            yield f"[ -e {shlex.quote(disk.file)} ] || {_command(*disk.make)} || exit; "
        if self._uefi:
            copy = _command("cp", "--", self._uefi.variables, self._variables)
            yield f"[ -e {self._variables} ] || {{ {copy} && chmod u+w {self._variables}; }} || exit; "

    def _choose_engine(self):
        """Returns (shell code to run before QEMU, options as shell code)."""
        first, accel = "", self.accel
        if not accel:
            first, accel = accelerators.choose(self.arch, self._probe_seconds, self._state_dir)
        if accel:
            return first, _command(*self._engine(accel))
        kvm, tcg = (_command("set", "--", *self._engine(name)) for name in ("kvm", "tcg"))
        return f'{first}if [ "$accel" = kvm ]; then {kvm}; else {tcg}; fi; ', '"$@"'

    @property
    def _cmd(self):
        """The shell command, to which QemuStartCommand.cmd() appends the options for the driver's sockets."""
        hardware, arch = self._hardware, ARCHES[self.arch]
        first, engine = self._choose_engine()
        qemu = _command(arch.qemu, "-name", self._name, "-machine", arch.machine, "-m", self._memory,
                        "-smp", hardware.cpus or 1, *self._firmware(), *self._drives(), *self._networks(),
                        *self._credentials(), *self._panic_device())
        options = _command(*hardware.qemu_options)
        return f"{first}{''.join(self._make_files())}exec {qemu} {engine} {options}".rstrip()

    @staticmethod
    def _panic_device():
        """Its driver in the guest tells of a panic at once. QEMU goes on, as without the device."""
        return "-device", "pvpanic-pci", "-action", "panic=none"


def script_line(script, hardware):
    """Returns the command line of a start script, which accepts options of QEMU. hardware: a Hardware; ValueError if
    it has an architecture or an accelerator, which the start script chooses itself."""
    if hardware.arch or hardware.accel:
        raise ValueError(f"image {script} is a start script, which chooses QEMU and its accelerator itself: "
                         "arch and accel are for disk images and ISOs")
    options = ["-m", mebibytes(hardware.memory)] if hardware.memory else []
    options += ["-smp", hardware.cpus] if hardware.cpus else []
    return _command(Path(script).absolute(), *options, *hardware.qemu_options)
