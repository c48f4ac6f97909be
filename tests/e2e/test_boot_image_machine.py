"""The machine of the pytest plugin for boot images: its boot, its time-outs, its record and its end. The machine is a
fake one; test_boot_image.py has a real image."""

import json
import signal

import pytest

from plugin_harness import Session, fake_machine, run

BOTH = pytest.mark.parametrize("how", ["driver", "plain"])
BOOTED = {"FAKE_OUTPUT": "booting\\nboot-image login: "}
WORDS = ("--boot-image=image.iso",)
PASSING = "def test_it(boot_image_vm):\n    assert boot_image_vm.succeed('echo $((1 + 1))') == '2\\n'\n"


def records(result):
    return [json.loads(path.read_text()) for path in sorted(result.directory.glob("out/vm-runs/*/metadata.json"))]


def session(how, test, *words, options=None, env=None, status=0, signals=(), **named):
    """Does a session with the fake machine and returns its result, with the metadata of its only record and the ledger's
    only line. signals: (text to wait for, signal)."""
    files = {**fake_machine(**(options or {})), "test_it.py": test}
    with Session(how, files, *WORDS, *words, env={**BOOTED, **(env or {})}, **named) as running:
        for text, number in signals:
            running.wait_for(text)
            running.signal(number)
        result = running.finish()
        if result.status != status:
            running.fail(f"exit status {result.status}, expected {status}")
        result.directory = running.directory
        result.options = json.loads((running.directory / "options.json").read_text())
        (result.record,) = records(result)
        ledger = running.directory / "notes/vm-run-ledger.jsonl"
        (result.line,) = map(json.loads, ledger.read_text().splitlines())
        assert list(running.directory.glob("tmp/vm-state-*")) == []
        assert "UserWarning" not in result.out + result.log
        return result


# ---- a boot


@BOTH
def test_one_boot_for_all_tests(how):
    result = session(how, """
import stat
import pytest

@pytest.fixture(scope="session")
def of_the_session(boot_image_iso, boot_image_build, boot_image_vm, boot_ssh_key_pair, ssh_forward_port, vm_disk_image,
                   qemu_executable):
    return boot_image_vm

def test_a(boot_image_vm, of_the_session):
    assert boot_image_vm is of_the_session and boot_image_vm.booted
    assert boot_image_vm.succeed("echo $((1 + 1))") == "2\\n"

class TestB:
    def test_the_key(self, boot_ssh_key_pair):
        assert boot_ssh_key_pair.private_key.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
        assert stat.S_IMODE(boot_ssh_key_pair.private_key.stat().st_mode) == 0o600
        assert boot_ssh_key_pair.public_key.startswith("ssh-ed25519 ") and "\\n" not in boot_ssh_key_pair.public_key

    def test_the_port(self, ssh_forward_port):
        assert ssh_forward_port == 4242

    def test_the_disk(self, vm_disk_image, boot_image_vm):
        assert vm_disk_image.path == boot_image_vm.disk_paths[0] and vm_disk_image.size == 1000

    def test_the_record(self, boot_image_vm):
        assert boot_image_vm.record.metadata["boot_to_login_seconds"] <= boot_image_vm.record.metadata["boot_to_ssh_seconds"]
""", "-v")
    assert set(result.outcomes.values()) == {"PASSED"} and len(result.outcomes) == 5
    assert result.log.count("starting vm") == 1
    assert result.options["disks"] == ["1G", "1G"] and result.options["iso"].endswith("/image.iso")
    record = result.record
    assert record["verdict"] == result.line["verdict"] == "passed" and record["boot_to_ssh_seconds"] >= 0
    assert record["build_seconds"] is None and record["pytest_args"][0] == WORDS[0]


def test_the_build_is_in_the_record():
    files = {**fake_machine(), "test_it.py": PASSING}
    with Session("plain", files, env=BOOTED) as running:
        assert running.finish().status == 0
        (path,) = running.directory.glob("out/vm-runs/*/metadata.json")
        assert json.loads(path.read_text())["build_seconds"] > 0


def test_options_of_the_machine():
    options = {"memory": 2048, "disks": ["4G"], "firmware": "uefi", "login_prompt": "hello from (the|an) image",
               "log_globs": ["/nowhere/*.log"]}
    result = session("driver", PASSING, options=options, env={"FAKE_OUTPUT": "hello from the image\\n"})
    assert {name: result.options[name] for name in ("memory", "disks", "firmware")} == {
        "memory": 2048, "disks": ["4G"], "firmware": "uefi"}
    assert "login_prompt" not in result.options and "log_globs" not in result.options


def test_a_key_of_the_project():
    test = """
import pathlib
import pytest
from test_driver_pytest.boot_image import BootSshKeyPair

@pytest.fixture(scope="session")
def boot_ssh_key_pair():
    return BootSshKeyPair(pathlib.Path("/the/key"), "ssh-ed25519 AAAA")

def test_it(boot_image_vm): pass
"""
    assert session("driver", test).options["ssh_key"] == "/the/key"
    assert "ssh_key" not in session("driver", PASSING).options


def test_a_machine_without_disks():
    test = "def test_it(vm_disk_image): pass\n"
    said = session("driver", test, options={"disks": []}, status=1).out
    assert "vm_disk_image: boot_image_options gives the machine no disks" in said


def test_marks():
    """Tests that boot the image can be left out by marks, also if they only take what needs the machine."""
    test = PASSING + "def test_port(ssh_forward_port): pass\ndef test_other(boot_image_iso): pass\n"
    for mark in "vm", "slow":
        result = run("driver", {**fake_machine(), "test_it.py": test}, *WORDS, "-m", f"not {mark}", "--strict-markers")
        assert result.outcomes == {"test_other": "PASSED"} and "2 deselected" in result.out
        assert "starting vm" not in result.log


# ---- failures


def failed(**named):
    result = session("driver", PASSING, status=1, **named)
    assert result.outcomes == {"test_it": "ERROR"} and " 1 error" in result.out
    assert result.record["verdict"] == result.line["verdict"] == "failed"
    return result


def test_no_login_prompt():
    env = {"BOOT_IMAGE_VM_SPAWN_TIMEOUT": "1.5", "FAKE_OUTPUT": "booting\\nkernel panic, almost\\n"}
    said = failed(env=env).out
    assert "BOOT_IMAGE_VM_SPAWN_TIMEOUT: boot-image-1 has not shown a login prompt, 'login:', on its console within 1.5 s" in said
    assert "  booting\n  kernel panic, almost\n" in said


def test_no_ssh():
    said = failed(env={"BOOT_IMAGE_VM_LOGIN_TIMEOUT": "1.5", "FAKE_BANNER": "no"}).out
    assert "BOOT_IMAGE_VM_LOGIN_TIMEOUT: SSH of boot-image-1, port 4242 of 127.0.0.1, could not be used within 1.5 s" in said
    assert "  boot-image login:" in said


@pytest.mark.parametrize("variable", ["BOOT_IMAGE_VM_SPAWN_TIMEOUT", "BOOT_IMAGE_VM_LOGIN_TIMEOUT"])
def test_a_time_out_that_is_none(variable):
    assert f"environment variable {variable}: '1 h' is not a number of seconds above 0" in failed(env={variable: "1 h"}).out


def test_a_machine_that_ends():
    said = failed(env={"FAKE_EXIT": "start:3"}).out
    assert "boot-image-1 ended before its login prompt 'login:'" in said and "exited with code 3" in said


def test_a_failed_test_is_in_the_record():
    test = PASSING + "def test_bad(boot_image_vm):\n    boot_image_vm.fail('true')\ndef test_other(): assert 0\n"
    result = session("driver", test, status=1)
    assert result.outcomes == {"test_it": "PASSED", "test_bad": "FAILED", "test_other": "FAILED"}
    assert result.record["verdict"] == "failed"


def test_a_failure_elsewhere_is_not():
    result = session("driver", PASSING + "def test_other(): assert 0\n", status=1)
    assert result.record["verdict"] == "passed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_machine(number):
    test = "def test_it(boot_image_vm):\n    print('now', flush=True)\n    boot_image_vm.execute('sleep 1000')\n"
    result = session("plain", test, "-s", signals=[("now$", number)], status=128 + number)
    assert result.record["verdict"] == "failed"
