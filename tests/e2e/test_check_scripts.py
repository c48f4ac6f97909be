"""The scripts of the flake's checks (tests/nixos), on real guests with Debian or Ubuntu instead of NixOS."""

import json
import os
import subprocess

import harness
import pytest

ADDRESSES = ["left=192.168.1.1", "right=192.168.1.2", "vm=192.168.1.4", "apart=192.168.2.3"]


def script_of(check):
    path = harness.ROOT / f"tests/nixos/{check}.nix"
    command = ["nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", "-E", f"(import {path}).testScript"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="there is no /dev/net/tun")
def test_containers(guests):
    containers = {name: guests.container(name, node, [1 if node < 3 else 2], ADDRESSES)
                  for node, name in enumerate(["left", "right", "apart"], 1)}
    vms = {"vm": guests.systemd("vm", 4, [1], ADDRESSES)}
    harness.run(script_of("containers"), vms, containers=containers, vlans=[1, 2], seconds=300)


def web(guests):
    return {"containers": {"server": guests.container("server", 1, [1]),
                           "client": guests.container("client", 2, [1], ["server=192.168.1.1"])},
            "vlans": [1], "seconds": 200}


def test_legacy_syntax(guests):
    result = harness.run(script_of("legacy-syntax"), **web(guests))
    assert "subtest: what is not served is refused" in result.log


def test_pytest_syntax(guests):
    result = harness.run(script_of("pytest-syntax"), **web(guests))
    assert "4 passed" in result.out + result.log


def test_vlan_faults(guests):
    vms = {name: guests.systemd(name, node, [1], ADDRESSES) for node, name in enumerate(["left", "right"], 1)}
    harness.run(script_of("vlan-faults"), vms, vlans=[1], seconds=400)
