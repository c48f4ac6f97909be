"""Machines that boot an ISO or disk images by themselves, such as installers and images of a vendor, reached by SSH.

    vm = create_image_machine(iso="installer.iso", disks=["4G", "4G"], firmware="uefi")
    vm.succeed("lsblk")  # waits for sshd
    vm.expect("login: ")

The machines are test machines (test_driver.test_vm): they have unique names unless they are given one, are deleted at
the end of the run at the latest, and can be deleted by delete_test_vm() or by the end of their `with` block.

The run's SSH key (test_driver.ssh_key) reaches guests with systemd 252 and later as a credential in the SMBIOS tables.
Others need a password, or `login()` by the serial console, which puts the key into the guest.
"""

import os
import shlex
import threading
from datetime import timedelta

from _test_driver import current_driver
from test_driver import vm_image
from test_driver.errors import MachineDied, MachineError
from test_driver.ssh_key import public_key_of, run_key
from test_driver.test_vm import (
    TestVM,
    Timeouts,
    check_name,
    enter_vm,
    image_start_command,
    living_vms,
    unique_name,
)
from test_driver.vlan import VLan

_FORWARDING_FAILED = "Could not set up host forwarding rule"


class ImageMachine(TestVM):
    """A machine that create_image_machine() has made.

    hardware: a vm_image.Hardware. login: the arguments of use_ssh(): user, path of a private key or None, password or
    None, whether to use sudo.
    """

    def __init__(self, driver, name, start_command, hardware, timeouts=None, login=("root", None, None, False)):
        super().__init__(driver, name, start_command, timeouts=timeouts)
        self.hardware, self._login = hardware, login
        self.root_shell = False

    @property
    def disk_paths(self):
        """list[Path]: the files of its disks /dev/vda, /dev/vdb …, which are there after the first start."""
        return [self.state_dir / disk.file for disk in self.hardware.disks]

    def start(self, allow_reboot=True):
        """Starts QEMU as TestVM.start() does. allow_reboot: whether the machine goes on when the guest reboots, as
        installers do; without it QEMU ends then. MachineError if the port that was asked for is taken."""
        try:
            super().start(allow_reboot)
        except MachineDied as error:
            port = self.hardware.forwarded
            if not port or _FORWARDING_FAILED not in str(error):
                raise
            raise MachineError(f"machine '{self}': port {port} of 127.0.0.1 cannot be forwarded to its sshd, since it is "
                               "taken; without ssh_port QEMU takes a free one") from error

    def login(self, user="root", password=None, new_password=None, timeout=900):
        """Logs in on the serial console as QemuMachine.login() does. If the user is `ssh_user`, the public key of the
        machine's SSH key is then added to the user's authorized_keys, if it is not there, and SSH is tried again: so a
        guest that takes no key from outside can be reached by SSH from now on, too."""
        if isinstance(timeout, (int, float)):
            timeout = timedelta(seconds=timeout)  # methods of machines warn of bare numbers
        super().login(user, password, new_password, timeout)
        ssh_user, key, *_ = self._login
        public = public_key_of(key) if key and user == ssh_user else None
        if public:
            line = shlex.quote(public.strip())
            self.succeed(f"umask 077; mkdir -p ~/.ssh; file=~/.ssh/authorized_keys; touch $file; "
                         f"grep -qxF {line} $file || echo {line} >> $file")
            self.use_ssh(*self._login)


_vlan_lock = threading.Lock()  # held while a network is looked for and made


def _vlan_socket(vlan, driver):
    """Returns (number, directory of the switch's socket) of a network, which is made if the run does not have it.
    vlan: a number or a VLan."""
    with _vlan_lock:
        found = vlan if isinstance(vlan, VLan) else next((one for one in driver.vlans if one.nr == vlan), None)
        if found is None:
            found = VLan(vlan, driver.tmp_dir)
            driver.vlans.append(found)
    return found.nr, found.socket_dir


def _iso(iso):
    """The path of an ISO. ValueError if the file is something else, OSError if it cannot be read."""
    path = os.fspath(iso)
    kind = vm_image.kind_of(path)
    if kind != "iso":
        raise ValueError(f"iso {path} is no ISO, but a {kind}; disks are given as disks=[…]")
    return path


def _credentials(user, key, given):
    """Returns [(name, text)], the public key as systemd in the guest takes it. user: who logs in; systemd puts keys
    into root's home only. key: the path of the private key. given: whether it is the user's own."""
    public = public_key_of(key) if given else run_key().public
    return [("ssh.authorized_keys.root", public)] if public and user in (None, "root") else []


def create_image_machine(iso=None, disks=(), memory=1024, cpus=None, firmware="bios", nics=1, vlans=(), *,
                         name_prefix="image", name=None, arch=None, accel=None, ssh_user="root", ssh_key=None,
                         ssh_password=None, sudo=False, ssh=True, ssh_port=0, qemu_options=(), timeouts=None,
                         start=True):
    """Makes an ImageMachine, which is deleted at the end of the run at the latest, and returns it.

    iso: the path of an ISO, which is booted first.
    disks: sizes, such as "4G", "512M" or "1GiB", for new raw disks that take room only for what is written; or paths of
        images (qcow2 or raw), which are only read, since the guest writes to overlays. In the guest they are /dev/vda,
        /dev/vdb … in that order. Without an ISO the first one is booted.
    memory: MiB, or a size such as "2G".
    cpus: a number; default: 2.
    firmware: "bios", or "uefi" with variables of the machine's own, which machine.efi_vars reads when it is stopped.
    nics: how many network cards with user networks of QEMU's the machine has, before those of the VLANs.
    vlans: numbers of virtual networks, or VLan objects; a network that the run does not have is made.
    name_prefix: the beginning of the machine's name.
    name: the whole name in its place; ValueError if another test machine has it.
    arch: x86_64, i386 or aarch64; default: the host's.
    accel: "kvm" or "tcg"; default: TEST_VM_ACCEL in the environment, else KVM if it works.
    ssh_user: who logs in by SSH.
    ssh_key: the path of a private key; default: the run's key. The public key (that of another key is read from
        ssh_key.pub) reaches root in guests with systemd by a credential.
    ssh_password: a password, tried when sshd refuses the key.
    sudo: whether commands are run as root by `sudo -n`.
    ssh: False: SSH is not used, and what is left without use_ssh() and login() is the console, the screen and so on.
    ssh_port: the port of 127.0.0.1 that leads to the guest's port 22; 0: a free one, which vm.ssh_port tells.
    qemu_options: further options of QEMU, as words.
    timeouts: a Timeouts of test_driver.test_vm.
    start: whether the machine is started.

    MachineError if a program, the firmware or the port is not to be had; ValueError or OSError for what is no image or
    no size. TestVM.start() says when a failed start is tried again.
    """
    if nics < 0 or (ssh and nics < 1):
        raise ValueError(f"nics={nics}: SSH needs a network card; ssh=False does without")
    driver, timeouts = current_driver(), timeouts or Timeouts()
    if name is None:
        name = unique_name(name_prefix)
    else:
        check_name(name, "name")
        if any(vm.name == name for vm in living_vms()):
            raise ValueError(f"there is a test machine that is called {name!r}")
    key = run_key().private if ssh and ssh_key is None else ssh_key
    hardware = vm_image.Hardware(
        arch, memory, 2 if cpus is None else cpus, accel, vm_image.listed(qemu_options, "qemu_options"),
        iso=None if iso is None else _iso(iso),
        disks=tuple(vm_image.disk_of(disk, f"disk{number}") for number, disk in enumerate(vm_image.listed(disks, "disks"))),
        firmware=firmware, nics=nics, vlans=tuple(_vlan_socket(vlan, driver) for vlan in vlans),
        forwarded=ssh_port if ssh or ssh_port else None,
        credentials=tuple(_credentials(ssh_user, key, ssh_key is not None)) if ssh else ())
    command = image_start_command(name, hardware, driver, timeouts)
    vm = ImageMachine(driver, name, command, hardware, timeouts, (ssh_user, key, ssh_password, sudo))
    if ssh:
        vm.use_ssh(ssh_user, key, ssh_password, sudo)
    return enter_vm(vm, start)
