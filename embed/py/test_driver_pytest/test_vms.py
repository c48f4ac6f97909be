"""Fixtures for machines that a test makes itself (test_driver.test_vm). The machines of a test are deleted at its end,
whatever its outcome. `run` imports this module, which is a pytest plugin."""

import pytest

from test_driver.test_vm import TestVMManager


def _ready(vm):
    """Waits for the root shell of a machine that has one, and returns the machine."""
    if vm.booted and vm.root_shell:
        vm.connect()
    return vm


@pytest.fixture(scope="session")
def test_vm_options():
    """A dict of default arguments of create_test_vm(), empty by itself. A conftest.py, module or class may replace the
    fixture by one that returns, for example, {"image": "disk.qcow2", "memory": 2048}."""
    return {}


@pytest.fixture
def test_vm_manager(test_vm_options):
    """A TestVMManager: vm = test_vm_manager(image=..., ...) makes a machine."""
    with TestVMManager(**test_vm_options) as manager:
        yield manager


@pytest.fixture
def test_vm(test_vm_manager):
    """A machine that runs and whose root shell, if it has one, is ready."""
    return _ready(test_vm_manager.create())


@pytest.fixture
def vm_pool(test_vm_manager):
    """A function: vm_pool(count, ...) makes `count` machines like test_vm and returns them in a list: one boots, and
    the others are its clones, if it can be cloned; with clone=False, all boot at the same time."""
    def make(count, *, clone=True, **options):
        return [*map(_ready, test_vm_manager.create_many(count, clone=clone, **options))]

    return make
