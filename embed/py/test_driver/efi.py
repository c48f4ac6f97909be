"""EFI variables of a stopped machine, in its variable store, a file that the firmware OVMF uses as flash memory.

embed/machine imports this module when a script uses `machine.efi_vars` or a method for EFI variables.

The file is a firmware volume (little-endian throughout):

    0         EFI_FIRMWARE_VOLUME_HEADER with one block map entry; its 16-bit words add up to 0
    0x48      VARIABLE_STORE_HEADER: the size of the store in bytes, this header included
    0x64      variables, each at a multiple of 4: AUTHENTICATED_VARIABLE_HEADER, name (UTF-16, with its NUL),
              data; then 0xff up to the end of the store
    0x40000   event log, unused
    0x41000   work block of fault-tolerant writing (FTW): EFI_FAULT_TOLERANT_WORKING_BLOCK_HEADER, queue
    0x42000   FTW's spare blocks
    0x84000   the end

with the offsets of OVMF's 4 MB builds. The offsets of an existing store are read from its headers. Erased flash is
0xff, and writing flash only clears bits; firmware therefore changes a variable by marking it as deleted and adding a
new one. Sources: EDK II's MdePkg/Include/Pi/PiFirmwareVolume.h,
MdeModulePkg/Include/Guid/{VariableFormat,SystemNvDataGuid}.h, OvmfPkg/Include/Fdf/VarStore.fdf.inc.
"""

import io
import struct
import uuid
import zlib

from test_driver.errors import MachineError, RequestedAssertionFailed

_VOLUME = struct.Struct("<16x 16s Q 4s I H H H x B II II")
_STORE = struct.Struct("<16s I B B 6x")
_VARIABLE = struct.Struct("<H B x I Q 16s I I I 16s")
_WORK_BLOCK = struct.Struct("<16s I B 3s Q")

# Sizes and offsets of a new store, in bytes, and the values of its headers' fields.
_VOLUME_SIZE, _STORE_SIZE, _BLOCK = 0x84000, 0x40000 - _VOLUME.size, 0x1000
_WORK_OFFSET = 0x41000
_VOLUME_ATTRIBUTES, _VOLUME_REVISION = 0x4FEFF, 2
_FORMATTED, _HEALTHY = 0x5A, 0xFE
_VARIABLE_START = 0x55AA
_FILE_LIMIT = 64 << 20  # bytes; a larger file is refused


def _stored(text):
    """The bytes of a GUID in the order in which the store has them."""
    return uuid.UUID(text).bytes_le


_VOLUME_GUID = _stored("fff12b8d-7696-4c8b-a985-2747075b4f50")  # gEfiSystemNvDataFvGuid
_STORE_GUID = _stored("aaf32c78-947b-439a-a180-2e144ec37792")  # gEfiAuthenticatedVariableGuid
_WORK_BLOCK_GUID = _stored("9e58292b-7c68-497d-a0ce-6500fd9f1b95")  # gEdkiiWorkingBlockSignatureGuid

_VENDORS = {
    "gEdkiiVarErrorFlagGuid": "04b37fe8-f6ae-480b-bdd5-37d98c5e89aa",
    "gEfiCertDbGuid": "d9bee56e-75dc-49d9-b4d7-b534210f637a",
    "gEfiCustomModeEnableGuid": "c076ec0c-7028-4399-a072-71ee5c448b9f",
    "gEfiGlobalVariableGuid": "8be4df61-93ca-11d2-aa0d-00e098032b8c",
    "gEfiImageSecurityDatabaseGuid": "d719b2cb-3d3a-4596-a3bc-dad00e67656f",
    "gEfiIScsiInitiatorNameProtocolGuid": "59324945-ec44-4c0d-b1cd-9db139df070c",
    "gEfiIp4Config2ProtocolGuid": "5b446ed1-e30b-4faa-871a-3654eca36080",
    "gEfiMemoryTypeInformationGuid": "4c19049f-4137-4dd3-9c10-8b97a83ffdfa",
    "gEfiSecureBootEnableDisableGuid": "f0a30bc7-af08-4556-99c4-001009c93a44",
    "gEfiVendorKeysNvGuid": "9073e4e0-60ec-4b6e-9903-4c223c260f3c",
    "gIScsiConfigGuid": "4b47d616-a8d6-4552-9d44-ccad2e0f4cf9",
    "gMicrosoftVendorGuid": "77fa9abd-0359-4d32-bd60-28f4e78f784b",
    "gMtcVendorGuid": "eb704011-1402-11d3-8e77-00a0c969723b",
    "mBmHardDriveBootVariableGuid": "fab7e9e1-39dd-4f2b-8408-e20e906cb6de",
}


class EfiGuid:
    """The vendors' GUIDs by their names in EDK II, for comparison with `EfiVariable.vendorUUID`."""


for _name, _text in _VENDORS.items():
    setattr(EfiGuid, _name, uuid.UUID(bytes=_stored(_text)))


class EfiVariable:
    """An EFI variable.

    vendor_uuid: the vendor's GUID as it is usually written. The attribute `vendorUUID`, with which scripts compare, is
        the UUID of the bytes in the order of the store: the first three fields are reversed.
    name: str. data: bytes.
    state: a value of State, or its complement in 8 bits; default: VAR_ADDED.
    flags: values of Flags; default: non-volatile, accessible at boot and at run time.

    TypeError or ValueError for an argument of a wrong type or range.
    """

    class Flags:
        """Attributes of a variable, as bits."""

        NON_VOLATILE = 0x1
        BOOTSERVICE_ACCESS = 0x2
        RUNTIME_ACCESS = 0x4
        HARDWARE_ERROR_RECORD = 0x8
        AUTHENTICATED_WRITE_ACCESS = 0x10
        TIME_BASED_AUTHENTICATED_WRITE_ACCESS = 0x20
        APPEND_WRITE = 0x40

    class State:
        """States of a variable. Each step of its life clears a bit: partly written, present, being replaced,
        deleted."""

        VAR_HEADER_VALID_ONLY = 0x7F
        VAR_ADDED = 0x3F
        VAR_IN_DELETED_TRANSITION = 0xFE  # combined by & with the state before
        VAR_DELETED = 0xFD  # likewise

    def __init__(self, vendor_uuid=None, name=None, data=None, state=None, flags=None):
        kept = self.Flags.NON_VOLATILE | self.Flags.BOOTSERVICE_ACCESS | self.Flags.RUNTIME_ACCESS
        self.vendorUUID = None if vendor_uuid is None else uuid.UUID(bytes=_typed(
            "vendor_uuid", vendor_uuid, uuid.UUID).bytes_le)
        self.name = None if name is None else _typed("name", name, str)
        self.data = None if data is None else bytes(_typed("data", data, (bytes, bytearray, memoryview)))
        self.state = self.State.VAR_ADDED if state is None else _number("state", state, 0xFF)
        if self.state & 0x80:  # a header never has this bit, so the argument is the complement
            self.state ^= 0xFF
        self.flags = kept if flags is None else _number("flags", flags, 0xFFFFFFFF)
        self.monotonicCount, self.timestamp, self.pubKeyIdx = 0, bytes(16), 0

    @property
    def vendor_uuid(self):
        """The vendor's GUID as it is usually written, a UUID, or None."""
        return None if self.vendorUUID is None else uuid.UUID(bytes_le=self.vendorUUID.bytes)

    @property
    def isDeleted(self):  # noqa: N802, the name that scripts know
        """Whether firmware has deleted the variable."""
        return not self.state & ~self.State.VAR_DELETED

    def serialize(self):
        """Returns the variable's bytes in a store, padded to a multiple of 4. ValueError for a variable that lacks
        vendor, name or data."""
        content = _encode(self)
        return content + b"\xff" * (-len(content) % 4)

    @classmethod
    def deserialize(cls, file):
        """Reads the variable at the position of a binary file and leaves the position behind the variable. Returns
        None if no variable begins there. ValueError for a variable that does not end within the file."""
        offset = file.tell()
        header = file.read(_VARIABLE.size)
        if len(header) < _VARIABLE.size or header[:2] != _VARIABLE_START.to_bytes(2, "little"):
            return None
        _, state, flags, count, timestamp, key, name_size, data_size, vendor = _VARIABLE.unpack(header)
        name, data = file.read(name_size), file.read(data_size)
        if len(name) + len(data) < name_size + data_size:
            raise ValueError(f"the variable at {offset:#x} is longer than the store")
        file.read(-file.tell() % 4)
        variable = cls()
        variable.state, variable.flags = state, flags
        variable.monotonicCount, variable.timestamp, variable.pubKeyIdx = count, timestamp, key
        variable.vendorUUID = uuid.UUID(bytes=vendor)
        variable.name = name.decode("utf-16-le", errors="replace").rstrip("\0")
        variable.data = data
        return variable

    def print(self):
        """Prints the variable on standard output."""
        print(f"{self.name!r} of {_vendor_name(self)}, {' '.join(_names_of(self.Flags, self.flags)) or 'no flags'}")
        for line in _dump(self.data):
            print(f"    {line}")

    def __repr__(self):
        return f"EfiVariable({self.vendor_uuid!r}, {self.name!r}, {self.data!r}, {self.state:#x}, {self.flags:#x})"


def _flag_property(flag, wanted=True):
    return property(lambda variable: bool(variable.flags & flag) is wanted,
                    doc=f"bool: the flag {flag:#x} is {'set' if wanted else 'not set'}.")


for _name, _property in {
    "volatile": _flag_property(EfiVariable.Flags.NON_VOLATILE, False),
    "boot_access": _flag_property(EfiVariable.Flags.BOOTSERVICE_ACCESS),
    "runtime_access": _flag_property(EfiVariable.Flags.RUNTIME_ACCESS),
    "hardware_error_record": _flag_property(EfiVariable.Flags.HARDWARE_ERROR_RECORD),
    "authenticated_write_access": _flag_property(EfiVariable.Flags.AUTHENTICATED_WRITE_ACCESS),
    "time_based_authenticated_write_access": _flag_property(
        EfiVariable.Flags.TIME_BASED_AUTHENTICATED_WRITE_ACCESS),
    "append_write": _flag_property(EfiVariable.Flags.APPEND_WRITE),
}.items():
    setattr(EfiVariable, _name, _property)


# ---- checks of arguments, names


def _typed(parameter, value, types):
    if not isinstance(value, types):
        raise TypeError(f"{parameter} must be {getattr(types, '__name__', 'bytes')}, not {type(value).__name__}")
    return value


def _number(parameter, value, limit):
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{parameter} must be int, not {type(value).__name__}")
    if not 0 <= value <= limit:
        raise ValueError(f"{parameter} must be between 0 and {limit:#x}, not {value:#x}")
    return value


def _vendor_name(variable):
    names = {uuid.UUID(text): name for name, text in _VENDORS.items()}
    return names.get(variable.vendor_uuid, str(variable.vendor_uuid))


def _names_of(namespace, flags):
    return [name for name, value in vars(namespace).items() if not name.startswith("_") and flags & value]


def _dump(data):
    """Yields a hex dump, 16 bytes a line; `*` stands for lines that repeat the one before."""
    before = repeated = None
    for offset in range(0, len(data), 16):
        row = data[offset:offset + 16]
        if row != before:
            text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
            yield f"{offset:04x}  {row.hex(' '):47}  {text}"
        elif not repeated:
            yield "*"
        before, repeated = row, row == before


# ---- the format


def _encode(variable):
    """The variable's bytes in the store, without padding."""
    for part in "vendorUUID", "name", "data":
        if getattr(variable, part) is None:
            raise ValueError(f"a variable without {part} cannot be written")
    if not variable.name or "\0" in variable.name:
        raise ValueError(f"{variable.name!r} cannot be the name of a variable")
    name = (variable.name + "\0").encode("utf-16-le")
    header = _VARIABLE.pack(
        _VARIABLE_START, variable.state, variable.flags, variable.monotonicCount, variable.timestamp,
        variable.pubKeyIdx, len(name), len(variable.data), variable.vendorUUID.bytes)
    return header + name + bytes(variable.data)


def _decode(area):
    """Yields all variables, deleted ones included, in the bytes behind the store's header."""
    file = io.BytesIO(area)
    while (variable := EfiVariable.deserialize(file)) is not None:
        yield variable


def _key(variable):
    return variable.vendorUUID, variable.name


def _living(variables):
    """The variables that firmware would see. The old value of a variable that is being replaced counts until the new
    value is present."""
    added, replaced = EfiVariable.State.VAR_ADDED, EfiVariable.State.VAR_IN_DELETED_TRANSITION
    variables = list(variables)
    there = {_key(variable) for variable in variables if variable.state == added}
    return [variable for variable in variables
            if variable.state == added or variable.state == added & replaced and _key(variable) not in there]


def _fill(store, start, size, content):
    store[start:start + size] = content.ljust(size, b"\xff")


def _empty_store():
    """The bytes of a store without variables."""
    store = bytearray(b"\xff" * _VOLUME_SIZE)

    def volume(checksum):
        return _VOLUME.pack(_VOLUME_GUID, _VOLUME_SIZE, b"_FVH", _VOLUME_ATTRIBUTES, _VOLUME.size, checksum, 0,
                            _VOLUME_REVISION, _VOLUME_SIZE // _BLOCK, _BLOCK, 0, 0)

    store[:_VOLUME.size] = volume(-sum(struct.unpack(f"<{_VOLUME.size // 2}H", volume(0))) & 0xFFFF)
    _STORE.pack_into(store, _VOLUME.size, _STORE_GUID, _STORE_SIZE, _FORMATTED, _HEALTHY)

    # The checksum is computed over the header with checksum and state still erased.
    def work_block(checksum, state):
        return _WORK_BLOCK.pack(_WORK_BLOCK_GUID, checksum, state, b"\xff" * 3, _BLOCK - _WORK_BLOCK.size)

    checksum = zlib.crc32(work_block(0xFFFFFFFF, 0xFF))
    _fill(store, _WORK_OFFSET, _BLOCK, work_block(checksum, 0xFE))
    return store


def _variable_area(store):
    """The slice of a store's bytes that holds the variables. ValueError if the bytes are no store."""
    if len(store) < _VOLUME.size + _STORE.size:
        raise ValueError("it is too short")
    guid, _, signature, _, header_size, *_ = _VOLUME.unpack_from(store)
    if guid != _VOLUME_GUID or signature != b"_FVH":
        raise ValueError("it does not begin with the header of a firmware volume for variables")
    if header_size < _VOLUME.size or header_size + _STORE.size > len(store):
        raise ValueError(f"the size of its header, {header_size}, is impossible")
    guid, size, form, state = _STORE.unpack_from(store, header_size)
    if guid != _STORE_GUID or (form, state) != (_FORMATTED, _HEALTHY):
        raise ValueError("it has no healthy store of authenticated variables")
    if not _STORE.size <= size <= len(store) - header_size:
        raise ValueError(f"the size of its variable store, {size}, is impossible")
    return slice(header_size + _STORE.size, header_size + size)


def _forget_pending_writes(store):
    """Erases the queue of fault-tolerant writes: firmware that was stopped while it rearranged variables would finish
    that work at its next start and overwrite the new variables."""
    for offset in range(0, len(store) - _WORK_BLOCK.size, _BLOCK):
        guid, _, _, _, size = _WORK_BLOCK.unpack_from(store, offset)
        if guid == _WORK_BLOCK_GUID:
            start = offset + _WORK_BLOCK.size
            size = min(size, len(store) - start)
            _fill(store, start, size, b"")
            return


def _put(store, variables):
    """Replaces all variables in the store by `variables`. ValueError if they do not fit."""
    area = _variable_area(store)
    content = b"".join(variable.serialize() for variable in variables)
    if len(content) > area.stop - area.start:
        raise ValueError(f"these variables need {len(content)} bytes, but the store has {area.stop - area.start}")
    _fill(store, area.start, area.stop - area.start, content)
    _forget_pending_writes(store)


# ---- a machine's store


class EfiVars:
    """The variable store of a machine.

    state_path: the Path of the file. machine: the machine that uses it. All methods raise RequestedAssertionFailed
    while the machine runs, because running firmware keeps its own copy of the variables, and MachineError for a file
    that is no store.
    """

    def __init__(self, state_path, machine):
        self.state_path = state_path
        self.machine = machine

    def create_empty(self):
        """Makes a store without variables; RequestedAssertionFailed if there is a store already."""
        self._require_stopped()
        if self.state_path.exists():
            raise RequestedAssertionFailed(
                f"machine '{self.machine.name}' has a store of EFI variables already: {self.state_path}")
        self.state_path.write_bytes(_empty_store())

    def read(self):
        """Returns a list of the variables in the order of the store; without a store, an empty list."""
        store = self._load()
        return [] if store is None else self._checked(lambda: _living(_decode(bytes(store[_variable_area(store)]))))

    def read_content(self):
        """Returns the variables by vendor and name, such as {"gEfiGlobalVariableGuid": {"Lang": variable}}, or None
        without a store. A vendor that EfiGuid does not name is called by its `vendorUUID` as text."""
        if self._load() is None:
            return None
        names = {getattr(EfiGuid, name): name for name in _VENDORS}
        content = {}
        for variable in self.read():
            content.setdefault(names.get(variable.vendorUUID, str(variable.vendorUUID)), {})[variable.name] = variable
        return content

    def write(self, add):
        """Adds the variables of iterable `add` and removes those with the same name and vendor; makes the store if
        there is none. ValueError for variables that are incomplete or do not fit."""
        add = {_key(_typed("a variable", variable, EfiVariable)): variable for variable in add}
        kept = [variable for variable in self.read() if _key(variable) not in add]
        store = self._load() or _empty_store()
        _put(store, kept + list(add.values()))
        self.state_path.write_bytes(store)

    def dump(self):
        """Prints the variables on standard output."""
        for variable in self.read():
            variable.print()

    def _require_stopped(self):
        if self.machine.booted:
            raise RequestedAssertionFailed(
                f"machine '{self.machine.name}' is running: its EFI variables can be used only while it is stopped")

    def _load(self):
        self._require_stopped()
        try:
            with open(self.state_path, "rb") as file:
                store = bytearray(file.read(_FILE_LIMIT + 1))
        except FileNotFoundError:
            return None
        if len(store) > _FILE_LIMIT:
            raise self._broken(f"it has more than {_FILE_LIMIT} bytes")
        return store

    def _checked(self, parse):
        try:
            return parse()
        except ValueError as error:
            raise self._broken(error) from None

    def _broken(self, why):
        return MachineError(f"machine '{self.machine.name}': {self.state_path} is no store of EFI variables: {why}")
