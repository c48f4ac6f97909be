"""The fixtures for test machines, which tests make themselves."""

import signal

import harness
import pytest_harness

IMAGE = {"TEST_VM_IMAGE": harness.ROOT / "tests/fake/run-fake-vm"}
SUITE = """
import pytest

class State:
    seen = []

def test_one(test_vm):
    assert test_vm.connected and test_vm.succeed("echo a") == "a\\n"
    State.seen.append(test_vm)

def test_it_is_gone(test_vm):
    before, = State.seen
    assert not before.booted and not before.state_dir.exists() and before != test_vm

def test_that_fails(test_vm_manager, vm_pool):
    State.seen = [test_vm_manager(name_prefix="made"), *vm_pool(2, name_prefix="pool")]
    assert [vm.connected for vm in State.seen] == [False, True, True]
    State.seen[1].succeed("echo what the console of a pool says >&2")
    assert State.seen == []

def test_those_are_gone(driver):
    assert len(State.seen) == 3 and not any(vm.booted or vm.state_dir.exists() for vm in State.seen)
    assert not list(driver.tmp_dir.glob("vm-state-*"))

class TestOptions:
    @pytest.fixture
    def test_vm_options(self):
        return {"name_prefix": "other", "root_shell": False}

    def test_them(self, test_vm):
        assert str(test_vm).startswith("other-") and test_vm.booted and not test_vm.connected
"""


def test_fixtures():
    result = pytest_harness.run(SUITE, env=IMAGE, status=1)
    assert result.outcomes == {"test_one": "PASSED", "test_it_is_gone": "PASSED", "test_that_fails": "FAILED",
                               "test_those_are_gone": "PASSED", "TestOptions::test_them": "PASSED"}
    assert [path.partition("/")[2].partition("-")[0] for path in result.kept] == ["made", "pool", "pool"]
    assert "what the console of a pool says" in result.out and "cannot collect" not in result.out


def test_a_machine_with_the_name_of_a_fixture(fakes):
    """The name then stands for the machine of the configuration."""
    harness.run("""
        def test_one(test_vm, test_vm_manager):
            assert test_vm.name == "test-vm" and test_vm_manager().name.startswith("test-vm-")
    """, fakes("test-vm"), env=IMAGE)


def test_an_interruption():
    with harness.Run("""
        def test_one(test_vm, vm_pool):
            vm_pool(2)
            print("now")
            test_vm.succeed("sleep 1000")
    """, env=IMAGE, options=["--", "-s"]) as run:
        run.wait_for("now$")
        run.signal(signal.SIGINT)
        assert run.finish(seconds=20).status == 130
        assert harness.wait_until(lambda: not list((run.directory / "tmp").glob("vm-state-*")), harness.LEAVE_SECONDS)
