"""The steps of nix/package.nix without Nix: the driver is compiled for another interpreter, installed, moved and
used."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import toolchain

import harness

SCRIPT = """
import colours
import test_driver.driver
machine.succeed("true")
print("colours", colours.red)
print("package", test_driver.driver.__file__)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A tree like that of `python3.withPackages`: an interpreter, the modules that it imports, and packages of its
    own."""
    directory = tmp_path_factory.mktemp("environment")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = directory / "lib" / version
    packages = directory / "lib/python3/dist-packages"  # Debian's name for site-packages
    library.mkdir(parents=True)
    packages.mkdir(parents=True)
    for path in (toolchain.Path("/usr/lib") / version).iterdir():
        (library / path.name).symlink_to(path)
    (packages / "colours.py").write_text("red = 1\n")
    (directory / "bin").mkdir()
    shutil.copy(os.path.realpath("/usr/bin/python3"), directory / "bin/python3")
    return directory


@pytest.fixture(scope="module")
def installed(tmp_path_factory, environment):
    """The driver, built in a copy of the sources that is removed afterwards, and moved after its installation."""
    directory = tmp_path_factory.mktemp("package")
    source = directory / "source"
    source.mkdir()
    for name in "Makefile", "driver", "embed":
        path = toolchain.ROOT / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, source / name)
    make = ["make", "-s", "-C", source, "-j2", f"PREFIX={directory}/prefix", f"PYTHON={environment}/bin/python3"]
    toolchain.run(*make)
    toolchain.run(*make, "install")
    shutil.rmtree(source)
    (directory / "prefix").rename(directory / "moved")
    return directory / "moved"


def test_nothing_knows_where_it_was_built(installed):
    words = str(installed.parent).encode()
    assert [path for path in installed.rglob("*") if path.is_file() and words in path.read_bytes()] == []


def test_what_is_installed(installed):
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    package = installed / "lib" / version / "site-packages/test_driver"
    assert {path.name for path in (installed / "bin").iterdir()} == {"nixos-test-driver", "generate-driver-symbols"}
    assert (package / "py.typed").exists() and (package / "machine/__init__.pyi").exists()
    assert not list(installed.rglob("*.pyc"))
    schema = json.loads((installed / "share/nixos-test-driver/events.schema.json").read_text())
    assert schema["$defs"]["format"]["properties"]["version"] == {"const": 1}
    for place in installed / "share/nixos-test-driver", package:
        assert json.loads((place / "run-record.schema.json").read_text())["$defs"]["line"]
    assert os.readlink(installed / "bin/generate-driver-symbols") == "nixos-test-driver"
    pages = installed / "share/man/man1"
    assert "\n.SH OPTIONS\n" in (pages / "nixos-test-driver.1").read_text()
    assert os.readlink(pages / "generate-driver-symbols.1") == "nixos-test-driver.1"


def test_version(installed):
    makefile = (toolchain.ROOT / "Makefile").read_text()
    version = makefile.partition("VERSION = ")[2].split()[0]
    assert toolchain.run(installed / "bin/nixos-test-driver", "--version") == f"nixos-test-driver {version}\n"


def test_symbols(installed, tmp_path):
    toolchain.run(installed / "bin/generate-driver-symbols", cwd=tmp_path)
    names = (tmp_path / "driver-symbols").read_text()
    assert "start_all" in names.split(",") and not names.endswith("\n")


def test_a_script_finds_the_packages_of_its_interpreter(installed, fakes):
    with harness.Run(SCRIPT, fakes("machine"), driver=(str(installed / "bin/nixos-test-driver"),)) as run:
        result = run.finish()
    assert result.status == 0, result.log
    assert "colours 1" in result.lines
    assert f"package {installed}/bin/../lib/" in "\n".join(result.lines)


def test_behind_a_wrapper(installed, fakes, tmp_path):
    """The framework of nixpkgs renames the program, or a link to it, and puts a script in its place."""
    hidden, wrapper = tmp_path / ".nixos-test-driver-wrapped", tmp_path / "nixos-test-driver"
    hidden.symlink_to(installed / "bin/nixos-test-driver")
    wrapper.write_text(f'#!/bin/bash\nexec -a "$0" {hidden} --log-level warning "$@"\n')
    wrapper.chmod(0o755)
    with harness.Run(SCRIPT, fakes("machine"), driver=(str(wrapper),)) as run:
        result = run.finish()
    assert result.status == 0, result.log


def test_the_build_says_what_is_missing(installed):
    shutil.copytree(installed, installed.parent / "broken", symlinks=True)
    shutil.rmtree(installed.parent / "broken/lib")
    done = subprocess.run([installed.parent / "broken/bin/generate-driver-symbols"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "test_driver is missing" in done.stderr
