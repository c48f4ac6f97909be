"""The fixtures of a run: machines and VLANs by name, and the other global names of scripts. `run` imports this
module."""

import builtins
import types

import pytest

# The names of pytest's own fixtures. A machine of such a name gets no fixture.
RESERVED = {
    "cache", "capfd", "capfdbinary", "caplog", "capsys", "capsysbinary", "capteesys", "doctest_namespace",
    "monkeypatch", "pytestconfig", "pytester", "record_property", "record_testsuite_property",
    "record_xml_attribute", "recwarn", "request", "subtests", "testdir", "tmp_path", "tmp_path_factory", "tmpdir",
    "tmpdir_factory",
}
# The global names of scripts that are fixtures, too.
NAMES = ("driver", "log", "start_all", "subtest", "retry", "t", "polling_condition", "create_machine")


def values(driver, crew):
    """Returns {fixture name: value} for the run's Driver and its machines.Crew."""
    symbols = driver.test_symbols()
    networks = {name: symbols[name] for name in symbols if name.startswith("vlan") and name[4:].isdigit()}
    return {
        **{name: symbols[name] for name in NAMES},
        "machines": crew.all,
        "out_dir": driver.out_dir,
        **networks,
        **{name: machine for name, machine in crew.by_name.items() if name not in RESERVED},
    }


def _fixture(name, value):
    """A fixture of the session whose value is known."""

    @pytest.fixture(scope="session", name=name)
    def fixture():
        return value

    return fixture


def is_of_driver(fixturedef):
    """Whether a fixture is one of this module's, which do nothing."""
    return getattr(fixturedef.func, "__module__", None) == __name__


def plugin(driver, crew):
    """Returns a pytest plugin, in the form of a module, with a fixture for each of values()."""
    module = types.ModuleType("machine_fixtures")
    for name, value in values(driver, crew).items():
        setattr(module, f"fixture_{name}", _fixture(name, value))
    return module


class ScriptNames:
    """A context manager within which the global names of legacy scripts are built-in names, so that a helper module can
    be shared by scripts of both styles."""

    def __init__(self, driver):
        self.names = {name: value for name, value in driver.test_symbols().items() if not hasattr(builtins, name)}

    def __enter__(self):
        vars(builtins).update(self.names)

    def __exit__(self, *exception):
        for name in self.names:
            vars(builtins).pop(name, None)
