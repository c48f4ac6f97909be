"""What tests can take as arguments: machines and networks by name, and the other names of scripts."""

import builtins
import types

import pytest

# Fixtures of pytest itself, whose names a machine cannot have at the same time.
RESERVED = {
    "cache", "capfd", "capfdbinary", "caplog", "capsys", "capsysbinary", "capteesys", "doctest_namespace",
    "monkeypatch", "pytestconfig", "pytester", "record_property", "record_testsuite_property",
    "record_xml_attribute", "recwarn", "request", "subtests", "testdir", "tmp_path", "tmp_path_factory", "tmpdir",
    "tmpdir_factory",
}
NAMES = ("driver", "log", "start_all", "subtest", "retry", "t", "polling_condition", "create_machine")


def values(driver, crew):
    """{fixture name: value}."""
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
    @pytest.fixture(scope="session", name=name)
    def fixture():
        return value

    return fixture


def plugin(driver, crew):
    """A plugin, which is a module, with one fixture a name."""
    module = types.ModuleType("machine_fixtures")
    for name, value in values(driver, crew).items():
        setattr(module, f"fixture_{name}", _fixture(name, value))
    return module


class ScriptNames:
    """While it is entered, the names of legacy scripts are known in every module, so that helpers can be shared
    between both styles."""

    def __init__(self, driver):
        self.names = {name: value for name, value in driver.test_symbols().items() if not hasattr(builtins, name)}

    def __enter__(self):
        vars(builtins).update(self.names)

    def __exit__(self, *exception):
        for name in self.names:
            vars(builtins).pop(name, None)
