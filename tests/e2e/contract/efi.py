# EFI variables. ../test_efi.py tests each byte of the store.
# vms: machine=fake
# needs: .create_efi_vars

import uuid

from test_driver.efi import EfiVariable

VENDOR = uuid.UUID("a19f72f8-b554-4bd7-a0c2-2762bd854691")
machine.create_efi_vars()
assert machine.efi_vars_path == machine.state_dir / "machine-efi-vars.fd"
assert machine.efi_vars_path.stat().st_size == 0x84000
assert machine.read_efi_vars() == []
machine.write_efi_vars([EfiVariable(VENDOR, "First", b"\x01\x02"), EfiVariable(VENDOR, "Second", b"x" * 300)])
found = {variable.name: variable for variable in machine.read_efi_vars()}
assert set(found) == {"First", "Second"} and found["First"].data == b"\x01\x02", found
assert found["Second"].data == b"x" * 300
machine.dump_efi_vars()
machine.start()
for function in machine.create_efi_vars, machine.read_efi_vars, machine.dump_efi_vars, lambda: machine.write_efi_vars([]):
    assert type(raised(function)) is RequestedAssertionFailed
