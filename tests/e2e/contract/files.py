# Files to the guest and back. ../test_tiny_files.py has more cases.
# vms: machine=tiny

import tempfile
from pathlib import Path

work = Path(tempfile.mkdtemp())
(work / "script").write_text("#!/bin/sh\necho ran é\n")
(work / "script").chmod(0o755)
(work / "it's $a name").write_text("odd")
(work / "tree/a").mkdir(parents=True)
(work / "tree/a/leaf").write_text("leaf")

machine.copy_from_host(str(work / "script"), "/tmp/new/dir/script")
#: machine: must succeed: mkdir -p /tmp/shared/...
#: machine: must succeed: mkdir -p /tmp/new/dir
#: machine: must succeed: cp -r /tmp/shared/.../script /tmp/new/dir/script
assert machine.succeed("/tmp/new/dir/script; stat -c '%a %u' /tmp/new/dir/script") == "ran é\n755 0\n"
machine.copy_from_host(source=str(work / "it's $a name"), target="/tmp/it's $a target")
assert machine.succeed("cat \"/tmp/it's \\$a target\"") == "odd"
machine.copy_from_host(str(work / "tree"), "/tmp/tree")
assert machine.succeed("cat /tmp/tree/a/leaf") == "leaf"
machine.copy_from_host(str(work / "tree"), "/tmp/tree")  # into the directory that exists
assert machine.succeed("cat /tmp/tree/tree/a/leaf") == "leaf"
assert isinstance(raised(machine.copy_from_host, str(work / "missing"), "/tmp/x"), FileNotFoundError)

machine.copy_from_host_via_shell(str(work / "script"), "/tmp/by/shell/script")
assert machine.succeed("cat /tmp/by/shell/script") == (work / "script").read_text()

copy = getattr(machine, "copy_from_machine", machine.copy_from_vm)
machine.succeed("mkdir -p '/tmp/from here/sub'; printf 'a\\0b' > '/tmp/from here/sub/file'")
copy("/tmp/from here/sub/file")
assert (machine.out_dir / "file").read_bytes() == b"a\0b"
copy("/tmp/from here", "some/dir")
assert (machine.out_dir / "some/dir/from here/sub/file").read_bytes() == b"a\0b"
assert isinstance(raised(copy, "/tmp/from here", "some/dir"), FileExistsError)
copy("/tmp/from here/sub/file")  # replaces the file
machine.copy_from_vm("/tmp/new/dir/script", "old")
assert (machine.out_dir / "old/script").stat().st_mode & 0o777 == 0o755
refused(RequestedAssertionFailed, re.compile("command `cp -rL? /no/such /tmp/shared/.*` failed .exit code 1."), copy, "/no/such")
assert machine.succeed("ls -A /tmp/shared") == ""

(machine.shared_dir / "from-host").write_text("host")
assert machine.succeed("cat /tmp/shared/from-host") == "host"
machine.succeed("echo guest > /tmp/xchg/from-guest")
assert (machine.state_dir / "xchg/from-guest").read_text() == "guest\n"
