"""Machines."""

import os

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
    """A shell command that starts a machine and takes QEMU's options. Subclasses may have their own cmd() and
    build_environment(): a machine is started with what these return.
    """

    def __init__(self, script):
        self._cmd = script

    @property
    def machine_name(self):
        """The NAME of run-NAME-vm at the end of the command, else "machine"."""
        return start_script_name(self._cmd)

    def cmd(self, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot=False):
        """The whole command line, with the options for the driver's sockets."""
        return start_command_line(self._cmd, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot)

    @staticmethod
    def build_environment(state_dir, shared_dir):
        """The environment: that of the script, and what start scripts look for."""
        return {**os.environ, "TMPDIR": str(state_dir), "SHARED_DIR": str(shared_dir), "USE_TMPDIR": "1"}

    def run(self, state_dir, shared_dir, monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot):
        """Starts the command as a process of the caller's, which is a subprocess.Popen. Machines do not use it:
        their processes belong to the driver, so that none outlives it."""
        import subprocess

        line = self.cmd(monitor_socket_path, qmp_socket_path, shell_socket_path, allow_reboot)
        return subprocess.Popen(line, shell=True, cwd=state_dir, env=self.build_environment(state_dir, shared_dir),
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)


StartCommand = NixStartScript = QemuStartCommand  # its names in drivers before 2026

__all__ = ["BaseMachine", "Machine", "NixStartScript", "NspawnMachine", "QemuMachine", "QemuStartCommand", "StartCommand",
           "retry"]
