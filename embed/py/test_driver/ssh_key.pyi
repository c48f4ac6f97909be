# The types of test_driver.ssh_key for type checkers; the module documents the names.

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

@dataclass(frozen=True)
class SshKeyPair:
    private: Path
    public: str

def run_key() -> SshKeyPair: ...
def public_key_of(private: str | PathLike[str]) -> str | None: ...
