"""Files from the host to a real guest and back."""

from pathlib import Path

import pytest

import guest_links
import harness

FIRST = """
import hashlib, os, pathlib, tempfile
work = pathlib.Path(tempfile.mkdtemp(dir=os.environ["TMPDIR"]))

def sum_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()

def guest_sum(path):
    return machine.succeed(f"sha256sum < '{path}'").split()[0]

def in_shared():
    return machine.succeed("ls -A /tmp/shared").split()
"""


@pytest.fixture(scope="module")
def session(tiny):
    with harness.Session(tiny, FIRST) as running:
        yield running


@pytest.fixture(scope="module")
def by_shell(tiny):
    """Without the agent, copies are made by commands and by the shared directory."""
    with harness.Session(tiny, FIRST, options=["--no-agent"]) as running:
        yield running


def test_one_file(session):
    session("""
        (work / "plain").write_text("plain text é\\n")
        machine.copy_from_host(str(work / "plain"), "/tmp/new/dir/plain")
        assert machine.succeed("cat /tmp/new/dir/plain") == "plain text é\\n"
        machine.copy_from_host(source=work / "plain", target="/tmp/by name")
        assert machine.succeed("cat '/tmp/by name'") == "plain text é\\n"
        (work / "it's $a file").write_text("odd")
        machine.copy_from_host(work / "it's $a file", "/tmp/it's $the target")
        assert machine.succeed('''cat "/tmp/it's \\\\$the target"''') == "odd"
        (work / "empty").touch()
        machine.copy_from_host(work / "empty", "/tmp/empty")
        assert machine.succeed("stat -c %s /tmp/empty") == "0\\n"
        assert in_shared() == []
    """)


def test_modes(session):
    session("""
        for mode in (0o600, 0o644, 0o755, 0o400):
            path = work / f"mode-{mode:o}"
            path.write_text("#!/bin/sh\\necho ran\\n")
            path.chmod(mode)
            machine.copy_from_host(path, f"/tmp/mode-{mode:o}")
            assert machine.succeed(f"stat -c '%a %u' /tmp/mode-{mode:o}") == f"{mode:o} 0\\n"
        assert machine.succeed("/tmp/mode-755") == "ran\\n"
        assert in_shared() == []
    """)


def test_tree(session):
    session("""
        tree = work / "tree"
        (tree / "a/b").mkdir(parents=True)
        (tree / "a/b/leaf").write_text("leaf\\n")
        (tree / "top").write_text("top\\n")
        (tree / "link").symlink_to("top")
        (tree / "program").write_text("#!/bin/sh\\n")
        (tree / "program").chmod(0o755)
        (tree / "empty").mkdir()
        machine.copy_from_host(tree, "/tmp/copy")
        assert machine.succeed("cd /tmp/copy; find . | sort") == \\
            ".\\n./a\\n./a/b\\n./a/b/leaf\\n./empty\\n./link\\n./program\\n./top\\n"
        assert machine.succeed("cat /tmp/copy/a/b/leaf /tmp/copy/link; test -x /tmp/copy/program") == "leaf\\ntop\\n"
        assert in_shared() == []
    """)


def test_big_file(session):
    session("""
        (work / "big").write_bytes(os.urandom(30_000_000))
        machine.copy_from_host(work / "big", "/tmp/big")
        assert guest_sum("/tmp/big") == sum_of(work / "big")
        machine.copy_from_machine("/tmp/big")
        assert sum_of(machine.out_dir / "big") == sum_of(work / "big")
        machine.succeed("rm /tmp/big")
        assert in_shared() == []
    """)


def test_a_large_file_is_copied_as_by_cp(session):
    """By the agent, where it can do so: first in a guest whose cp fails."""
    session("""
        large = work / "large-file"
        large.write_bytes(os.urandom(9_000_123))
        large.chmod(0o751)
        machine.succeed("mkdir /tmp/large; cd /tmp/large; mkdir dir; echo old > old; chmod 600 old; ln old name; ln -s old link",
                        "echo 'exit 1' > /root/no-cp; chmod +x /root/no-cp; mount --bind /root/no-cp $(command -v cp)")
        machine.copy_from_host(large, "/tmp/large/new")
        machine.copy_from_host(large, "/tmp/large/link")
        error = error_of(machine.copy_from_host, large, "/tmp/large/dir")
        machine.succeed("umount $(command -v cp); test -L /tmp/large/link; ! ls /tmp/large/dir | grep .")
        assert "RequestedAssertionFailed" in error and "cp -r" in error, error

        machine.copy_from_host(large, "/tmp/large/dir")
        machine.copy_from_host(large, "/tmp/large/more/dirs/file")
        machine.copy_from_host(large, "/dev/null")
        for name in "new", "old", "name", "dir/large-file", "more/dirs/file":
            assert guest_sum(f"/tmp/large/{name}") == sum_of(large), name
        assert machine.succeed("cd /tmp/large; stat -c %a new old dir/large-file; test -c /dev/null") == "751\\n600\\n751\\n"

        machine.succeed("mount -t tmpfs -o size=5m none /tmp/large/dir")
        assert "RequestedAssertionFailed" in error_of(machine.copy_from_host, large, "/tmp/large/dir/x")
        machine.succeed("mount -o remount,ro /tmp/large/dir")
        assert "RequestedAssertionFailed" in error_of(machine.copy_from_host, large, "/tmp/large/dir/y")
        machine.succeed("umount /tmp/large/dir; rm -r /tmp/large")
        assert in_shared() == []
    """)


def test_missing_files(session):
    session("""
        assert error_of(machine.copy_from_host, "/no/such/file", "/tmp/x").startswith("FileNotFoundError")
        assert "/no/such/file" in error_of(machine.copy_from_host, "/no/such/file", "/tmp/x")
        assert "/no/such/file" in error_of(machine.copy_from_host_via_shell, "/no/such/file", "/tmp/x")
        assert "RequestedAssertionFailed" in error_of(machine.copy_from_machine, "/no/such/file")
        assert "RequestedAssertionFailed" in error_of(machine.copy_from_host, "/etc/hostname", "/proc/nowhere/x")
        assert in_shared() == []
    """)


def test_many_small_files(session):
    session("""
        (work / "many/sub").mkdir(parents=True)
        for i in range(500):
            (work / f"many/sub/{i}").write_text(f"{i}\\n")
        machine.copy_from_host(work / "many", "/tmp/many")
        assert machine.succeed("cd /tmp/many/sub; cat * | sort -n | sha256sum; ls | wc -l") == \\
            machine.succeed("for i in $(seq 0 499); do echo $i; done | sha256sum; echo 500")
        machine.copy_from_machine("/tmp/many")
        for i in range(500):
            assert (machine.out_dir / f"many/sub/{i}").read_text() == f"{i}\\n"
    """)


def test_sparse_file(session):
    session("""
        with open(work / "sparse", "wb") as file:
            file.write(b"begin")
            file.seek(700_000_001)
            file.write(b"middle")
            file.truncate(1 << 30)
        machine.copy_from_host(work / "sparse", "/tmp/sparse")
        assert machine.succeed("stat -c %s /tmp/sparse; du -k /tmp/sparse | cut -f1").split()[0] == str(1 << 30)
        assert int(machine.succeed("du -k /tmp/sparse").split()[0]) < 1000
        assert machine.succeed("dd if=/tmp/sparse bs=1 skip=700000001 count=6 2>/dev/null") == "middle"
        machine.copy_from_machine("/tmp/sparse")
        info = os.stat(machine.out_dir / "sparse")
        assert info.st_size == 1 << 30 and info.st_blocks < 1000
    """)


def test_a_guest_without_the_shared_directory(session):
    session("""
        (work / "plain").write_text("x")
        (work / "large").write_bytes(os.urandom(6_000_000))
        machine.succeed("umount /tmp/shared")
        machine.copy_from_host(work / "plain", "/tmp/unshared/plain")
        machine.copy_from_host(work / "large", "/tmp/unshared/large")
        assert guest_sum("/tmp/unshared/large") == sum_of(work / "large")
        machine.copy_from_machine("/tmp/unshared")
        machine.succeed("mount -t 9p -o trans=virtio,version=9p2000.L shared /tmp/shared; rm -r /tmp/unshared")
        assert sum_of(machine.out_dir / "unshared/large") == sum_of(work / "large")
    """)


def test_a_full_or_read_only_guest(session):
    session("""
        (work / "piece").write_bytes(os.urandom(3_000_000))
        machine.succeed("mkdir /tmp/full /tmp/fixed; mount -t tmpfs -o size=1m none /tmp/full; mount -t tmpfs -o ro none /tmp/fixed")
        assert "RequestedAssertionFailed" in error_of(machine.copy_from_host, work / "piece", "/tmp/full/piece")
        assert machine.succeed("ls -A /tmp/full") == ""
        assert "RequestedAssertionFailed" in error_of(machine.copy_from_host, work / "piece", "/tmp/fixed/piece")
        machine.succeed("umount /tmp/full /tmp/fixed")
    """)


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_by_the_shell(session, size):
    session("""
        (work / "binary").write_bytes(os.urandom(size))
        machine.copy_from_host_via_shell(str(work / "binary"), "/tmp/deep/er/binary")
        assert machine.succeed("stat -c %s /tmp/deep/er/binary") == f"{size}\\n"
        assert guest_sum("/tmp/deep/er/binary") == sum_of(work / "binary")
        assert machine.execute("echo in step; exit 3") == (3, "in step\\n")
    """, size=size)


def test_from_machine(session):
    session("""
        machine.succeed("mkdir -p '/tmp/from dir/sub'; printf 'a\\\\0b' > '/tmp/from dir/sub/file'",
                        "echo x > /tmp/single")
        machine.copy_from_machine("/tmp/single")
        assert (machine.out_dir / "single").read_text() == "x\\n"
        machine.copy_from_machine("/tmp/single", "nested/dir")
        assert (machine.out_dir / "nested/dir/single").read_text() == "x\\n"
        machine.copy_from_machine(source="/tmp/from dir", target_dir="other")
        assert (machine.out_dir / "other/from dir/sub/file").read_bytes() == b"a\\0b"
        machine.copy_from_vm("/tmp/single", "old-name")
        assert (machine.out_dir / "old-name/single").exists()
        assert in_shared() == []
    """)


@pytest.mark.parametrize("way", ["session", "by_shell"])
def test_links_in_a_tree(request, way):
    """A copy has nothing that the host cannot follow, and nothing that leads to files of the host."""
    session = request.getfixturevalue(way)
    session("""
        import sys; sys.path.insert(0, directory)
        import guest_links
        guest_links.check(machine, machine.out_dir, error_of, way)
        assert in_shared() == []
    """, directory=str(Path(__file__).parent), way=way, seconds=180)
    session.wait_for(guest_links.SAID)


def test_links_are_those_of_the_guest(session):
    session("""
        machine.succeed("mkdir /tmp/pair; echo guest > /tmp/pair/file; ln -s /tmp/pair/file /tmp/pair/link",
                        "echo guest > /etc/only-here; ln -s /etc/only-here /tmp/link; ln -s nowhere /tmp/dangling")
        machine.copy_from_machine("/tmp/pair/.")
        machine.copy_from_machine("/tmp/link")
        for name in "pair/file", "pair/link", "link":
            path = machine.out_dir / name
            assert path.read_text() == "guest\\n" and path.is_symlink() == (name == "pair/link")
        assert "RequestedAssertionFailed" in error_of(machine.copy_from_machine, "/tmp/dangling")
        for nameless in "/", "/tmp/..", "..":
            assert "ValueError" in error_of(machine.copy_from_machine, nameless)
        assert in_shared() == []
    """)


def test_a_guest_cannot_reach_the_host(by_shell):
    by_shell("""
        (work / "secret").write_text("secret")
        def with_cp(script):
            machine.succeed(f"printf '%s\\n' '#!/bin/sh' {script!r} > /root/cp; chmod +x /root/cp; mount --bind /root/cp $(command -v cp)")
        def without_cp():
            machine.succeed("umount $(command -v cp)")
        machine.succeed("mkdir -p /tmp/tree; ln -sf /etc/passwd /tmp/tree/link; test -f /tmp/tree/link")
        for source, script in (("file", f'ln -s {work}/secret "$3"'),
                               ("tree", f'mkdir "$3"; ln -s {work}/secret "$3/link"; echo > "$3/file"'),
                               ("secret", f'rmdir "${{3%/*}}"; ln -s {work} "${{3%/*}}"')):
            with_cp(script)
            error = error_of(machine.copy_from_machine, f"/tmp/{source}")
            without_cp()
            assert "neither a file nor" in error or "No such file" in error, error
        assert (machine.out_dir / "tree/file").exists()
        found = [path for path in machine.out_dir.rglob("*") if path.is_file()]
        assert not any(b"secret" == path.read_bytes() for path in found)
        assert (work / "secret").read_text() == "secret" and in_shared() == []
    """)


def test_shared_and_exchange_directories(session):
    session("""
        (machine.shared_dir / "from-host").write_text("host")
        assert machine.succeed("cat /tmp/shared/from-host") == "host"
        machine.succeed("echo guest > /tmp/xchg/from-guest")
        assert (machine.state_dir / "xchg/from-guest").read_text() == "guest\\n"
        (machine.shared_dir / "from-host").unlink()
    """)
