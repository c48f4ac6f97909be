"""Fixtures for the tests of the Nix files. A test that uses `nixpkgs` needs a package set, as of `make test-nix`; `make
test` skips and lists such tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import toolchain  # noqa: E402


def pytest_collection_modifyitems(items):
    if not toolchain.has_package_set():
        mark = pytest.mark.skip(reason="no package set: make test-nix NIXPKGS_LIB=DIR NIXOS=DIR STUB_PACKAGES=DIR, or NIXPKGS=DIR")
        for item in items:
            if "nixpkgs" in item.fixturenames:
                item.add_marker(mark)


@pytest.fixture(scope="session")
def nixpkgs(tmp_path_factory):
    return toolchain.Toolchain(tmp_path_factory.mktemp("nix"))


@pytest.fixture(scope="session")
def fakes(tmp_path_factory):
    """A function that takes names and returns {name: start script of a fake machine}."""
    directory = tmp_path_factory.mktemp("fakes")

    def scripts(*names):
        for name in names:
            if not (directory / f"run-{name}-vm").is_symlink():
                (directory / f"run-{name}-vm").symlink_to(toolchain.ROOT / "tests/fake/run-fake-vm")
        return {name: str(directory / f"run-{name}-vm") for name in names}
    return scripts
