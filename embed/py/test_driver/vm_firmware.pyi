# The types of test_driver.vm_firmware for type checkers; the module documents the names.

from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Firmware:
    code: Path
    variables: Path

def find_firmware(arch: str, qemu: str) -> Firmware: ...
