# The types of test_driver.vm_image for type checkers; the module documents the names.

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

from test_driver.machine import QemuStartCommand

_Path = str | PathLike[str]

def kind_of(path: _Path) -> Literal["script", "iso", "qcow2", "raw"]: ...
@dataclass(frozen=True)
class Arch:
    qemu: str
    machine: str
    cdrom: tuple[str, ...]
    firmware: tuple[str, ...] = ()

ARCHES: dict[str, Arch]

def arch_name(arch: str | None = None) -> str: ...

class Accelerators:
    known: dict[str, str]
    def __init__(self) -> None: ...
    def choose(self, arch: str, seconds: float, directory: _Path) -> tuple[str, str]: ...

accelerators: Accelerators

@dataclass
class Hardware:
    arch: str | None = None
    memory: int | None = None
    cpus: int | None = None
    accel: str | None = None
    qemu_options: tuple[str, ...] = ()

class ImageStartCommand(QemuStartCommand):
    arch: str
    accel: str | None
    def __init__(
        self, name: str, image: _Path, kind: str, hardware: Hardware, state_dir: Path, probe_seconds: float
    ) -> None: ...

def script_line(script: _Path, hardware: Hardware) -> str: ...
