"""The fixtures for boot images."""

import pytest

pytest_plugins = ["test_driver_pytest.boot_image"]


@pytest.fixture(scope="session")
def boot_image_options():
    return {"memory": 2048, "disks": ["1G", "1G"]}
