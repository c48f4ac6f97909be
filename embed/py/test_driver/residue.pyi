# The types of test_driver.residue for type checkers; the module documents the names.

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

_Path = str | PathLike[str]

KINDS: tuple[str, ...]
RAW: str

class SeedStep(NamedTuple):
    name: str
    command: str

class Remnant(NamedTuple):
    kind: str
    name: str

@dataclass(frozen=True)
class Snapshot:
    lsblk: str
    mdadm: str
    blkid: str
    lvm: str
    readable: tuple[str, ...] = ...

def remnants(snapshot: Snapshot) -> list[Remnant]: ...
def left(before: Snapshot, after: Snapshot) -> list[Remnant]: ...
def places_of(text: str, path: _Path) -> Iterator[int]: ...
def raw_remnants(text: str, files: Iterable[_Path]) -> list[Remnant]: ...

@dataclass(frozen=True)
class ResidueResult:
    before: Snapshot
    seeded: Snapshot
    after: Snapshot
    left: list[Remnant]
    def assert_nothing_left(self) -> None: ...

class ResiduePlan:
    disks: tuple[str, ...]
    array: str
    group: str
    volume: str
    marker: str
    expected: tuple[str, ...]
    steps: list[SeedStep]
    def __init__(
        self,
        disks: Iterable[str] = ("/dev/vdb", "/dev/vdc"),
        array: str = "/dev/md127",
        group: str = "vg_residue",
        volume: str = "lv_residue",
        marker: str = "residue-marker",
    ) -> None: ...
    def seed(self, machine: Any) -> None: ...
    def snapshot(self, machine: Any, revive: bool = False) -> Snapshot: ...
    def run(
        self,
        machine: Any,
        clean_up: Callable[[Any], object] | str | Iterable[str] | None = None,
        raw: bool = False,
        files: _Path | Iterable[_Path] | None = None,
    ) -> ResidueResult: ...
