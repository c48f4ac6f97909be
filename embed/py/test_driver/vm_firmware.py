"""The UEFI firmware of image machines: which files are taken, and from where. test_driver.vm_image imports this module.

Firmware is two files: the code, which is only read, and a template of the variables, of which each machine has a copy.
Distributions put them at different places, and QEMU brings files of its own, which a QEMU of Nix has beside it.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from test_driver.errors import MachineError


@dataclass(frozen=True)
class Firmware:
    """UEFI firmware. code, variables: Paths of the two files."""

    code: Path
    variables: Path


# (code, variables) for each architecture: Debian, Fedora, Arch, openSUSE, and NixOS' libvirt.
_PLACES = {
    "x86_64": (
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
        ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
        ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
        ("/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"),
        ("/run/libvirt/nix-ovmf/OVMF_CODE.fd", "/run/libvirt/nix-ovmf/OVMF_VARS.fd"),
    ),
    "i386": (
        ("/usr/share/OVMF/OVMF32_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF32_VARS_4M.fd"),
        ("/usr/share/edk2/ovmf-ia32/OVMF_CODE.fd", "/usr/share/edk2/ovmf-ia32/OVMF_VARS.fd"),
    ),
    "aarch64": (
        ("/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
        ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
        ("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "/usr/share/edk2/aarch64/vars-template-pflash.raw"),
        ("/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd"),
        ("/usr/share/qemu/aavmf-aarch64-code.bin", "/usr/share/qemu/aavmf-aarch64-vars.bin"),
        ("/run/libvirt/nix-ovmf/AAVMF_CODE.fd", "/run/libvirt/nix-ovmf/AAVMF_VARS.fd"),
    ),
}
# The names of QEMU's own files, in its directory of data.
_OF_QEMU = {
    "x86_64": ("edk2-x86_64-code.fd", "edk2-i386-vars.fd"),
    "i386": ("edk2-i386-code.fd", "edk2-i386-vars.fd"),
    "aarch64": ("edk2-aarch64-code.fd", "edk2-arm-vars.fd"),
}
_PACKAGES = {"x86_64": "ovmf", "i386": "ovmf-ia32", "aarch64": "qemu-efi-aarch64"}


def _places(arch, qemu):
    """The (code, variables) that may exist. qemu: the program."""
    pairs, own = list(_PLACES[arch]), _OF_QEMU[arch]
    directory = os.environ.get("TEST_VM_FIRMWARE_DIR")
    if directory:
        return [tuple(Path(directory, os.path.basename(name)) for name in pair) for pair in [*pairs, own]]
    program = shutil.which(qemu)
    shares = [Path(program).resolve().parent.parent / "share/qemu"] if program else []
    return [tuple(map(Path, pair)) for pair in pairs] + [
        tuple(share / name for name in own) for share in [*shares, Path("/usr/share/qemu")]]


def find_firmware(arch, qemu):
    """Returns the UEFI Firmware for an architecture. arch: "x86_64", "i386" or "aarch64". qemu: the name of QEMU's
    program, beside which files are looked for, too. With TEST_VM_FIRMWARE_DIR in the environment only that directory
    is looked into, for files of the usual names. MachineError if there is none."""
    places = _places(arch, qemu)
    for code, variables in places:
        if code.is_file() and variables.is_file():
            return Firmware(code, variables)
    code, variables = places[0]
    raise MachineError(f"there is no UEFI firmware for {arch}: {code} and {variables.name}, which the Debian package "
                       f"{_PACKAGES[arch]} has, are missing, and so are the files of {len(places) - 1} other places; "
                       f"TEST_VM_FIRMWARE_DIR names another directory")
