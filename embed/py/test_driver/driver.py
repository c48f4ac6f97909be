"""The driver of a run, and its configuration as NixOS' test framework writes it."""

import datetime
import json
import re
from dataclasses import dataclass
from pathlib import Path

from _test_driver import Driver, current_driver, start_script_name


@dataclass
class MachineConfiguration:
    name: str
    start_script: Path


NodeConfiguration = MachineConfiguration  # its name in some drivers of 2026


@dataclass
class DriverConfiguration:
    vms: dict
    containers: dict
    vlans: list
    global_timeout: datetime.timedelta
    enable_ssh_backdoor: bool
    test_script: Path


def _machines(table):
    return {key: MachineConfiguration(machine["name"], Path(machine["start_script"]))
            for key, machine in table.items()}


def load_driver_configuration(file_path):
    """Reads what the option --config takes. Keys that it does not know are ignored; KeyError for one that is
    missing."""
    with open(file_path, encoding="utf-8") as file:
        data = json.load(file)
    return DriverConfiguration(
        vms=_machines(data["vms"]),
        containers=_machines(data["containers"]),
        vlans=list(data["vlans"]),
        global_timeout=datetime.timedelta(seconds=data["global_timeout"]),
        enable_ssh_backdoor=data["enable_ssh_backdoor"],
        test_script=Path(data["test_script"]),
    )


def configuration(vms, containers, vlans, global_timeout, enable_ssh_backdoor, test_script):
    """The configuration of a run: machines are (name, start script), the timeout is in seconds."""
    return DriverConfiguration(
        vms={name: MachineConfiguration(name, Path(script)) for name, script in vms},
        containers={name: MachineConfiguration(name, Path(script)) for name, script in containers},
        vlans=vlans,
        global_timeout=datetime.timedelta(seconds=global_timeout),
        enable_ssh_backdoor=enable_ssh_backdoor,
        test_script=Path(test_script),
    )


@dataclass
class VsockPair:
    """The sockets of a machine's vsock device, for QEMU and for the host."""

    guest: Path
    host: Path


class VHostDeviceVsock:
    """The SSH backdoor of a run: what serves the machines' vsock devices."""

    def __init__(self, driver):
        self.sockets = {machine.name: VsockPair(machine.vsock_guest, machine.vsock_host)
                        for machine in driver.machines_qemu if getattr(machine, "vsock_host", None)}


@dataclass
class DriverPlan:
    """What Driver(...) makes of its arguments."""

    config: DriverConfiguration
    tests: str
    start_scripts: list  # (name, start script, whether it is a container), by name
    vlans: list
    seconds: float
    out_dir: Path
    logger: object
    keep_machine_state: bool
    debug: object


def _seconds(duration):
    return duration.total_seconds() if hasattr(duration, "total_seconds") else float(duration)


def _plan(config, tests, out_dir, logger, keep_machine_state, debug):
    if debug is None:
        from test_driver.debug import DebugNop

        debug = DebugNop()
    if both := set(config.vms) & set(config.containers):
        raise ValueError(f"two machines are called '{min(both)}'")
    machines = [(name, str(machine.start_script), kind is config.containers)
                for kind in (config.vms, config.containers) for name, machine in kind.items()]
    return DriverPlan(config, tests, sorted(machines), sorted(set(config.vlans)), _seconds(config.global_timeout),
                      Path(out_dir).absolute(), logger, keep_machine_state, debug)


def _newest(config, out_dir, logger=None, keep_machine_state=False, debug=None, interactive=False):
    if not isinstance(config, DriverConfiguration):
        raise TypeError(f"Driver() argument 'config' must be a DriverConfiguration, not {type(config).__name__}")
    tests = Path(config.test_script).read_text(encoding="utf-8")
    return _plan(config, tests, out_dir, logger, keep_machine_state, debug)


_WEEK = 7 * 24 * 60 * 60


def _with_containers(vm_names, vm_start_scripts, container_names, container_start_scripts, vlans, tests, out_dir,
                     logger=None, keep_machine_state=False, global_timeout=_WEEK, debug=None,
                     enable_ssh_backdoor=False):
    vms = zip(vm_names or [start_script_name(script) for script in vm_start_scripts], vm_start_scripts, strict=True)
    container_names = container_names or [start_script_name(script, "-nspawn") for script in container_start_scripts]
    containers = zip(container_names, container_start_scripts, strict=True)
    config = configuration(vms, containers, vlans, _seconds(global_timeout), enable_ssh_backdoor, "")
    return _plan(config, tests, out_dir, logger, keep_machine_state, debug)


def _oldest(start_scripts, vlans, tests, out_dir, logger=None, keep_vm_state=False, global_timeout=_WEEK, debug=None,
            enable_ssh_backdoor=False):
    return _with_containers(None, start_scripts, None, [], vlans, tests, out_dir, logger, keep_vm_state,
                            global_timeout, debug, enable_ssh_backdoor)


def plan_from(*args, **kwargs):
    """The arguments of Driver(), of whichever generation of the driver."""
    if "vm_start_scripts" in kwargs or len(args) > 3 and isinstance(args[3], list):
        return _with_containers(*args, **kwargs)
    if "start_scripts" in kwargs or args and isinstance(args[0], list):
        return _oldest(*args, **kwargs)
    return _newest(*args, **kwargs)


# ---- what scripts import from here


def get_tmp_dir():
    """Where state directories are made."""
    return current_driver().tmp_dir


def pythonize_name(name):
    """The global name of a machine."""
    return re.sub("^[^A-Za-z_]|[^A-Za-z0-9_]", "_", name)


def __getattr__(name):
    if name != "AssertionTester":  # the class of `t`; what it is made from takes time to import
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from test_driver.assertions import Assertions

    return Assertions


__all__ = ["Driver", "DriverConfiguration", "MachineConfiguration", "NodeConfiguration", "get_tmp_dir",
           "load_driver_configuration", "pythonize_name"]
