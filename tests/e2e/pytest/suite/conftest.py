"""Fixtures of the suite, of every scope, that use the machines. ../test_pytest_suite.py has the driver run the
suite."""

import pytest

order = []


def boot_both():
    """A helper as in legacy scripts, which uses the global names of scripts without an import."""
    start_all()  # noqa: F821
    return sorted(machine.name for machine in machines if machine.booted)  # noqa: F821


@pytest.fixture(scope="session")
def greeting(server):
    order.append("session")
    return server.succeed("echo hello").strip()


@pytest.fixture(scope="module")
def module_directory(client, tmp_path_factory):
    order.append("module")
    yield tmp_path_factory.mktemp("module")
    client.succeed("echo module is over")


@pytest.fixture(scope="class")
def class_file(client, request):
    order.append("class")
    client.succeed(f"echo {request.cls.__name__} > class")
    yield "class"
    client.succeed("rm class")


@pytest.fixture
def broken(server):
    server.succeed("echo before the set-up fails; false")


@pytest.fixture
def leaves_badly(server):
    yield
    server.succeed("echo while it is taken down; exit 4")
