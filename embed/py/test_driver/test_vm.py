"""Machines that tests make for themselves: from a start script, a disk image or an ISO, with names of their own.

    with TestVMManager(image="disk.qcow2") as vms:
        vm = vms.create(memory=2048)
        vm.wait_for_console_text("login:")

Clean-up is arranged when a machine is made, not when it is needed: its processes belong to the driver's session and
its state directory, with the overlay of a disk, is swept by the keeper process. So both go at the end of the run,
however it ends, and earlier by delete_test_vm() or the end of the manager.
"""

import os
import re
import shlex
import threading
from dataclasses import dataclass, field
from datetime import timedelta

from _test_driver import current_driver
from test_driver import vm_image
from test_driver.errors import MachineDied, MachineError
from test_driver.machine import QemuMachine

# ---- times


def _from_environment(variable, default):
    def value():
        text = os.environ.get(variable)
        if not text:
            return default
        try:
            number = float(text)
        except ValueError:
            number = -1
        if not 0 <= number < 1e9:
            raise ValueError(f"environment variable {variable}: {text!r} is not a number from 0 on")
        return number

    return field(default_factory=value)


@dataclass
class Timeouts:
    """All that limits test machines in time, in seconds. What is not given is taken from the environment."""

    # QEMU's start, and again the root shell; None: as for other machines, see --boot-timeout
    boot: float | None = _from_environment("TEST_VM_BOOT_TIMEOUT", None)
    # shutdown() by the power button
    stop: float = _from_environment("TEST_VM_STOP_TIMEOUT", 60)
    kvm_probe: float = _from_environment("TEST_VM_KVM_PROBE_TIMEOUT", 10)
    start_tries: float = _from_environment("TEST_VM_START_TRIES", 3)
    # before the second try; then twice as long, and so on
    start_pause: float = _from_environment("TEST_VM_START_PAUSE", 1)


# What QEMU says when a start failed for a cause that may pass. Anything else would fail again.
_TRANSIENT = (
    ("a port is taken", r"Address already in use|Could not set up host forwarding rule"),
    ("KVM is busy", r"(?i:kvm).*Device or resource busy"),
    ("not enough memory", r"Cannot allocate memory|Insufficient free host memory"),
)


def transient_cause(text):
    """Why a start that failed with this text may work a moment later; None if it will not."""
    return next((cause for cause, pattern in _TRANSIENT if re.search(pattern, text)), None)


# ---- the machine


def _duration(seconds):
    """As methods of machines want them: they warn of bare numbers."""
    return timedelta(seconds=seconds) if isinstance(seconds, (int, float)) else seconds


class TestVM(QemuMachine):
    """A machine that is also its name: str(vm), f"{vm}" and os.fspath(vm) are the name, and vm == name, with the same
    hash, so that either finds what was put into a dict under the other.

    With a `user`, execute() runs commands as that user, in a login session (`su -l`) that the root shell begins, and
    so does what is made of it: succeed, wait_for_file and so on. `vm.user = None` is root again. ssh_command() logs in
    as the user.

    A guest without a root shell (`root_shell` False) has its console, screen, keys, monitor, QMP and forwarded ports;
    what needs the shell fails at once and says so.
    """

    __test__ = False  # not a class of tests, for pytest

    def __init__(self, driver, name, start_command, user=None, timeouts=None):
        super().__init__(driver.out_dir, driver.tmp_dir, start_command, driver.logger, name)
        self.user, self.timeouts = user, timeouts or Timeouts()
        self._gone = threading.Event()
        if not driver.keep_machine_state:
            self.sweep_statedir()
        if self.timeouts.boot:
            self.boot_timeout = self.timeouts.boot

    def __str__(self):
        return self.name

    __fspath__ = __str__

    def __format__(self, spec):
        return format(self.name, spec)

    def __eq__(self, other):
        if isinstance(other, str):
            return self.name == other
        return self is other

    def __hash__(self):
        return hash(self.name)

    # ---- life

    def start(self, allow_reboot=False):
        """Starts QEMU. Causes that may pass (a port is taken, KVM is busy, not enough memory) are tried again."""
        tries, pause = max(int(self.timeouts.start_tries), 1), self.timeouts.start_pause
        for number in range(1, tries + 1):
            try:
                super().start(allow_reboot)
                break
            except MachineDied as error:
                cause = transient_cause(str(error))
                if not cause or self._gone.is_set():
                    raise
                self.log(f"start {number} of {tries} failed, {cause}: {error}")
                if number == tries:
                    raise
            self.log(f"the next try is in {pause:g} s")
            self._gone.wait(pause)
            pause *= 2
        self._note_accelerator()

    def _note_accelerator(self):
        arch, session = getattr(self.start_command, "arch", None), self.qmp_client
        if arch and arch not in vm_image.accelerators.known and session and not self.start_command.accel:
            enabled = session.send("query-kvm")["return"]["enabled"]
            vm_image.accelerators.known[arch] = "kvm" if enabled else "tcg"

    def shutdown(self):
        """Powers the guest off and waits for the end. Without a root shell by the power button; QEMU is ended when
        that has not worked within the stop time-out."""
        import subprocess

        if self.root_shell or not self.booted:
            super().shutdown()
            return
        self.qmp_client.send("system_powerdown")
        try:
            self.wait_for_shutdown(_duration(self.timeouts.stop))
        except subprocess.TimeoutExpired:
            self.log(f"it has not powered off within {self.timeouts.stop:g} s; QEMU is ended")
            self.crash()

    def delete(self):
        """As delete_test_vm() does."""
        if self._gone.is_set():
            return
        self._gone.set()
        self.release()
        if not current_driver().keep_machine_state:
            self.cleanup_statedir()

    def __exit__(self, *exception):
        delete_test_vm(self)

    # ---- SSH

    def _forwarded_port(self, guest_port):
        table = self.send_monitor_command("info usernet")
        match = re.search(rf"TCP\[HOST_FORWARD\] +\d+ +127\.0\.0\.1 +(\d+) +\S+ +{guest_port} ", table)
        return int(match[1]) if match else None

    @property
    def ssh_port(self):
        """The port of 127.0.0.1 that leads to the guest's port 22, chosen by the kernel when it is first asked for.
        The machine must be started and have a user network."""
        port = self._forwarded_port(22)
        if port is None:
            said = self.send_monitor_command("hostfwd_add tcp:127.0.0.1:0-:22")
            port = self._forwarded_port(22)
        if port is None:
            said = said.strip() or "it has no user network"
            raise MachineError(f"machine '{self}': no port can be forwarded: {said}")
        return port

    def ssh_command(self, *words, key=None):
        """The words of an ssh command, for subprocess: as `user`, or root, with the private key in the file `key`.
        Host keys are not checked, nor noted."""
        options = [f"-o{option}" for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null",
                                                "LogLevel=ERROR", "BatchMode=yes")]
        options += [f"-i{os.fspath(key)}", "-oIdentitiesOnly=yes"] if key else []
        return ["ssh", *options, "-p", str(self.ssh_port), f"{self.user or 'root'}@127.0.0.1", *words]


class _UserTestVM(TestVM):
    """One with a user: the others need no call of Python for each command."""

    def execute(self, command, check_return=True, check_output=True, timeout=900):
        if self.user:
            session = f"exec bash --norc -euo pipefail -c {shlex.quote(command)}"
            command = f"su -l {shlex.quote(self.user)} -c {shlex.quote(session)}"
        return super().execute(command, check_return, check_output, _duration(timeout))


# ---- making and deleting

_vms = {}  # by name: those that have not been deleted
_lock = threading.Lock()


def _unique_name(prefix):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", prefix):
        raise ValueError(f"name_prefix {prefix!r}: letters, digits, '.', '_' and '-' are possible, 41 of them at most")
    return f"{prefix}-{os.urandom(5).hex()}"  # among the names of all processes


def _start_command(name, image, hardware, driver, timeouts):
    """The command, and whether a root shell is to be expected."""
    kind = vm_image.kind_of(image)
    if kind == "script":
        return vm_image.script_line(image, hardware), True
    state_dir = driver.tmp_dir / f"vm-state-{name}"
    return vm_image.ImageStartCommand(name, image, kind, hardware, state_dir, timeouts.kvm_probe), False


def create_test_vm(image=None, name_prefix="test-vm", arch=None, user=None, start=True, *, memory=None, cpus=None,
                   accel=None, qemu_options=(), root_shell=None, timeouts=None):
    """A machine, started unless start=False; it goes at the end of the run at the latest.

    image: a start script, a disk (qcow2, raw) of which an overlay is used, or an ISO; default: TEST_VM_IMAGE in the
    environment. arch: of a disk or ISO, x86_64, i386 or aarch64; default: the host's. user: see TestVM. memory: MiB,
    1024 for disks and ISOs. accel: "kvm" or "tcg"; default: TEST_VM_ACCEL, else KVM if it works. qemu_options: further
    options for QEMU. root_shell: whether the guest has the root shell of NixOS tests; default: start scripts have it,
    disks and ISOs do not. timeouts: a Timeouts.

    ValueError or OSError for an image that cannot be used. A start that fails is tried again if its cause may pass;
    when it fails for good, the machine is deleted.
    """
    image = image or os.environ.get("TEST_VM_IMAGE")
    if not image:
        raise ValueError("no image: give one to create_test_vm() or name it in TEST_VM_IMAGE")
    name, driver, timeouts = _unique_name(name_prefix), current_driver(), timeouts or Timeouts()
    hardware = vm_image.Hardware(arch, memory, cpus, accel, tuple(qemu_options))
    command, has_shell = _start_command(name, os.fspath(image), hardware, driver, timeouts)
    vm = (_UserTestVM if user else TestVM)(driver, name, command, user, timeouts)
    vm.root_shell = has_shell if root_shell is None else root_shell
    with _lock:
        _vms[name] = vm
    if start:
        try:
            vm.start()
        except BaseException:
            delete_test_vm(vm)
            raise
    return vm


def living_vms():
    """Those that have not been deleted."""
    with _lock:
        return list(_vms.values())


def delete_test_vm(vm):
    """Ends the machine, given itself or by its name, at once and removes its state directory. Once it is deleted,
    deleting the object again does nothing; KeyError for a name that no machine has."""
    with _lock:
        found = _vms.pop(str(vm), vm)
        names = ", ".join(_vms) or "none"
    if not isinstance(found, TestVM):
        raise KeyError(f"no test machine is called {vm!r}; there are {names}")
    found.delete()


def _each_in_a_thread(function, vms):
    threads = [threading.Thread(target=function, args=(vm,), daemon=True) for vm in vms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestVMManager:
    """Machines that are deleted together: at the end of the `with` block, or by delete_all().

    The arguments are defaults for those of create_test_vm(). The manager can be called like its method create().
    """

    __test__ = False

    def __init__(self, **defaults):
        self.defaults, self.vms = defaults, []
        self._closed, self._lock = False, threading.Lock()

    def create(self, image=None, **options):
        """As create_test_vm()."""
        options = {**self.defaults, **options}
        start = options.pop("start", True)
        if image is not None:
            options["image"] = image
        vm = create_test_vm(start=False, **options)
        with self._lock:
            closed = self._closed
            if not closed:
                self.vms.append(vm)
        if closed:
            delete_test_vm(vm)
            raise MachineError("this manager has deleted its machines; it makes no more")
        if start:
            self._start(vm)
        return vm

    __call__ = create

    def _start(self, vm):
        try:
            vm.start()
        except BaseException:
            self.delete(vm)
            raise

    def create_many(self, count, image=None, **options):
        """`count` machines, started at the same time; a list. If one fails, none is left."""
        start = options.pop("start", self.defaults.get("start", True))
        vms = []
        try:
            for _ in range(count):
                vms.append(self.create(image, **options, start=False))
            failures = self._start_all(vms) if start else []
            if failures:
                reasons = "\n".join(map(str, failures))
                raise MachineError(f"{len(failures)} of {count} machines did not start:\n{reasons}")
        except BaseException:
            self._delete_all(vms)
            raise
        return vms

    @staticmethod
    def _start_all(vms):
        failures = []

        def start(vm):
            try:
                vm.start()
            except BaseException as error:
                failures.append(error)

        _each_in_a_thread(start, vms)
        return failures

    def delete(self, vm):
        """As delete_test_vm(), for one of this manager's machines."""
        with self._lock:
            self.vms = [one for one in self.vms if one != vm]
        delete_test_vm(vm)

    def _delete_all(self, vms):
        """At the same time: each may take a second."""
        _each_in_a_thread(self.delete, vms)

    def delete_all(self):
        """Deletes the machines there are."""
        with self._lock:
            vms = list(self.vms)
        self._delete_all(vms)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with self._lock:
            self._closed = True
        self.delete_all()
