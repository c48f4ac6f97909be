"""Fixtures for the tests of the driver's pytest mode."""

import pytest

pytest.register_assert_rewrite("pytest_harness", "isolation_harness")

collect_ignore = ["suite"]  # the tests in it are run by the driver that is tested


@pytest.fixture(scope="session")
def pair(fakes):
    return fakes("client", "server")
