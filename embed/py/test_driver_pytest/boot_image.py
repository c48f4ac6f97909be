"""A pytest plugin with fixtures for tests of a boot image: an ISO that knows nothing of tests is booted in QEMU, watched
on its serial console up to the login prompt, and then used by SSH.

A project adds it in its conftest.py, or by the option -p:

    pytest_plugins = ["test_driver_pytest.boot_image"]

The fixtures have the scope of the session, so that the image is built and booted once. They need the driver. In a
session that pytest itself has begun, the plugin starts the driver, which goes on with the session (`plain`). What is
missing, and what takes too long, is a failure whose text names it; nothing is skipped.
"""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from test_driver_pytest import image_build, plain

ATTRIBUTE = ".#bootImage"  # what Nix builds
MARKS = ("vm: boots machines", "slow: takes long")
OUTSIDE = ("help", "version", "markers")  # options with which pytest runs no tests


@contextmanager
def failing():
    """A context manager: BootImageFailure within it is a failure of the test, without a traceback."""
    try:
        yield
    except image_build.BootImageFailure as failure:
        raise pytest.fail.Exception(str(failure), pytrace=False) from None


# ---- the session


def pytest_addoption(parser):
    group = parser.getgroup("boot image")
    group.addoption("--boot-image", metavar="FILE",
                    help=f"the ISO to test, instead of a new build (also by {image_build.ISO_VARIABLE} in the environment)")
    group.addoption("--boot-image-attr", metavar="ATTRIBUTE", default=ATTRIBUTE,
                    help=f"what `nix build` builds if no ISO is given (default: {ATTRIBUTE})")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    if plain.is_inside_driver() or any(getattr(config.option, name, False) for name in OUTSIDE):
        return
    try:
        plain.start_driver(config)
    except plain.CannotStart as fault:
        raise pytest.UsageError(str(fault)) from None


def pytest_configure(config):
    if not plain.is_inside_driver():  # the driver's own plugin has these marks
        for mark in MARKS:
            config.addinivalue_line("markers", mark)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks the tests that boot the image, before pytest selects by marks."""
    for item in items:
        if "boot_image_vm" in getattr(item, "fixturenames", ()):
            item.add_marker("vm")
            item.add_marker("slow")


def pytest_report_header(config):
    given = config.option.boot_image
    return f"boot image: {given}" if given else None


# ---- programs


@pytest.fixture(scope="session")
def nix_executable():
    """The path of nix. Only needed if no image is given."""
    with failing():
        return image_build.executable("nix")


@pytest.fixture(scope="session")
def qemu_executable(boot_image_options):
    """The path of the QEMU for the image's architecture."""
    with failing():
        return image_build.executable(image_build.qemu_name(boot_image_options.get("arch")))


@pytest.fixture(scope="session")
def ssh_keygen_executable():
    """The path of ssh-keygen, for tests that call it: the other fixtures do not need it."""
    with failing():
        return image_build.executable("ssh-keygen")


@pytest.fixture(scope="session")
def ssh_executable():
    """The path of ssh, for tests that call it: the other fixtures do not need it."""
    with failing():
        return image_build.executable("ssh")


# ---- the image and the key


@dataclass(frozen=True)
class BootSshKeyPair:
    """private_key: the path of the private key's file, which only the user can read. public_key: the text of the public
    key, as in authorized_keys."""

    private_key: Path
    public_key: str


@pytest.fixture(scope="session")
def boot_image_options():
    """A dict of arguments of create_image_machine() for boot_image_vm, and `login_prompt`, the regular expression of
    the login prompt; empty by itself. A conftest.py may replace the fixture by one that returns, for example,
    {"memory": 2048, "disks": ["4G"], "firmware": "uefi"}."""
    return {}


@pytest.fixture(scope="session")
def boot_image_build(request, tmp_path_factory):
    """The image_build.BootImageBuild: built by `nix build .#bootImage`, or given by --boot-image or BOOT_IMAGE_ISO."""
    from _test_driver import current_driver  # which plain pytest has not

    option, variable = request.config.option.boot_image, os.environ.get(image_build.ISO_VARIABLE)
    with failing():
        if option or variable:
            return image_build.given_image(option or variable, "--boot-image" if option else image_build.ISO_VARIABLE)
        nix, driver = request.getfixturevalue("nix_executable"), current_driver()
        attribute, log = request.config.option.boot_image_attr, driver.out_dir / "boot-image-build.log"
        driver.logger.log(f"nix build {attribute}; its output goes to {log}")
        build = image_build.build_image(nix, attribute, request.config.rootpath, tmp_path_factory.mktemp("nix") / "result",
                                        log)
        driver.logger.log(f"built {build.iso} in {build.build_seconds:.1f} s")
        return build


@pytest.fixture(scope="session")
def boot_image_iso(boot_image_build):
    """The path of the ISO."""
    return boot_image_build.iso
