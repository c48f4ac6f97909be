"""Fixtures of the tests of pytest mode."""

import pytest

pytest.register_assert_rewrite("pytest_harness")

collect_ignore = ["suite"]  # the driver runs it


@pytest.fixture(scope="session")
def pair(fakes):
    return fakes("client", "server")
