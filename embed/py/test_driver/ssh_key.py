"""The SSH key of the run, by which guests that test_driver.image_machine makes are logged into.

Guests with systemd get the public key from the machine's SMBIOS tables; others have to be given it, as by

    vm.login("root", "password")
    vm.succeed(f"mkdir -p ~/.ssh; echo {shlex.quote(run_key().public)} >> ~/.ssh/authorized_keys")

The functions may be called from several of the script's threads.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from _test_driver import current_driver, make_ssh_key


@dataclass(frozen=True)
class SshKeyPair:
    """A key pair. private: the Path of the private key, in OpenSSH's format. public: the line of the public key, as in
    authorized_keys."""

    private: Path
    public: str


_lock = threading.Lock()
_pairs = {}  # {directory: the run's pair}


def run_key():
    """Returns the SshKeyPair of the run, which is made at the first call. Its files are in the run's directory for
    temporary files, readable by their owner only, and are removed when the run ends. MachineError if the key cannot be
    made."""
    directory = current_driver().tmp_dir
    with _lock:
        if directory not in _pairs:
            private = Path(directory) / f"ssh-key-{os.getpid()}-{os.urandom(4).hex()}"
            _pairs[directory] = SshKeyPair(private, make_ssh_key(private, "nixos-test-driver").strip())
        return _pairs[directory]


def public_key_of(private):
    """Returns the public key that lies beside a private key, as ssh-keygen puts it there, or None. private: a path."""
    try:
        return Path(f"{os.fspath(private)}.pub").read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
