# The types of test_driver.driver for type checkers; the module documents the names.

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any, overload

from test_driver.assertions import Assertions
from test_driver.debug import DebugAbstract
from test_driver.logger import AbstractLogger, CompositeLogger
from test_driver.machine import NspawnMachine, QemuMachine
from test_driver.polling_condition import PollingCondition
from test_driver.vlan import VLan

@dataclass
class MachineConfiguration:
    name: str
    start_script: Path

@dataclass
class DriverConfiguration:
    vms: dict[str, MachineConfiguration]
    containers: dict[str, MachineConfiguration]
    vlans: list[int]
    global_timeout: timedelta
    enable_ssh_backdoor: bool
    test_script: Path

NodeConfiguration = MachineConfiguration
AssertionTester = Assertions

def get_tmp_dir() -> Path: ...
def pythonize_name(name: str) -> str: ...
def load_driver_configuration(file_path: str) -> DriverConfiguration: ...

def configuration(
    vms: Iterable[tuple[str, str]],
    containers: Iterable[tuple[str, str]],
    vlans: list[int],
    global_timeout: float,
    enable_ssh_backdoor: bool,
    test_script: str,
) -> DriverConfiguration: ...
@dataclass
class VsockPair:
    guest: Path
    host: Path

class VHostDeviceVsock:
    sockets: dict[str, VsockPair]
    def __init__(self, driver: Driver) -> None: ...

@dataclass
class DriverPlan:
    config: DriverConfiguration
    tests: str
    start_scripts: list[tuple[str, str]]
    vlans: list[int]
    seconds: float
    out_dir: Path
    logger: AbstractLogger | None
    keep_machine_state: bool
    debug: DebugAbstract

def plan_from(*args: Any, **kwargs: Any) -> DriverPlan: ...

class Driver:
    t: Assertions
    debug: DebugAbstract
    machines: list[QemuMachine | NspawnMachine]
    machines_qemu: list[QemuMachine]
    machines_nspawn: list[NspawnMachine]
    def __init__(
        self,
        config: DriverConfiguration,
        out_dir: str | PathLike[str],
        logger: AbstractLogger | None = None,
        keep_machine_state: bool = False,
        debug: DebugAbstract | None = None,
        interactive: bool = False,
    ) -> None: ...
    def __enter__(self) -> Driver: ...
    def __exit__(self, *exception: object) -> None: ...
    vlans: list[VLan]
    logger: CompositeLogger
    out_dir: Path
    tmp_dir: Path
    tests: str
    config: DriverConfiguration
    keep_machine_state: bool
    global_timeout: float
    race_timer: _RaceTimer
    vhost_vsock: VHostDeviceVsock | None
    polling_conditions: list[PollingCondition]
    def terminate_test(self) -> None: ...
    def check_polling_conditions(self) -> None: ...
    def start_all(self) -> None: ...
    def join_all(self) -> None: ...
    def create_machine(
        self,
        start_command: str | dict[str, Any],
        *,
        name: str | None = None,
        keep_machine_state: bool = False,
        keep_vm_state: bool = False,
    ) -> QemuMachine: ...
    def test_script(self) -> None: ...
    def reload(self) -> None: ...
    def run_tests(self) -> None: ...
    def snapshot(self, name: str, timeout: timedelta | float = 60.0) -> None: ...
    def restore(self, name: str) -> None: ...
    def subtest(self, name: str) -> AbstractContextManager[None]: ...
    @overload
    def polling_condition(
        self,
        fun: Callable[[], object],
        *,
        seconds_interval: float | None = None,
        interval: timedelta | float | None = None,
        description: str | None = None,
    ) -> PollingCondition: ...
    @overload
    def polling_condition(
        self,
        fun: None = None,
        *,
        seconds_interval: float | None = None,
        interval: timedelta | float | None = None,
        description: str | None = None,
    ) -> Callable[[Callable[[], object]], PollingCondition]: ...
    def serial_stdout_on(self) -> None: ...
    def serial_stdout_off(self) -> None: ...
    def dump_machine_ssh(self) -> None: ...
    def test_symbols(self) -> dict[str, Any]: ...

class _RaceTimer:
    @property
    def interval(self) -> float: ...
    def start(self) -> None: ...
    def cancel(self) -> None: ...
    def is_alive(self) -> bool: ...
