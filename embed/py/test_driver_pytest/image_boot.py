"""The machine of `boot_image`: its start, the waits for its login prompt and for SSH, and the record of its run. Failures
are image_build.BootImageFailure. Only the driver's process can use this module, on the main thread."""

import time
from datetime import timedelta

import pytest

from _test_driver import ending
from test_driver import run_record
from test_driver.errors import MachineDied, MachineError, RequestedAssertionFailed
from test_driver.image_machine import create_image_machine
from test_driver.ssh_key import run_key
from test_driver.test_vm import delete_test_vm
from test_driver_pytest.image_build import TAIL, BootImageFailure, seconds_of

SPAWN, LOGIN = "BOOT_IMAGE_VM_SPAWN_TIMEOUT", "BOOT_IMAGE_VM_LOGIN_TIMEOUT"
PROMPT = r"login:"  # a regular expression
DISKS = ("1G", "1G")


class Outcome:
    """A pytest plugin that notes what becomes of the tests on the machine. failed: whether one has failed; interrupted:
    whether Ctrl-C has ended the session."""

    def __init__(self):
        self.failed = self.interrupted = False

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        result = yield
        if result.get_result().failed and "boot_image_vm" in getattr(item, "fixturenames", ()):
            self.failed = True

    def pytest_keyboard_interrupt(self, excinfo):
        if excinfo.type is KeyboardInterrupt:  # pytest also calls the hook with exceptions of its own, as for -x
            self.interrupted = True


def _console(vm):
    lines = vm.get_console_log().splitlines()[-TAIL:]
    if not lines:
        return "; its console has shown nothing"
    return "; the end of its console:" + "".join(f"\n  {line}" for line in lines)


def _wait_for_prompt(vm, prompt, began):
    """Starts the machine and waits for its login prompt; the time for both began at `began`."""
    limit = seconds_of(SPAWN)
    vm.boot_timeout = limit
    try:
        vm.start()
        vm.wait_for_console_text(prompt, timeout=timedelta(seconds=max(began + limit - time.monotonic(), 0.001)))
    except (RequestedAssertionFailed, TimeoutError):
        raise BootImageFailure(f"{SPAWN}: {vm} has not shown a login prompt, {prompt!r}, on its console within {limit:g} s"
                               f"{_console(vm)}") from None
    except MachineDied as error:
        raise BootImageFailure(f"{vm} ended before its login prompt {prompt!r}: {error}") from None
    except MachineError as error:
        raise BootImageFailure(f"{vm} cannot be started: {error}") from None


def _wait_for_ssh(vm):
    """Waits until commands can be run by SSH."""
    limit = seconds_of(LOGIN)
    vm.boot_timeout = limit
    try:
        vm.connect()
    except (RequestedAssertionFailed, TimeoutError) as error:
        raise BootImageFailure(f"{LOGIN}: SSH of {vm}, port {vm.ssh_port} of 127.0.0.1, could not be used within "
                               f"{limit:g} s after the login prompt: {error}{_console(vm)}") from None
    except MachineError as error:
        raise BootImageFailure(f"{vm} cannot be used by SSH: {error}{_console(vm)}") from None
    vm.boot_timeout = seconds_of(SPAWN) + limit  # for later starts and reboots


def _boot(vm, prompt):
    _wait_for_prompt(vm, prompt, time.monotonic())
    vm.record.login()
    _wait_for_ssh(vm)
    vm.record.ssh()


def machine(build, private_key, options, config, outcome):
    """A generator, as of a fixture: boots the image and yields the ImageMachine; then ends its record and deletes it.

    build: the BootImageBuild. private_key: the path of the key that root is logged in with. options: the dict of the
    fixture boot_image_options. config: pytest's. outcome: the Outcome of the session. The machine's attribute `record`
    is the run_record.RunRecord of its run.
    """
    words = {"disks": DISKS, "name_prefix": "boot-image", **options}
    prompt, log_globs = words.pop("login_prompt", PROMPT), words.pop("log_globs", ())
    if private_key != run_key().private:
        words.setdefault("ssh_key", private_key)
    try:
        vm = create_image_machine(iso=build.iso, start=False, **words)
    except (MachineError, ValueError, OSError) as error:
        raise BootImageFailure(f"no machine can be made of {build.iso}: {error}") from None
    try:
        vm.record = run_record.begin(vm, build.build_seconds or None, config.invocation_params.args, log_globs=log_globs,
                                     invocation_directory=config.invocation_params.dir)
        try:
            _boot(vm, prompt)
            yield vm
        except BootImageFailure:
            outcome.failed = True
            raise
        finally:
            quick = outcome.interrupted or ending() != 0
            vm.record.end(failed=outcome.failed or quick, quick=quick)
    finally:
        delete_test_vm(vm)
