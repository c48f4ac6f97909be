"""The class Driver, re-exported, and the configuration of a run as NixOS' test framework writes it.

embed/driver imports this module when a script uses `driver.config` or calls Driver() itself; scripts import it, too.
"""

import datetime
import json
import re
from dataclasses import dataclass
from pathlib import Path

from _test_driver import Driver, current_driver, start_script_name


@dataclass
class MachineConfiguration:
    """A machine of a configuration: its name and the path of its start script."""

    name: str
    start_script: Path


NodeConfiguration = MachineConfiguration  # the class's name in some of upstream's drivers of 2026


@dataclass
class DriverConfiguration:
    """The configuration of a run.

    vms, containers: {name: MachineConfiguration}. vlans: the numbers of the VLANs, as int. global_timeout: the time
    after which the run is ended. enable_ssh_backdoor: whether the virtual machines are reachable by SSH over vsock.
    test_script: the path of the script.
    """

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
    """Reads the JSON file that the option --config takes and returns a DriverConfiguration. Unknown keys are ignored.
    KeyError for a missing key, OSError for a file that cannot be read, ValueError for one that is not JSON."""
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
    """Makes the DriverConfiguration of a run. vms, containers: pairs (name, start script); vlans: numbers;
    global_timeout: seconds; enable_ssh_backdoor: bool; test_script: a path. The driver calls it for the run's own."""
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
    """The paths of the two sockets of a machine's vsock device: `guest` is for QEMU, `host` for programs here."""

    guest: Path
    host: Path


class VHostDeviceVsock:
    """The vsock devices of a run with the SSH backdoor: `sockets` is {machine name: VsockPair}."""

    def __init__(self, driver):
        self.sockets = {machine.name: VsockPair(machine.vsock_guest, machine.vsock_host)
                        for machine in driver.machines_qemu if getattr(machine, "vsock_host", None)}


@dataclass
class DriverPlan:
    """The arguments of Driver(...), whichever generation's signature the caller used, in one form for the C code."""

    config: DriverConfiguration
    tests: str  # the text of the script
    start_scripts: list  # of (name, start script, whether the machine is a container), in the order of names
    vlans: list
    seconds: float  # the limit of the whole run
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


# One function for each signature that Driver() has had; each returns a DriverPlan.


def _newest(config, out_dir, logger=None, keep_machine_state=False, debug=None, interactive=False):
    if not isinstance(config, DriverConfiguration):
        raise TypeError(f"Driver() argument 'config' must be a DriverConfiguration, not {type(config).__name__}")
    tests = Path(config.test_script).read_text(encoding="utf-8")
    return _plan(config, tests, out_dir, logger, keep_machine_state, debug)


_WEEK = 7 * 24 * 60 * 60  # the global time-out by default, in seconds


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
    """Returns the DriverPlan of the arguments of Driver(), which may be those of any generation of upstream's driver.
    The C code of Driver() calls it. TypeError or ValueError for arguments that make no driver."""
    if "vm_start_scripts" in kwargs or len(args) > 3 and isinstance(args[3], list):
        return _with_containers(*args, **kwargs)
    if "start_scripts" in kwargs or args and isinstance(args[0], list):
        return _oldest(*args, **kwargs)
    return _newest(*args, **kwargs)


# ---- what scripts import from here


def get_tmp_dir():
    """Returns the Path of the directory that contains the machines' state directories."""
    return current_driver().tmp_dir


def pythonize_name(name):
    """Returns the global name by which scripts see the machine `name`: other characters become `_`."""
    return re.sub("^[^A-Za-z_]|[^A-Za-z0-9_]", "_", name)


def __getattr__(name):
    if name != "AssertionTester":  # the class of `t`, not imported above because importing unittest takes time
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from test_driver.assertions import Assertions

    return Assertions


__all__ = ["Driver", "DriverConfiguration", "MachineConfiguration", "NodeConfiguration", "get_tmp_dir",
           "load_driver_configuration", "pythonize_name"]
