"""Fixtures for all tests of this directory: start scripts, {name: path}, of fake machines and of real guests."""

import functools
import subprocess
from pathlib import Path

import pytest

pytest.register_assert_rewrite("harness", "timeline")
import harness  # noqa: E402


class Guests:
    """Makes start scripts of real guests, each once in a worker of pytest-xdist. make-vm builds kernels and file
    systems in a cache, under a lock, so that workers do not disturb each other."""

    def __init__(self, directory):
        self.directory = directory
        self.make = functools.cache(self._make)

    def _make(self, flavour, name, node, vlans, hosts=()):
        # A directory for each combination, since start scripts of the same name may differ.
        out = "-".join([f"{self.directory}/{flavour}", str(node), *map(str, vlans)])
        command = [harness.ROOT / "tests/guests/make-vm", "--node", str(node), "--out", out]
        command += [word for vlan in vlans for word in ("--vlan", str(vlan))]
        command += [word for host in hosts for word in ("--host", host)]
        made = subprocess.run([*command, flavour, name], stdout=subprocess.PIPE, check=True, text=True)
        return made.stdout.splitlines()[-1]

    def tiny(self, name="machine", node=1, vlans=()):
        return self.make("tiny", name, node, tuple(vlans))

    def systemd(self, name="machine", node=1, vlans=(), hosts=()):
        return self.make("systemd", name, node, tuple(vlans), tuple(hosts))

    def container(self, name, node=1, vlans=(), hosts=()):
        """The start script of a container. hosts: words NAME=ADDRESS."""
        if harness.obstacle_to_containers():
            pytest.skip(f"no containers can be started here: {harness.obstacle_to_containers()}")
        command = [harness.ROOT / "tests/guests/make-container", "--node", str(node), "--out", f"{self.directory}/containers"]
        command += [word for vlan in vlans for word in ("--vlan", str(vlan))]
        command += [word for host in hosts for word in ("--host", host)]
        made = subprocess.run([*command, name], stdout=subprocess.PIPE, check=True, text=True)
        return made.stdout.splitlines()[-1]

    def image(self):
        """The path of the ISO of a guest that knows of no driver. `make-image --help` names its users and units."""
        made = subprocess.run([harness.ROOT / "tests/guests/make-image"], stdout=subprocess.PIPE, check=True, text=True)
        return made.stdout.splitlines()[-1]


@pytest.fixture(scope="session")
def guests(tmp_path_factory):
    return Guests(str(tmp_path_factory.mktemp("vms")))


@pytest.fixture(scope="session")
def tiny(guests):
    """{"machine": the start script of a tiny guest}."""
    return {"machine": guests.tiny()}


@pytest.fixture
def without_shares(tiny, tmp_path):
    """A tiny guest without the directories that it shares with the host, with which QEMU makes no snapshot."""
    text = Path(tiny["machine"]).read_text()
    assert '"${shares[@]}"' in text
    script = tmp_path / "run-machine-vm"
    script.write_text(text.replace('"${shares[@]}"', ""))
    script.chmod(0o755)
    return {"machine": str(script)}


@pytest.fixture(scope="session")
def fakes(tmp_path_factory):
    """A function that takes names and returns {name: start script of a fake machine}."""
    directory = tmp_path_factory.mktemp("fakes")

    def scripts(*names):
        for name in names:
            path = directory / f"run-{name}-vm"
            if not path.is_symlink():
                path.symlink_to(harness.ROOT / "tests/fake/run-fake-vm")
        return {name: str(directory / f"run-{name}-vm") for name in names}

    return scripts


@pytest.fixture(scope="session")
def fake(fakes):
    """{"machine": the start script of a fake machine}."""
    return fakes("machine")


@pytest.fixture(scope="session")
def comma_locale(tmp_path_factory):
    """The environment that a script needs to choose the locale de_DE.UTF-8, where numbers have commas."""
    directory = tmp_path_factory.mktemp("locales")
    try:
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", directory / "de_DE.UTF-8"], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("localedef or the source of the locale de_DE is missing")
    return {"LOCPATH": directory}
