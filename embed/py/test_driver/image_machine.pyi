# The types of test_driver.image_machine for type checkers; the module documents the names.

from collections.abc import Iterable
from datetime import timedelta
from os import PathLike
from pathlib import Path

from test_driver.driver import Driver
from test_driver.machine import QemuStartCommand
from test_driver.test_vm import TestVM, Timeouts
from test_driver.vlan import VLan
from test_driver.vm_image import Hardware

_Path = str | PathLike[str]

class ImageMachine(TestVM):
    hardware: Hardware
    def __init__(
        self,
        driver: Driver,
        name: str,
        start_command: str | QemuStartCommand,
        hardware: Hardware,
        timeouts: Timeouts | None = None,
        login: tuple[str, _Path | None, str | None, bool] = ("root", None, None, False),
    ) -> None: ...
    @property
    def disk_paths(self) -> list[Path]: ...
    def start(self, allow_reboot: bool = True) -> None: ...
    def login(
        self,
        user: str = "root",
        password: str | None = None,
        new_password: str | None = None,
        timeout: timedelta | float | str | None = 900,
    ) -> None: ...

def create_image_machine(
    iso: _Path | None = None,
    disks: Iterable[_Path] = (),
    memory: int | str = 1024,
    cpus: int | None = None,
    firmware: str = "bios",
    nics: int = 1,
    vlans: Iterable[int | VLan] = (),
    *,
    name_prefix: str = "image",
    name: str | None = None,
    arch: str | None = None,
    accel: str | None = None,
    ssh_user: str = "root",
    ssh_key: _Path | None = None,
    ssh_password: str | None = None,
    sudo: bool = False,
    ssh: bool = True,
    ssh_port: int = 0,
    qemu_options: Iterable[str] = (),
    timeouts: Timeouts | None = None,
    start: bool = True,
) -> ImageMachine: ...
