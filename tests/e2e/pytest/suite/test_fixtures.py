"""The fixtures that the driver adds, together with pytest's own."""

import logging
from pathlib import Path

import pytest
from conftest import boot_both, order

from test_driver.machine import QemuMachine


def test_machines_by_name(client, server, machines):
    assert [client, server] == machines and machines["server"] is server
    assert isinstance(client, QemuMachine)
    with pytest.raises(KeyError, match="no machine is called 'third'; there are client, server"):
        machines["third"]


def test_names_of_scripts(driver, log, start_all, subtest, retry, t, polling_condition, create_machine, out_dir, vlan1):
    start_all()
    assert driver.machines and vlan1.nr == 1 and Path(out_dir) == driver.out_dir
    with subtest("a part of it"):
        log.info("in the part")
    retry(lambda last: True)
    t.assertEqual(1, 1)

    @polling_condition
    def holds():
        return True

    with holds:
        assert create_machine("true").name == "machine"


def test_shared_helper():
    assert boot_both() == ["client", "server"]


def test_scopes(greeting, module_directory):
    assert greeting == "hello" and module_directory.is_dir()
    assert order == ["session", "module"]


def test_capsys(capsys, client):
    print("printed")
    assert client.succeed("echo guest") == "guest\n"
    assert capsys.readouterr().out == "printed\n"  # the driver's log is not captured


def test_capfd(capfd, client):
    client.succeed("echo guest >&2")
    assert capfd.readouterr() == ("", "")


def test_caplog(caplog, client):
    logging.getLogger("mine").warning("careful")
    client.succeed("true")
    assert [record.message for record in caplog.records] == ["careful"]


def test_tmp_path(tmp_path, monkeypatch, client):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("from the host")
    assert client.succeed(f"cat {tmp_path}/file") == "from the host"


def test_request(request, server):
    assert request.getfixturevalue("server") is server and request.node.name == "test_request"
