# The types of test_driver.efi for type checkers; the module documents the names.

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Self
from uuid import UUID

from test_driver.machine import QemuMachine

class EfiGuid:
    gEdkiiVarErrorFlagGuid: UUID
    gEfiCertDbGuid: UUID
    gEfiCustomModeEnableGuid: UUID
    gEfiGlobalVariableGuid: UUID
    gEfiImageSecurityDatabaseGuid: UUID
    gEfiIScsiInitiatorNameProtocolGuid: UUID
    gEfiIp4Config2ProtocolGuid: UUID
    gEfiMemoryTypeInformationGuid: UUID
    gEfiSecureBootEnableDisableGuid: UUID
    gEfiVendorKeysNvGuid: UUID
    gIScsiConfigGuid: UUID
    gMicrosoftVendorGuid: UUID
    gMtcVendorGuid: UUID
    mBmHardDriveBootVariableGuid: UUID

class EfiVariable:
    class Flags:
        NON_VOLATILE: int
        BOOTSERVICE_ACCESS: int
        RUNTIME_ACCESS: int
        HARDWARE_ERROR_RECORD: int
        AUTHENTICATED_WRITE_ACCESS: int
        TIME_BASED_AUTHENTICATED_WRITE_ACCESS: int
        APPEND_WRITE: int

    class State:
        VAR_HEADER_VALID_ONLY: int
        VAR_ADDED: int
        VAR_IN_DELETED_TRANSITION: int
        VAR_DELETED: int

    vendorUUID: UUID
    name: str
    data: bytes
    state: int
    flags: int
    monotonicCount: int
    timestamp: bytes
    pubKeyIdx: int
    def __init__(
        self,
        vendor_uuid: UUID | None = None,
        name: str | None = None,
        data: bytes | None = None,
        state: int | None = None,
        flags: int | None = None,
    ) -> None: ...
    @property
    def vendor_uuid(self) -> UUID | None: ...
    @property
    def volatile(self) -> bool: ...
    @property
    def boot_access(self) -> bool: ...
    @property
    def runtime_access(self) -> bool: ...
    @property
    def hardware_error_record(self) -> bool: ...
    @property
    def authenticated_write_access(self) -> bool: ...
    @property
    def time_based_authenticated_write_access(self) -> bool: ...
    @property
    def append_write(self) -> bool: ...
    @property
    def isDeleted(self) -> bool: ...
    def serialize(self) -> bytes: ...
    @classmethod
    def deserialize(cls, file: BinaryIO) -> Self | None: ...
    def print(self) -> None: ...

class EfiVars:
    state_path: Path
    machine: QemuMachine
    def __init__(self, state_path: Path, machine: QemuMachine) -> None: ...
    def create_empty(self) -> None: ...
    def read(self) -> list[EfiVariable]: ...
    def read_content(self) -> dict[str, dict[str, EfiVariable]] | None: ...
    def write(self, add: Iterable[EfiVariable]) -> None: ...
    def dump(self) -> None: ...
