# The types of test_driver.vm_image for type checkers; the module documents the names.

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal, TypeVar

from test_driver.machine import QemuStartCommand

_Path = str | PathLike[str]
_T = TypeVar("_T")

def kind_of(path: _Path) -> Literal["script", "iso", "qcow2", "raw"]: ...
def size_of(text: str) -> int | None: ...
def mebibytes(memory: int | str) -> int: ...
def listed(values: Iterable[_T], argument: str) -> tuple[_T, ...]: ...
@dataclass(frozen=True)
class Arch:
    qemu: str
    package: str
    machine: str
    cdrom: tuple[str, ...]
    firmware: tuple[str, ...] = ()
    tcg_cpu: str = "max"

ARCHES: dict[str, Arch]

def arch_name(arch: str | None = None) -> str: ...

class Accelerators:
    known: dict[str, str]
    def __init__(self) -> None: ...
    def choose(self, arch: str, seconds: float, directory: _Path) -> tuple[str, str | None]: ...

accelerators: Accelerators

@dataclass(frozen=True)
class Disk:
    file: str
    format: str
    make: tuple[object, ...]

def new_disk(size: int, name: str) -> Disk: ...
def overlay_disk(image: _Path, kind: str, name: str) -> Disk: ...
def disk_of(what: _Path, name: str) -> Disk: ...

@dataclass
class Hardware:
    arch: str | None = None
    memory: int | str | None = None
    cpus: int | None = None
    accel: str | None = None
    qemu_options: tuple[str, ...] = ()
    iso: _Path | None = None
    firmware: str = "bios"
    nics: int = 1
    disks: tuple[Disk, ...] = ()
    vlans: tuple[tuple[int, _Path], ...] = ()
    forwarded: int | None = None
    credentials: tuple[tuple[str, str], ...] = ()

class ImageStartCommand(QemuStartCommand):
    arch: str
    accel: str | None
    def __init__(self, name: str, hardware: Hardware, state_dir: Path, probe_seconds: float) -> None: ...

def script_line(script: _Path, hardware: Hardware) -> str: ...
