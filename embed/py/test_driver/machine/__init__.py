"""The classes of machines, implemented in C, and the start command of a virtual machine, in Python.

embed/machine imports this module before the first start of a machine whose start command is an object, and when a
script uses `machine.start_command` or imports the module. Methods of a start command run on the thread that starts the
machine.
"""

import os
import re
import shlex

from _test_driver import (
    BaseMachine,
    Machine,
    NspawnMachine,
    QemuMachine,
    key_name,
    retry,
    start_command_line,
    start_script_name,
)


class QemuStartCommand:
    """A shell command that starts a virtual machine and accepts QEMU's options at its end.

    script: the command, usually the path of run-NAME-vm. A script may subclass the class: the driver starts the
    machine with the results of cmd() and build_environment().
    """

    def __init__(self, script):
        self._cmd = script

    @property
    def machine_name(self):
        """The NAME of run-NAME-vm at the end of the command, or "machine" for another command."""
        return start_script_name(self._cmd)

    def cmd(self, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot=False, vsock_guest=None):
        """Returns the whole command line, with QEMU's options for the driver's sockets.

        allow_reboot: whether QEMU goes on after a reboot of the guest instead of ending. vsock_guest: the socket of a
        process that serves a vsock device; None: the machine gets no such device.
        """
        return start_command_line(self._cmd, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot,
                                  vsock_guest)

    @staticmethod
    def build_environment(state_dir, shared_dir, efi_vars_path=None):
        """Returns the environment as a dict: os.environ and the variables that start scripts look for. efi_vars_path:
        the file for EFI variables; None: the start script chooses one."""
        efi_vars = {} if efi_vars_path is None else {"NIX_EFI_VARS": str(efi_vars_path)}
        return {**os.environ, "TMPDIR": str(state_dir), "SHARED_DIR": str(shared_dir), "USE_TMPDIR": "1", **efi_vars}

    def run(self, state_dir, shared_dir, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot,
            efi_vars_path=None, vsock_guest=None):
        """Starts the command as a child process of the caller and returns the subprocess.Popen. Machines do not use
        this method, because the driver starts their processes itself, so that none outlives it."""
        import subprocess

        line = _line_of(self, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot, vsock_guest)
        environment = _call(self.build_environment, state_dir, shared_dir, efi_vars_path=efi_vars_path)
        return subprocess.Popen(line, shell=True, cwd=state_dir, env=environment, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)


# ---- calls of start commands by embed/machine


def _call(method, *args, **newer):
    """Calls `method` with `args` and with each argument of `newer` that is not None and that the method takes: a class
    that a script made for an older driver lacks newer parameters."""
    import inspect

    parameters = inspect.signature(method).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = {parameter.name for parameter in parameters}
    return method(*args, **{name: value for name, value in newer.items()
                            if value is not None and (takes_all or name in names)})


def _line_of(command, monitor, qmp, shell, allow_reboot, vsock_guest):
    """The command line of a start command, which may be an object of the script."""
    return _call(command.cmd, monitor, qmp, shell, allow_reboot, vsock_guest=vsock_guest)


def _environment_of(command, state_dir, shared_dir, efi_vars_path):
    """The environment that a start command chooses, or None if it chooses none. A start command made for an older
    driver does not know EFI variables, so their path is added."""
    if not hasattr(command, "build_environment"):
        return None
    environment = _call(command.build_environment, state_dir, shared_dir, efi_vars_path=efi_vars_path)
    return {"NIX_EFI_VARS": str(efi_vars_path), **environment} if isinstance(environment, dict) else environment


# ---- small things


def make_command(args):
    """Returns a shell command of the words `args`, which may be of any type."""
    return shlex.join(map(str, args))


# {character: name}, of the characters that QEMU's monitor knows by a name; send_key() translates them.
CHAR_TO_KEY = {char: key_name(char) for char in map(chr, range(ord("\n"), 0x7F)) if key_name(char) != char}


def _name_of_container(start_command):
    """The NAME of run-NAME-nspawn in the command of a container."""
    found = re.search("run-(.+)-nspawn", os.path.basename(start_command))
    if not found:
        raise AssertionError(f"there is no name of a machine in {start_command!r}")
    return found[1]


StartCommand = NixStartScript = QemuStartCommand  # the class's names in drivers before 2026

__all__ = ["BaseMachine", "CHAR_TO_KEY", "Machine", "NixStartScript", "NspawnMachine", "QemuMachine", "QemuStartCommand",
           "StartCommand", "make_command", "retry"]
