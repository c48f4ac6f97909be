"""Parts of the pytest plugin, tested without a driver."""

import sys
from types import SimpleNamespace

import harness
import pytest

sys.path.insert(0, str(harness.ROOT / "embed/py"))
from test_driver_pytest import requirements  # noqa: E402


def missing(*names, **wanted):
    return requirements.missing(SimpleNamespace(args=names, kwargs=wanted))


def test_memory(monkeypatch):
    monkeypatch.setattr(requirements, "_available", lambda: 2 << 30)
    for met in "2G", "2GiB", "2048M", "1.5 G", 1000, "0":
        assert missing(memory=met) is None
    assert missing(memory="3G") == "requires memory=3G: 2.0G are available"
    assert missing(memory="2.1T") == "requires memory=2.1T: 2.0G are available"
    for wrong in "much", "-1G", "1GG", "":
        with pytest.raises(ValueError, match="is not a size such as \"4G\""):
            missing(memory=wrong)


def test_kvm(monkeypatch):
    monkeypatch.setattr(requirements.os, "access", lambda path, mode: path != "/dev/kvm")
    assert missing("kvm") == "requires kvm: /dev/kvm cannot be used"
    monkeypatch.setattr(requirements.os, "access", lambda path, mode: True)
    assert missing("kvm") is None


def test_net(monkeypatch):
    class Unreachable(requirements.socket.socket):
        def connect(self, address):
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(requirements.socket, "socket", Unreachable)
    assert missing("net") == "requires net: there is no network: Network is unreachable"


def test_unknown():
    with pytest.raises(ValueError, match="unknown 'moon', 'disk'; known are 'kvm', 'net' and memory"):
        missing("moon", disk="1G")


def test_names_of_directories(monkeypatch):
    monkeypatch.setitem(sys.modules, "_test_driver", SimpleNamespace(collect=None, recall=None))
    from test_driver_pytest.reports import directory_name

    assert directory_name("test_a.py::TestB::test_c[1-x]") == "test_a.py-TestB-test_c[1-x]"
    assert directory_name("a/test_a.py::test") != directory_name("b/test_a.py::test")
    assert directory_name("../a.py::test") == "a.py-test"
    names = {directory_name(f"a.py::test[{text}]") for text in ("a b", "a_b", "a:b", "a/../b", "a\nb", "ä", 300 * "x")}
    assert len(names) == 7 and all("/" not in name and name.isascii() and len(name) < 200 for name in names)
