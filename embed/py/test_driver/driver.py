"""The driver of a run, and its configuration as NixOS' test framework writes it."""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

from _test_driver import Driver


@dataclass
class MachineConfiguration:
    name: str
    start_script: Path


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


__all__ = ["Driver", "DriverConfiguration", "MachineConfiguration", "load_driver_configuration"]
