"""Test machines, made by scripts: names, clean-up, repeated starts, and users, with fake machines.
test_test_vm_images.py has disks and ISOs, pytest/test_pytest_vms.py the fixtures."""

import signal
import stat

import pytest

import harness

FAKE = harness.ROOT / "tests/fake/run-fake-vm"
IMPORTS = harness.ERROR_OF + """
import os
from pathlib import Path
from test_driver.test_vm import TestVM, TestVMManager, Timeouts, create_test_vm, delete_test_vm
"""
IMAGE = {"TEST_VM_IMAGE": FAKE}


def run(script, **named):
    env = {**IMAGE, **named.pop("env", {})}
    return harness.run(IMPORTS + harness.textwrap.dedent(script), env=env, **named)


def state_directories(run):
    return sorted(path.name for path in (run.directory / "tmp").glob("vm-state-*"))


def assert_cleaned(run):
    assert harness.wait_until(lambda: not state_directories(run), harness.LEAVE_SECONDS), state_directories(run)


# ---- names


def test_a_machine_that_is_its_name():
    run("""
        vm = create_test_vm(name_prefix="web", start=False)
        name = vm.name
        assert isinstance(vm, QemuMachine) and not vm.booted and name.startswith("web-") and name != "web-"
        assert f"{vm}" == str(vm) == os.fspath(vm) == "%s" % vm == name and f"{vm:>30}" == name.rjust(30)
        assert vm == name and name == vm and vm != "other" and vm in [name] and vm is not name
        assert {vm: 1}[name] == {name: 1}[vm] == 1
        assert vm.succeed("echo it runs") == "it runs\\n"
        directory = vm.state_dir
        assert directory.is_dir() and directory.name == f"vm-state-{vm}"
        delete_test_vm(name)
        assert not vm.booted and not directory.exists() and str(vm) == name
        delete_test_vm(vm)
        assert error_of(vm.succeed, "true").endswith("has been released")
        assert error_of(vm.start).endswith("has been released")
        assert "no test machine is called" in error_of(delete_test_vm, name)
        assert "no test machine is called 'machine'" in error_of(delete_test_vm, "machine")
        assert error_of(create_test_vm, name_prefix="a/b").startswith("ValueError: name_prefix 'a/b'")
        assert error_of(create_test_vm, name_prefix="").startswith("ValueError: name_prefix ''")
    """)


def test_deleting_machines_of_the_configuration_is_refused(fake):
    run("""
        assert "no test machine is called" in error_of(delete_test_vm, machine)
        assert machine.succeed("echo a") == "a\\n"
    """, vms=fake)


def test_drivers_at_the_same_time_have_different_names(tmp_path):
    script = IMPORTS + """
vms = [create_test_vm(start=False) for _ in range(20)]
print(*vms)
print("now")
while not os.path.exists(os.environ["GO"]):
    pass
assert vms[0].succeed("pwd").strip() == str(vms[0].state_dir)
"""
    env = {**IMAGE, "TMPDIR": tmp_path, "GO": tmp_path / "go"}
    with harness.Run(script, env=env) as one, harness.Run(script, env=env) as other:
        for run in one, other:
            run.wait_for("^now$")
        (tmp_path / "go").touch()
        lines = [run.finish().lines[0] for run in (one, other)]
    names = " ".join(lines).split()
    assert len(names) == len(set(names)) == 40
    assert not list(tmp_path.glob("vm-state-*"))


# ---- the end of machines


def test_machines_as_context_managers():
    run("""
        with create_machine(os.environ["TEST_VM_IMAGE"], name="plain") as plain:
            assert not plain.booted and plain.succeed("echo a") == "a\\n"
        assert not plain.booted and plain.state_dir.is_dir()
        try:
            with create_test_vm() as vm:
                assert vm.booted
                raise KeyError("failed")
        except KeyError:
            pass
        assert not vm.booted and not vm.state_dir.exists()
    """)


def test_a_manager():
    run("""
        with TestVMManager(name_prefix="one", memory=None) as vms:
            first, second = vms.create(), vms(name_prefix="two", start=False)
            assert first.booted and first.name.startswith("one-")
            assert second.name.startswith("two-") and not second.booted and vms.vms == [first, second]
            vms.delete(str(first))
            assert vms.vms == [second] and not first.booted
            third = vms.create()
            many = vms.create_many(3, name_prefix="many")
            assert all(vm.booted for vm in many) and len(set(many)) == 3
        assert not third.booted and not any(vm.state_dir.exists() for vm in [first, second, third, *many])
        assert "makes no more" in error_of(vms.create)
        assert not list(driver.tmp_dir.glob("vm-state-*"))
        assert "unexpected keyword" in error_of(TestVMManager().create, memroy=5)
    """)


def test_a_pool_of_which_one_fails(tmp_path):
    script = tmp_path / "run-some-vm"
    script.write_text(f"""#!/bin/sh
        mkdir {tmp_path}/taken 2> /dev/null && echo 'no such option' && exit 1
        exec {FAKE} "$@"
    """)
    script.chmod(0o755)
    run(f"""
        with TestVMManager(image="{script}") as vms:
            message = error_of(vms.create_many, 3)
            assert message.startswith("MachineError: 1 of 3 machines did not start:\\n") and "no such option" in message
            assert vms.vms == [] and not list(driver.tmp_dir.glob("vm-state-*"))
    """)


@pytest.mark.parametrize("end, status", [
    ("pass", 0), ("raise Exception('it failed')", 1), ("os._exit(7)", 7), ("os.kill(os.getpid(), 9)", 137),
    ("driver.terminate_test()", 143)])
def test_nothing_is_left(end, status):
    with harness.Run(IMPORTS + f"""
vm = create_test_vm()
vm.succeed("mkdir -p below/it; touch below/it/file")
assert (vm.state_dir / "below/it/file").exists()
{end}
""", env=IMAGE) as run:
        assert run.finish().status == status
        assert_cleaned(run)


def test_state_can_be_kept():
    with harness.Run(IMPORTS + """
vm, deleted = create_test_vm(), create_test_vm()
delete_test_vm(deleted)
assert not deleted.booted
""", env=IMAGE, options=["--keep-machine-state"]) as run:
        assert run.finish().status == 0
        assert len(state_directories(run)) == 2


@pytest.mark.parametrize("script", [
    "with TestVMManager() as vms:\n    vm = vms.create()\n    print('now')\n    vm.succeed('sleep 1000')",
    "vm = create_test_vm()\nprint('now')\nvm.wait_for_console_text('never')",
    # while the main thread or another one waits for a start
    "print('now')\ncreate_test_vm('silent')",
    "with TestVMManager(image='silent') as vms:\n    print('now')\n    vms.create_many(3)",
])
def test_an_interruption_cleans_up(script, tmp_path):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\necho starting slowly\nsleep 1000\n")
    silent.chmod(0o755)
    with harness.Run(IMPORTS + script.replace("'silent'", repr(str(silent))), env=IMAGE) as run:
        run.wait_for("^now$")
        run.wait_for("starting slowly" if "silent" in script else "QEMU running")
        run.signal(signal.SIGINT)
        assert run.finish(seconds=20).status == 130
        assert_cleaned(run)


# ---- starts that fail

MESSAGES = {
    "a port is taken": [
        "-netdev user,id=u,hostfwd=tcp::35157-:22: Could not set up host forwarding rule 'tcp::35157-:22'",
        "-vnc 127.0.0.1:29257: Failed to find an available port: Address already in use"],
    "KVM is busy": [
        "failed to initialize kvm: Device or resource busy",
        "Could not access KVM kernel module: Device or resource busy"],
    "not enough memory": [
        "cannot set up guest memory 'pc.ram': Cannot allocate memory",
        "os_mem_prealloc: Insufficient free host memory pages available to allocate guest RAM"],
}
CASES = [(cause, message) for cause, messages in MESSAGES.items() for message in messages]


@pytest.fixture
def failing(tmp_path):
    """A function that makes a start script which fails a number of times with a message. Each start adds a line to the
    file `calls`."""
    def make(message, times):
        script = tmp_path / "run-failing-vm"
        script.write_text(f"""#!/bin/bash
            echo called >> {tmp_path}/calls
            if [ $(wc -l < {tmp_path}/calls) -le {times} ]; then
                echo "qemu-system-x86_64: {message}" >&2
                exit 1
            fi
            exec {FAKE} "$@"
        """)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return script

    return make


def calls(tmp_path):
    return (tmp_path / "calls").read_text().count("called")


@pytest.mark.parametrize("cause, message", CASES)
def test_causes_that_pass_are_tried_again(cause, message, failing, tmp_path):
    result = run(f"""
        vm = create_test_vm("{failing(message, 2)}")
        assert vm.succeed("echo a") == "a\\n"
    """, env={"TEST_VM_START_PAUSE": "0.02"})
    assert calls(tmp_path) == 3
    for number in 1, 2:
        assert f"start {number} of 3 failed, {cause}: machine" in result.log
    assert result.log.index("the next try is in 0.02 s") < result.log.index("the next try is in 0.04 s")
    assert result.log.count("the next try") == 2


def test_three_tries_and_other_numbers(failing, tmp_path):
    script = failing(CASES[0][1], 99)
    log = run(f"""
        message = error_of(create_test_vm, "{script}", timeouts=Timeouts(start_pause=0.02))
        assert message.startswith("MachineDied: machine 'test-vm-") and "host forwarding rule" in message
        assert not list(driver.tmp_dir.glob("vm-state-*"))
        print(open("{tmp_path}/calls").read().count("called"))
        error_of(create_test_vm, "{script}", timeouts=Timeouts(start_pause=0.02, start_tries=2))
        print(open("{tmp_path}/calls").read().count("called"))
    """, env={"TEST_VM_START_PAUSE": "1000"})
    assert log.lines == ["3", "5"]
    assert "start 3 of 3 failed" in log.log and "start 2 of 2 failed" in log.log


def test_other_causes_are_not_tried_again(failing, tmp_path):
    result = run(f"""
        print(error_of(create_test_vm, "{failing("-foo: invalid option", 1)}"))
        assert not list(driver.tmp_dir.glob("vm-state-*"))
    """)
    assert "QEMU process exited with code 1" in result.out and "-foo: invalid option" in result.out
    assert calls(tmp_path) == 1 and "next try" not in result.log


def test_an_interruption_between_tries(failing, tmp_path):
    with harness.Run(IMPORTS + f'create_test_vm("{failing(CASES[0][1], 99)}")',
                     env={"TEST_VM_START_PAUSE": "1000"}) as run:
        run.wait_for("the next try is in 1000 s")
        run.signal(signal.SIGINT)
        assert run.finish(seconds=20).status == 130
        assert_cleaned(run)
    assert calls(tmp_path) == 1


def test_a_machine_that_is_deleted_is_not_tried_again(failing, tmp_path):
    result = run(f"""
        import threading
        vm = create_test_vm("{failing(CASES[0][1], 99)}", start=False, timeouts=Timeouts(start_pause=1000))
        thread = threading.Thread(target=lambda: print(error_of(vm.start)))
        thread.start()
        while not os.path.exists("{tmp_path}/calls"):
            pass
        vm.delete()
        thread.join()
    """)
    assert calls(tmp_path) == 1 and result.lines[0].startswith("MachineDied: ")


def test_time_limits(tmp_path):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 1000\n")
    silent.chmod(0o755)
    result = run(f"""
        print(error_of(create_test_vm, "{silent}", timeouts=Timeouts(boot=0.25)))
        print(error_of(create_test_vm, "{silent}"))
        vm = create_test_vm(start=False)
        assert vm.boot_timeout == 0.5 and Timeouts().stop == 60 and Timeouts(stop=1).stop == 1
        for value in "x", "-1", "inf":
            os.environ["TEST_VM_STOP_TIMEOUT"] = value
            print(error_of(create_test_vm))
    """, env={"TEST_VM_BOOT_TIMEOUT": "0.5"})
    assert "did not connect to the driver within 0.25 seconds" in result.lines[0]
    assert "did not connect to the driver within 0.5 seconds" in result.lines[1]
    assert result.lines[2:] == [f"ValueError: environment variable TEST_VM_STOP_TIMEOUT: '{value}' is not a number from "
                                "0 on" for value in ("x", "-1", "inf")]


# ---- users of commands


def test_a_user():
    run("""
        with create_test_vm(user="root") as vm:
            assert vm.succeed("pwd", "id -un; echo $0 \\"two  'words'\\"") == "/root\\nroot\\nbash two  'words'\\n"
            assert vm.execute("echo $UNSET")[0] != 0 and vm.fail("false | true") == ""
            assert vm.execute("sleep 100", timeout=1)[0] == 124
            vm.wait_until_succeeds("test $PWD = /root")
            vm.user = None
            assert vm.succeed("pwd") == f"{vm.state_dir}\\n"
        with create_test_vm(user="no such; user") as vm:
            assert vm.execute("true") == (1, "")
            vm.wait_for_console_text("su: user no such; user does not exist")
    """)


def test_without_a_root_shell():
    run("""
        with create_test_vm(root_shell=False, timeouts=Timeouts(stop=0.2)) as vm:
            assert vm.booted
            for call in lambda: vm.succeed("true"), lambda: vm.wait_for_unit("a.service"), vm.connect:
                assert "this needs a root shell in the guest" in error_of(call)
            assert "running" in vm.send_monitor_command("info status")
            vm.wait_for_console_text("connecting to host")
            vm.root_shell = True
            assert vm.succeed("echo a") == "a\\n"
    """)


def test_the_power_button():
    result = run("""
        vm = create_test_vm(root_shell=False, timeouts=Timeouts(stop=60))
        vm.shutdown()
        assert not vm.booted and vm.state_dir.exists()
        vm.shutdown()  # the machine is off already
        vm.start()
        vm.wait_for_console_text("connecting to host")
    """)
    assert "waiting for the VM to power off" in result.log and "has not powered off" not in result.log


# ---- warnings


def test_no_warning_of_numbers_that_the_script_has_not_passed():
    """Methods of test machines call each other in Python, with defaults that are numbers."""
    result = run("""
        from datetime import timedelta
        from unittest.mock import patch
        vm = create_test_vm()
        vm.execute("true")
        vm.wait_until_succeeds("true")
        vm.wait_until_fails("false")
        vm.wait_for_file("/")
        vm.systemctl("--version")
        error_of(vm.wait_for_open_port, 1, timeout=timedelta(0))
        vm.wait_for_console_text("connecting")
        with patch.object(vm, "execute", return_value=(0, "")) as execute:
            vm.wait_until_succeeds("a")
        execute.assert_called_once_with("a", timeout=900)
        print("none so far", file=__import__("sys").stderr)
        vm.execute("true", timeout=900)
        vm.shutdown()
    """)
    before, after = result.log.split("none so far")
    assert "UserWarning" not in before and after.count("UserWarning: execute(): passing a bare") == 1
