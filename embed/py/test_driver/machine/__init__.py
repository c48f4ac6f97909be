"""Machines."""

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
    """A shell command that starts a machine and takes QEMU's options. Subclasses may have their own cmd() and
    build_environment(): a machine is started with what these return.
    """

    def __init__(self, script):
        self._cmd = script

    @property
    def machine_name(self):
        """The NAME of run-NAME-vm at the end of the command, else "machine"."""
        return start_script_name(self._cmd)

    def cmd(self, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot=False, vsock_guest=None):
        """The whole command line, with the options for the driver's sockets. vsock_guest is the socket of a process
        that serves a vsock device."""
        return start_command_line(self._cmd, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot,
                                  vsock_guest)

    @staticmethod
    def build_environment(state_dir, shared_dir, efi_vars_path=None):
        """The environment: that of the script, and what start scripts look for."""
        efi_vars = {} if efi_vars_path is None else {"NIX_EFI_VARS": str(efi_vars_path)}
        return {**os.environ, "TMPDIR": str(state_dir), "SHARED_DIR": str(shared_dir), "USE_TMPDIR": "1", **efi_vars}

    def run(self, state_dir, shared_dir, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot,
            efi_vars_path=None, vsock_guest=None):
        """Starts the command as a process of the caller's, which is a subprocess.Popen. Machines do not use it:
        their processes belong to the driver, so that none outlives it."""
        import subprocess

        line = _line_of(self, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot, vsock_guest)
        environment = _call(self.build_environment, state_dir, shared_dir, efi_vars_path=efi_vars_path)
        return subprocess.Popen(line, shell=True, cwd=state_dir, env=environment, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)


# ---- what the core asks start commands


def _call(method, *args, **newer):
    """Calls a method that may be that of a class made for an older driver: without arguments that it does not take."""
    import inspect

    parameters = inspect.signature(method).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = {parameter.name for parameter in parameters}
    return method(*args, **{name: value for name, value in newer.items()
                            if value is not None and (takes_all or name in names)})


def _line_of(command, monitor, qmp, shell, allow_reboot, vsock_guest):
    return _call(command.cmd, monitor, qmp, shell, allow_reboot, vsock_guest=vsock_guest)


def _environment_of(command, state_dir, shared_dir, efi_vars_path):
    """None: it has no environment of its own. Those of older drivers do not know of the EFI variables."""
    if not hasattr(command, "build_environment"):
        return None
    environment = _call(command.build_environment, state_dir, shared_dir, efi_vars_path=efi_vars_path)
    return {"NIX_EFI_VARS": str(efi_vars_path), **environment} if isinstance(environment, dict) else environment


# ---- small things


def make_command(args):
    """A shell command of words, of any type."""
    return shlex.join(map(str, args))


# What send_key() makes of characters that have to be called otherwise.
CHAR_TO_KEY = {char: key_name(char) for char in map(chr, range(ord("\n"), 0x7F)) if key_name(char) != char}


def _name_of_container(start_command):
    found = re.search("run-(.+)-nspawn", os.path.basename(start_command))
    if not found:
        raise AssertionError(f"there is no name of a machine in {start_command!r}")
    return found[1]


StartCommand = NixStartScript = QemuStartCommand  # its names in drivers before 2026

__all__ = ["BaseMachine", "CHAR_TO_KEY", "Machine", "NixStartScript", "NspawnMachine", "QemuMachine", "QemuStartCommand",
           "StartCommand", "make_command", "retry"]
