"""A pytest plugin with fixtures for tests of a boot image: an ISO that knows nothing of tests is booted in QEMU, watched
on its serial console up to the login prompt, and then used by SSH.

A project adds it in its conftest.py, or by the option -p. In the first case a value of an option has to stand behind
"=" (--boot-image=FILE): until pytest has found the conftest.py it takes a separate value for the name of a test.

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
OUTCOME = "boot_image_outcome"  # the name of the plugin image_boot.Outcome
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
                    help=f"the ISO to test, instead of a new build (also by {image_build.ISO_VARIABLE} in the environment); "
                         "with the '=' if a conftest.py adds this plugin")
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
    if plain.is_inside_driver():
        from test_driver_pytest.image_boot import Outcome

        config.pluginmanager.register(Outcome(), OUTCOME)
    else:  # the driver's own plugin has these marks
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
        return image_build.qemu(boot_image_options.get("arch"))


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


# ---- the image


@pytest.fixture(scope="session")
def boot_image_options():
    """A dict of arguments of create_image_machine() for boot_image_vm, and `login_prompt`, the regular expression of
    the login prompt, and `log_globs`, patterns of files of the guest that are kept; empty by itself. A conftest.py may
    replace the fixture by one that returns, for example, {"memory": 2048, "disks": ["4G"], "firmware": "uefi"}."""
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


# ---- the machine


@dataclass(frozen=True)
class BootSshKeyPair:
    """private_key: the path of the private key's file, which only the user can read. public_key: the line of the public
    key, as in authorized_keys."""

    private_key: Path
    public_key: str


@pytest.fixture(scope="session")
def boot_ssh_key_pair():
    """The BootSshKeyPair of this run, made by the driver."""
    from test_driver.ssh_key import run_key

    pair = run_key()
    return BootSshKeyPair(pair.private, pair.public)


@pytest.fixture(scope="session")
def boot_image_vm(request, boot_image_build, boot_ssh_key_pair, qemu_executable, boot_image_options):
    """The machine, an ImageMachine, which has shown its login prompt and can be used by SSH. It has two empty disks of
    1 GiB unless boot_image_options says otherwise. `boot_image_vm.record` is the record of its run."""
    from test_driver_pytest import image_boot

    outcome = request.config.pluginmanager.get_plugin(OUTCOME)
    with failing():
        yield from image_boot.machine(boot_image_build, boot_ssh_key_pair.private_key, boot_image_options, request.config,
                                      outcome)


@pytest.fixture(scope="session")
def ssh_forward_port(boot_image_vm):
    """The port of 127.0.0.1 that leads to the machine's port 22, an int. It is a free one that QEMU has taken, which is
    known when the machine runs."""
    return boot_image_vm.ssh_port


@dataclass(frozen=True)
class VmDiskImage:
    """path: the file of a disk on the host, which exists until the end of the session. size: its bytes, holes
    included."""

    path: Path
    size: int


@pytest.fixture(scope="session")
def vm_disk_image(boot_image_vm):
    """The VmDiskImage of the machine's first disk, /dev/vda: a raw disk unless boot_image_options gives an image."""
    with failing():
        if not boot_image_vm.disk_paths:
            raise image_build.BootImageFailure("vm_disk_image: boot_image_options gives the machine no disks")
    path = boot_image_vm.disk_paths[0]
    return VmDiskImage(path, path.stat().st_size)
