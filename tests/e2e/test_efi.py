"""EFI variables: the format of the store, compared with OVMF's files and with OVMF itself, and the methods of
scripts."""

import re
import uuid
from pathlib import Path

import pytest

import harness

FIRMWARE = Path("/usr/share/OVMF")
VENDOR = "a19f72f8-b554-4bd7-a0c2-2762bd854691"
IMPORTS = f"""
import uuid
from test_driver.efi import EfiGuid, EfiVariable
from test_driver.errors import MachineError, RequestedAssertionFailed
VENDOR = uuid.UUID("{VENDOR}")

def fresh():
    machine.efi_vars_path.unlink(missing_ok=True)
    machine.create_efi_vars()

def contents():
    return [(v.name, str(v.vendor_uuid), v.data, v.flags) for v in machine.read_efi_vars()]
"""
needs_firmware = pytest.mark.skipif(not (FIRMWARE / "OVMF_VARS_4M.fd").exists(), reason="the package ovmf is missing")


@pytest.fixture(scope="module")
def session(fake):
    with harness.Session(fake, IMPORTS) as running:
        yield running


# ---- the format


@needs_firmware
def test_an_empty_store_is_that_of_ovmf(session):
    session("""
        fresh()
        assert machine.efi_vars_path.stat().st_size == 0x84000
        assert machine.efi_vars_path.read_bytes() == open(path, "rb").read()
        assert machine.efi_vars_path == machine.state_dir / "machine-efi-vars.fd"
    """, path=str(FIRMWARE / "OVMF_VARS_4M.fd"))


def test_the_bytes_of_a_variable(session):
    # MdeModulePkg/Include/Guid/VariableFormat.h, AUTHENTICATED_VARIABLE_HEADER
    header = "aa55 3f 00 07000000 0000000000000000 00000000000000000000000000000000 00000000 06000000 03000000"
    expected = bytes.fromhex(header) + uuid.UUID(VENDOR).bytes_le + "Ab\0".encode("utf-16-le") + b"xyz"
    session("""
        fresh()
        machine.write_efi_vars([EfiVariable(VENDOR, "Ab", b"xyz"), EfiVariable(VENDOR, "C", b"")])
        store = machine.efi_vars_path.read_bytes()
        first, padding, second = store[0x64:0x64 + len(expected)], store[0x64 + len(expected):0xac], store[0xac:0xec]
        assert first == expected, (first.hex(), expected.hex())
        assert padding == b"\\xff" * 3
        assert second[:2] == b"\\xaa\\x55" and second[60:] == b"C\\0\\0\\0"
        assert set(store[0xec:0x40000]) == {0xff}
    """, expected=expected)


def test_variables_by_their_vendors(session):
    session("""
        machine.efi_vars_path.unlink(missing_ok=True)
        assert machine.efi_vars.read_content() is None
        known = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
        machine.write_efi_vars([EfiVariable(VENDOR, "Ab", b"xyz"), EfiVariable(known, "Lang", b"de"), EfiVariable(known, "C", b"")])
        content = machine.efi_vars.read_content()
        assert set(content) == {"gEfiGlobalVariableGuid", str(content[str(uuid.UUID(bytes=VENDOR.bytes_le))]["Ab"].vendorUUID)}
        assert {name: one.data for name, one in content["gEfiGlobalVariableGuid"].items()} == {"Lang": b"de", "C": b""}
    """)


def test_variables_as_bytes(session):
    session("""
        import io
        one, other = EfiVariable(VENDOR, "Ab", b"xyz"), EfiVariable(VENDOR, "C", b"")
        file = io.BytesIO(one.serialize() + other.serialize() + b"\\xff" * 100)
        first, second = EfiVariable.deserialize(file), EfiVariable.deserialize(file)
        assert len(one.serialize()) % 4 == 0 and vars(first) == vars(one) and vars(second) == vars(other)
        assert EfiVariable.deserialize(file) is None and EfiVariable.deserialize(io.BytesIO(b"")) is None
        assert not first.isDeleted
        first.state &= EfiVariable.State.VAR_DELETED
        assert EfiVariable.deserialize(io.BytesIO(first.serialize())).isDeleted
        try:
            EfiVariable.deserialize(io.BytesIO(one.serialize()[:-4]))
        except ValueError as error:
            assert "longer than the store" in str(error)
        else:
            raise Exception("it was read")
    """)


@needs_firmware
@pytest.mark.parametrize("name", ["OVMF_VARS.ms.fd", "OVMF_VARS_4M.ms.fd"])
def test_stores_that_firmware_has_written(session, name):
    """Stores with Microsoft's keys have 57 entries, some of them deleted; one of the files has the layout of 2 MB
    builds."""
    session("""
        store = open(path, "rb").read()
        machine.efi_vars_path.write_bytes(store)
        before = {(v.vendorUUID, v.name): v for v in machine.read_efi_vars()}
        key = before[EfiGuid.gEfiGlobalVariableGuid, "PK"]
        assert key.data[:4] == bytes.fromhex("a159c0a5") and key.time_based_authenticated_write_access
        assert before[EfiGuid.gEfiGlobalVariableGuid, "PlatformLang"].data == b"en\\0"
        assert len(before) == len(machine.read_efi_vars())
        machine.write_efi_vars([EfiVariable(VENDOR, "New", b"n"),
                                EfiVariable(key.vendor_uuid, "PlatformLang", b"de\\0")])
        after = {(v.vendorUUID, v.name): v for v in machine.read_efi_vars()}
        assert len(after) == len(before) + 1
        for place, variable in before.items():
            if variable.name != "PlatformLang":
                assert vars(after[place]) == vars(variable)
        assert after[key.vendorUUID, "PlatformLang"].data == b"de\\0"
        written = machine.efi_vars_path.read_bytes()
        assert len(written) == len(store) and written[:0x64] == store[:0x64]
    """, path=str(FIRMWARE / name))


@pytest.mark.parametrize("offset, change", [
    (0, None), (0x10, b"\0"), (0x28, b"\0"), (0x30, b"\xff\xff"), (0x48, b"\0"), (0x58, b"\xff\xff\xff\xff"),
    (0x58, b"\0\0\0\0"), (0x5c, b"\0"), (0x64 + 36, b"\xff\xff\xff\x7f"), (0x64 + 40, b"\xff\xff\xff\xff"),
])
def test_broken_stores(session, offset, change):
    """A wrong value in any field that the driver reads is an error; None stands for a file that ends there."""
    session("""
        fresh()
        machine.write_efi_vars([EfiVariable(VENDOR, "Some", b"data")])
        store = bytearray(machine.efi_vars_path.read_bytes())
        store[offset:len(store) if change is None else offset + len(change)] = change or b""
        machine.efi_vars_path.write_bytes(store)
        for use in machine.read_efi_vars, machine.dump_efi_vars, lambda: machine.write_efi_vars([]):
            text = error_of(use)
            assert text.startswith("MachineError: machine 'machine': "), text
            assert "machine-efi-vars.fd is no store of EFI variables: " in text, text
        assert machine.efi_vars_path.read_bytes() == store
    """, offset=offset, change=change)


def test_entries_that_are_not_there(session):
    """Entries do not count that are deleted or partly written, nor one that is being replaced if its successor is
    present."""
    session("""
        fresh()
        added, replaced = EfiVariable.State.VAR_ADDED, EfiVariable.State.VAR_IN_DELETED_TRANSITION
        states = {"deleted": added & EfiVariable.State.VAR_DELETED, "part": EfiVariable.State.VAR_HEADER_VALID_ONLY,
                  "old": added & replaced}
        machine.write_efi_vars([EfiVariable(VENDOR, name, b"x", state=state) for name, state in states.items()])
        assert [v.name for v in machine.read_efi_vars()] == ["old"]
        store = bytearray(machine.efi_vars_path.read_bytes())
        fresh()
        machine.write_efi_vars([EfiVariable(VENDOR, "a", b"1", state=added & replaced), EfiVariable(VENDOR, "b", b"2")])
        store = bytearray(machine.efi_vars_path.read_bytes())
        store[0x64 + 60 + 4 + 4 + 60] = ord("a")  # the name of the second variable
        machine.efi_vars_path.write_bytes(store)
        assert [(v.name, v.data) for v in machine.read_efi_vars()] == [("a", b"2")]
    """)


def test_pending_writes_are_forgotten(session):
    """write() erases the queue of fault-tolerant writes, with which firmware would undo the change."""
    session("""
        fresh()
        store = bytearray(machine.efi_vars_path.read_bytes())
        header = store[0x41000:0x41020]
        store[0x41020:0x41060] = bytes(64)
        machine.efi_vars_path.write_bytes(store)
        machine.write_efi_vars([EfiVariable(VENDOR, "a", b"1")])
        store = machine.efi_vars_path.read_bytes()
        assert store[0x41000:0x41020] == header and set(store[0x41020:]) == {0xff}
    """)


def test_a_full_store(session):
    session("""
        fresh()
        machine.write_efi_vars([EfiVariable(VENDOR, "a", b"1")])
        text = error_of(machine.write_efi_vars, [EfiVariable(VENDOR, "b", bytes(0x40000))])
        assert text.startswith("ValueError: these variables need "), text
        assert [v.name for v in machine.read_efi_vars()] == ["a"]
    """)


# ---- methods of scripts


def test_written_variables_are_read_again(session):
    session("""
        fresh()
        assert machine.read_efi_vars() == []
        machine.write_efi_vars([EfiVariable(vendor_uuid=VENDOR, name="Größe", data=bytes(range(256)),
                                            flags=EfiVariable.Flags.NON_VOLATILE)])
        machine.write_efi_vars([EfiVariable(VENDOR, "B", b"1"), EfiVariable(uuid.UUID(int=1), "B", b"2")])
        machine.write_efi_vars([EfiVariable(VENDOR, "B", b"3")])
        assert sorted(contents()) == [("B", str(uuid.UUID(int=1)), b"2", 7), ("B", str(VENDOR), b"3", 7),
                                      ("Größe", str(VENDOR), bytes(range(256)), 1)]
        variable, = [v for v in machine.read_efi_vars() if v.data == b"3"]
        assert variable.vendorUUID == uuid.UUID(bytes=VENDOR.bytes_le) and variable.vendor_uuid == VENDOR
        assert (variable.boot_access, variable.runtime_access, variable.volatile) == (True, True, False)
        assert variable.state == EfiVariable.State.VAR_ADDED
    """)


def test_a_store_is_made_when_there_is_none(session):
    session("""
        machine.efi_vars_path.unlink(missing_ok=True)
        assert machine.read_efi_vars() == []
        machine.write_efi_vars([EfiVariable(VENDOR, "a", b"1")])
        assert [v.name for v in machine.efi_vars.read()] == ["a"]
        text = error_of(machine.create_efi_vars)
        assert text.startswith("RequestedAssertionFailed: machine 'machine' has a store of EFI variables already: "), text
    """)


def test_printing(fake):
    result = harness.run(IMPORTS + """
machine.write_efi_vars([EfiVariable(VENDOR, "Demo", b"some data and more", flags=EfiVariable.Flags.RUNTIME_ACCESS),
                        EfiVariable(uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c"), "Lang", bytes(80))])
machine.dump_efi_vars()
machine.read_efi_vars()[0].print()
""", fake)
    demo = [
        f"'Demo' of {VENDOR}, RUNTIME_ACCESS",
        "    0000  73 6f 6d 65 20 64 61 74 61 20 61 6e 64 20 6d 6f  some data and mo",
        "    0010  72 65                                            re",
    ]
    assert result.lines == demo + [
        "'Lang' of gEfiGlobalVariableGuid, NON_VOLATILE BOOTSERVICE_ACCESS RUNTIME_ACCESS",
        "    0000  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................",
        "    *",
    ] + demo


@pytest.mark.parametrize("arguments, error", [
    ("'x', 'n', b'd'", "TypeError: vendor_uuid must be UUID, not str"),
    ("VENDOR, b'n', b'd'", "TypeError: name must be str, not bytes"),
    ("VENDOR, 'n', 'd'", "TypeError: data must be bytes, not str"),
    ("VENDOR, 'n', b'd', flags=True", "TypeError: flags must be int, not bool"),
    ("VENDOR, 'n', b'd', flags=-1", "ValueError: flags must be between 0 and 0xffffffff, not -0x1"),
    ("VENDOR, 'n', b'd', state=256", "ValueError: state must be between 0 and 0xff, not 0x100"),
])
def test_wrong_arguments(session, arguments, error):
    assert session(f"result = error_of(lambda: EfiVariable({arguments}))") == error


@pytest.mark.parametrize("arguments, error", [
    ("VENDOR, '', b'd'", "ValueError: '' cannot be the name of a variable"),
    ("VENDOR, 'a\\0b', b'd'", "ValueError: 'a\\x00b' cannot be the name of a variable"),
    ("VENDOR, 'n'", "ValueError: a variable without data cannot be written"),
    ("name='n', data=b''", "ValueError: a variable without vendorUUID cannot be written"),
])
def test_variables_that_cannot_be_written(session, arguments, error):
    session("fresh()")
    assert session(f"result = error_of(machine.write_efi_vars, [EfiVariable({arguments})])") == error
    assert session("result = error_of(machine.write_efi_vars, [5])") == \
        "TypeError: a variable must be EfiVariable, not int"
    assert session("result = contents()") == []


def test_the_complement_of_a_state(session):
    session("assert EfiVariable(state=0xc0).state == EfiVariable(state=0x3f).state == EfiVariable().state == 0x3f")


def test_a_running_machine_keeps_its_variables_to_itself(session):
    session("""
        fresh()
        machine.start()
        for use in machine.create_efi_vars, machine.read_efi_vars, machine.dump_efi_vars, \\
                lambda: machine.write_efi_vars([]):
            text = error_of(use)
            assert text == "RequestedAssertionFailed: machine 'machine' is running: its EFI variables can be used " \\
                "only while it is stopped", text
        machine.crash()
        assert machine.read_efi_vars() == []
    """)


# ---- OVMF


STARTUP = f"""
dmpstore Demo -guid {VENDOR}
setvar Demo -guid {VENDOR} =2b
reset -s
"""


@needs_firmware
def test_firmware_reads_and_writes_them(tmp_path):
    """The UEFI shell reads the variable that the script has written, and changes it."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/startup.nsh").write_text(STARTUP)
    script = tmp_path / "run-efi-vm"
    script.write_text(f"""#!/bin/sh
        exec qemu-system-x86_64 -nodefaults -machine q35 -accel tcg -m 128 \\
            -drive if=pflash,format=raw,unit=0,readonly=on,file={FIRMWARE}/OVMF_CODE_4M.fd \\
            -drive if=pflash,format=raw,unit=1,file="$NIX_EFI_VARS" \\
            -drive if=virtio,format=raw,file=fat:rw:{tmp_path}/disk "$@"
    """)
    script.chmod(0o755)
    result = harness.run(IMPORTS + """
machine.create_efi_vars()
machine.write_efi_vars([EfiVariable(VENDOR, "Demo", bytes([0x2a])), EfiVariable(VENDOR, "Other", b"other")])
machine.start()
machine.wait_for_shutdown(timeout=120)
variables = machine.read_efi_vars()
print(sorted((v.name, v.data) for v in variables if v.vendor_uuid == VENDOR))
print([v.name for v in variables if v.vendorUUID == EfiGuid.gEfiGlobalVariableGuid and v.name == "BootOrder"])
""", {"efi": str(script)}, seconds=180)
    assert result.lines == ["[('Demo', b'+'), ('Other', b'other')]", "['BootOrder']"]
    assert re.search(f"Variable NV.RT.BS '(?i:{VENDOR}):Demo' DataSize = 0x01\n.*00000000: 2A", result.log)
