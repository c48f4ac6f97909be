"""Fixtures for machines that tests make for themselves (test_driver.test_vm). Each test's own: they are deleted when it
has ended, however."""

import pytest

from test_driver.test_vm import TestVMManager


def _ready(vm):
    if vm.booted and vm.root_shell:
        vm.connect()
    return vm


@pytest.fixture(scope="session")
def test_vm_options():
    """What create_test_vm() is called with unless a test says otherwise, a dict. It is for conftest.py, modules and
    classes to replace: return {"image": "disk.qcow2", "memory": 2048}."""
    return {}


@pytest.fixture
def test_vm_manager(test_vm_options):
    """A TestVMManager, which can be called: test_vm_manager(image=..., ...) is a machine."""
    with TestVMManager(**test_vm_options) as manager:
        yield manager


@pytest.fixture
def test_vm(test_vm_manager):
    """A machine that runs; its root shell is there, if it has one."""
    return _ready(test_vm_manager.create())


@pytest.fixture
def vm_pool(test_vm_manager):
    """vm_pool(count, ...): so many machines like test_vm, started at the same time, in a list."""
    return lambda count, **options: [*map(_ready, test_vm_manager.create_many(count, **options))]
