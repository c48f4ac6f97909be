"""Machines that a test makes itself, from a start script, a disk image or an ISO, with unique names.

    with TestVMManager(image="disk.qcow2") as vms:
        vm = vms.create(memory=2048)
        vm.wait_for_console_text("login:")

Clean-up is arranged when a machine is made: its processes belong to the driver's session, and the keeper process
removes its state directory, with the overlay of a disk. Both therefore end with the run, however the run ends;
delete_test_vm() or the end of the manager's `with` block ends them earlier.

Scripts and test_driver_pytest import this module. All functions may be called from several of the script's threads.
"""

import os
import re
import threading
from dataclasses import dataclass, field
from datetime import timedelta

from _test_driver import current_driver
from test_driver import vm_image
from test_driver.errors import MachineDied, MachineError
from test_driver.machine import QemuMachine
from test_driver.ssh_key import run_key

# ---- times


def _from_environment(variable, default):
    """The field of a dataclass whose default is the number in an environment variable, else `default`. ValueError, when
    an instance is made, if the variable is no number."""

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
    """Limits of test machines, in seconds. A limit that is not given comes from the environment, else from here.
    ValueError for an environment variable that is no number from 0 on."""

    # the start of QEMU, and again the time until the root shell; None: the run's --boot-timeout
    boot: float | None = _from_environment("TEST_VM_BOOT_TIMEOUT", None)
    # shutdown() by the power button, for a guest without a root shell
    stop: float = _from_environment("TEST_VM_STOP_TIMEOUT", 60)
    # the check whether KVM works
    kvm_probe: float = _from_environment("TEST_VM_KVM_PROBE_TIMEOUT", 10)
    # how often QEMU is started, a number
    start_tries: float = _from_environment("TEST_VM_START_TRIES", 3)
    # the pause before the second try; each further pause is twice as long
    start_pause: float = _from_environment("TEST_VM_START_PAUSE", 1)


# (cause, QEMU's message), of the failures that may not happen again a moment later.
_TRANSIENT = (
    ("a port is taken", r"Address already in use|Could not set up host forwarding rule"),
    ("KVM is busy", r"(?i:kvm).*Device or resource busy"),
    ("not enough memory", r"Cannot allocate memory|Insufficient free host memory"),
)


def transient_cause(text):
    """Returns why a start that failed with the message `text` may succeed a moment later, or None if it will not."""
    return next((cause for cause, pattern in _TRANSIENT if re.search(pattern, text)), None)


# ---- the machine


class TestVM(QemuMachine):
    """A machine that a test has made, see create_test_vm(). It can be used as its name: str(vm), f"{vm}" and
    os.fspath(vm) are the name, vm == name, and both have the same hash, so that a dict finds either under the other.

    With a `user`, execute() and all methods that run commands by it, such as succeed() and wait_for_file(), run them as
    that user, in a login session (`su -l`) that the root shell begins. After `vm.user = None` they run as root.
    ssh_command() logs in as the user.

    A guest without a root shell (`root_shell` False) still has its console, screen, keys, monitor, QMP and forwarded
    ports; methods that run commands fail at once, until use_ssh() or login() has given them another way in.

    timeouts: a Timeouts, default: Timeouts().
    """

    __test__ = False  # keeps pytest from collecting the class as tests

    def __init__(self, driver, name, start_command, user=None, timeouts=None):
        super().__init__(driver.out_dir, driver.tmp_dir, start_command, driver.logger, name)
        self.user, self.timeouts = user, timeouts or Timeouts()
        self._gone = threading.Event()
        if not driver.keep_machine_state:
            self.sweep_statedir()
        if self.timeouts.boot:
            self.boot_timeout = self.timeouts.boot

    def _begin_as_clone(self, template):
        """Called in place of __init__() by clone() of `template`, which has made this machine."""
        self.timeouts, self._gone = template.timeouts, threading.Event()
        if not current_driver().keep_machine_state:
            self.sweep_statedir()
        enter_vm(self, False)

    @property
    def user(self):
        """For whom commands are run in the guest; None: for root."""
        return self._user

    @user.setter
    def user(self, user):
        self._user = user

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
        """Starts QEMU, and again if the cause of a failure may pass (a port is taken, KVM is busy, not enough memory);
        MachineDied when the last try has failed. allow_reboot: see QemuMachine.start()."""
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
        """Notes the accelerator that the start command has found, so that the next start need not look for it."""
        arch, session = getattr(self.start_command, "arch", None), self.qmp_client
        if arch and arch not in vm_image.accelerators.known and session and not self.start_command.accel:
            enabled = session.send("query-kvm")["return"]["enabled"]
            vm_image.accelerators.known[arch] = "kvm" if enabled else "tcg"

    def shutdown(self):
        """Powers the guest off and waits for the end. A guest in which no command can be run is sent the power button;
        if it has not powered off within `timeouts.stop` seconds, QEMU is ended."""
        import subprocess

        if self.root_shell or self.connected or not self.booted:
            super().shutdown()
            return
        self.qmp_client.send("system_powerdown")
        try:
            self.wait_for_shutdown(timedelta(seconds=self.timeouts.stop))
        except subprocess.TimeoutExpired:
            self.log(f"it has not powered off within {self.timeouts.stop:g} s; QEMU is ended")
            self.crash()

    def delete(self):
        """Ends the machine and removes its state directory, as delete_test_vm() does."""
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
        """The port of 127.0.0.1 that QEMU forwards to `guest_port`, or None."""
        table = self.send_monitor_command("info usernet")
        match = re.search(rf"TCP\[HOST_FORWARD\] +\d+ +127\.0\.0\.1 +(\d+) +\S+ +{guest_port} ", table)
        return int(match[1]) if match else None

    @property
    def ssh_port(self):
        """The port of 127.0.0.1 that leads to the guest's port 22. The kernel chooses it when it is first asked for.
        MachineError if the machine does not run or has no user network."""
        port = super().ssh_port or self._forwarded_port(22)
        if port is None:
            said = self.send_monitor_command("hostfwd_add tcp:127.0.0.1:0-:22")
            port = self._forwarded_port(22)
        if port is None:
            said = said.strip() or "it has no user network"
            raise MachineError(f"machine '{self}': no port can be forwarded: {said}")
        return port

    def ssh_command(self, *words, key=None, user=None):
        """As QemuMachine.ssh_command(); user: default: that of the machine's attribute `user`, if it has one. The port
        is found as for ssh_port, with its MachineError."""
        return super().ssh_command(*words, key=key, user=user or self.user)


# ---- making and deleting

_vms = {}  # {name: machine}, of the machines that have not been deleted
_lock = threading.Lock()  # guards _vms


def check_name(name, argument):
    """ValueError if a name, or the beginning of one, cannot be part of a file name. argument: what it was given as."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", name):
        raise ValueError(f"{argument} {name!r}: letters, digits, '.', '_' and '-' are possible, 41 of them at most")


def unique_name(prefix):
    """A name that no machine of any process has. ValueError for a prefix that cannot be part of a file name."""
    check_name(prefix, "name_prefix")
    return f"{prefix}-{os.urandom(5).hex()}"


def image_start_command(name, hardware, driver, timeouts):
    """Returns the start command of a machine of that hardware. hardware: a vm_image.Hardware; timeouts: a Timeouts."""
    return vm_image.ImageStartCommand(name, hardware, driver.tmp_dir / f"vm-state-{name}", timeouts.kvm_probe)


def _start_command(name, image, hardware, driver, timeouts):
    """Returns (the start command, whether the guest is expected to have a root shell)."""
    kind = vm_image.kind_of(image)
    if kind == "script":
        return vm_image.script_line(image, hardware), True
    if kind == "iso":
        hardware.iso = image
    else:
        hardware.disks = (vm_image.overlay_disk(image, kind, "disk"),)
    hardware.credentials = (("ssh.authorized_keys.root", run_key().public),)
    return image_start_command(name, hardware, driver, timeouts), False


def create_test_vm(image=None, name_prefix="test-vm", arch=None, user=None, start=True, *, memory=None, cpus=None,
                   accel=None, qemu_options=(), root_shell=None, timeouts=None):
    """Makes a TestVM, which is deleted at the end of the run at the latest, and returns it.

    image: the path of a start script, of a disk (qcow2 or raw), which is only read, since the guest writes to an
        overlay, or of an ISO; default: TEST_VM_IMAGE in the environment.
    name_prefix: the beginning of the machine's name.
    arch: x86_64, i386 or aarch64, for a disk or ISO; default: the host's.
    user: the user that commands run as, see TestVM; default: root.
    start: whether the machine is started.
    memory: MiB, or a size such as "2G"; default: 1024 for a disk or ISO, a start script's own choice.
    cpus: a number; default: 1 for a disk or ISO, a start script's own choice.
    accel: "kvm" or "tcg", for a disk or ISO; default: TEST_VM_ACCEL in the environment, else KVM if it works.
    qemu_options: further options of QEMU, as words.
    root_shell: whether the guest has the root shell of NixOS tests; default: True for a start script, else False.
    timeouts: a Timeouts.

    ValueError or OSError for an image that cannot be used. TestVM.start() says when a failed start is tried again; a
    machine that cannot be started is deleted, and the exception of the last try is raised.
    """
    image = image or os.environ.get("TEST_VM_IMAGE")
    if not image:
        raise ValueError("no image: give one to create_test_vm() or name it in TEST_VM_IMAGE")
    name, driver, timeouts = unique_name(name_prefix), current_driver(), timeouts or Timeouts()
    hardware = vm_image.Hardware(arch, memory, cpus, accel, vm_image.listed(qemu_options, "qemu_options"))
    command, has_shell = _start_command(name, os.fspath(image), hardware, driver, timeouts)
    vm = TestVM(driver, name, command, user, timeouts)
    vm.root_shell = has_shell if root_shell is None else root_shell
    return enter_vm(vm, start)


def enter_vm(vm, start):
    """Takes note of a new TestVM and returns it, started if `start`. If it cannot be started, it is deleted, and the
    exception is raised."""
    with _lock:
        _vms[vm.name] = vm
    if start:
        try:
            vm.start()
        except BaseException:
            delete_test_vm(vm)
            raise
    return vm


def living_vms():
    """Returns a list of the test machines that have not been deleted."""
    with _lock:
        return list(_vms.values())


def delete_test_vm(vm):
    """Ends a test machine at once and removes its state directory. vm: the machine or its name. Deleting the same
    object again does nothing. KeyError for a name that no test machine has."""
    with _lock:
        found = _vms.pop(str(vm), vm)
        names = ", ".join(_vms) or "none"
    if not isinstance(found, TestVM):
        raise KeyError(f"no test machine is called {vm!r}; there are {names}")
    found.delete()


def _each_in_a_thread(function, vms):
    """Calls function(vm) for all machines at the same time and waits for the calls to end."""
    threads = [threading.Thread(target=function, args=(vm,), daemon=True) for vm in vms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestVMManager:
    """Makes test machines and deletes them together, at the end of its `with` block or by delete_all().

    defaults: arguments of create_test_vm() for all machines. vm = manager(...) is the same as vm = manager.create(...).
    """

    __test__ = False  # keeps pytest from collecting the class as tests

    def __init__(self, **defaults):
        self.defaults, self.vms = defaults, []
        self._closed, self._lock = False, threading.Lock()

    def create(self, image=None, **options):
        """Makes a machine and returns it, as create_test_vm(). The arguments take precedence over the manager's
        defaults. MachineError after the end of the manager's `with` block."""
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

    def create_many(self, count, image=None, *, clone=False, **options):
        """Makes `count` machines, starts them at the same time, and returns them in a list. The other arguments are
        those of create(). If one cannot be started, all are deleted, and MachineError has the causes.

        clone: boots one machine, and makes clones of it, if it can be cloned. They are on the same networks."""
        start = options.pop("start", self.defaults.get("start", True))
        vms = []
        try:
            if clone and start and count > 1:
                vms.append(self.create(image, **options))
                vms += self._clones_of(vms[0], count - 1)
            running = len(vms)
            while len(vms) < count:
                vms.append(self.create(image, **options, start=False))
            failures = self._start_all(vms[running:]) if start else []
            if failures:
                reasons = "\n".join(map(str, failures))
                raise MachineError(f"{len(failures)} of {count} machines did not start:\n{reasons}")
        except BaseException:
            self._delete_all(vms)
            raise
        return vms

    def _clones_of(self, vm, count):
        """Makes clones and returns them; none if the machine cannot be cloned."""
        if not vm.root_shell:
            return []
        vm.connect()
        try:
            clones = vm.clone(count, networks="shared")
        except MachineError as error:
            vm.logger.debug(f"the others are booted: {error}", {"machine": vm.name})
            return []
        with self._lock:
            self.vms += clones
        return clones

    @staticmethod
    def _start_all(vms):
        """Starts the machines at the same time and returns the exceptions of those that failed."""
        failures = []

        def start(vm):
            try:
                vm.start()
            except BaseException as error:
                failures.append(error)

        _each_in_a_thread(start, vms)
        return failures

    def delete(self, vm):
        """Deletes one of this manager's machines, as delete_test_vm()."""
        with self._lock:
            self.vms = [one for one in self.vms if one != vm]
        delete_test_vm(vm)

    def _delete_all(self, vms):
        """Deletes the machines at the same time, because each may take a second."""
        _each_in_a_thread(self.delete, vms)

    def delete_all(self):
        """Deletes all machines of this manager; more can be made."""
        with self._lock:
            vms = list(self.vms)
        self._delete_all(vms)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with self._lock:
            self._closed = True
        self.delete_all()
