"""Machines."""

from _test_driver import (
    BaseMachine,
    Machine,
    NspawnMachine,
    QemuMachine,
    retry,
    start_command_line,
    start_script_name,
)


class QemuStartCommand:
    """A shell command that starts a machine and takes QEMU's options. Subclasses may have their own cmd()."""

    def __init__(self, command):
        self._cmd = command

    @property
    def machine_name(self):
        """The NAME of run-NAME-vm at the end of the command, else "machine"."""
        return start_script_name(self._cmd)

    def cmd(self, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot=False):
        """The whole command line, with the options for the driver's sockets."""
        return start_command_line(self._cmd, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot)


__all__ = ["BaseMachine", "Machine", "NspawnMachine", "QemuMachine", "QemuStartCommand", "retry"]
