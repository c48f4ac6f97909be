"""A boot image that knows of no driver (tests/guests/make-image), on one boot: the serial console, SSH, waits, copies,
residue on disks, connections that break, and a reboot. The tests build on each other in this order; the last one kills
the guest."""

import hashlib
import json
import os
import re
import socket
import stat
import subprocess
from pathlib import Path

import jsonschema
import pytest

import guest_links
import harness

CLEAN_UP = (harness.ROOT / "tests/e2e/examples/clean_disks.py").read_text()
SCHEMA = harness.ROOT / "embed/py/test_driver/run-record.schema.json"
LONG = 1800  # seconds: the longest that a single test may take on a host with much else to do

FIRST = '''
import hashlib, json, os, re, signal, subprocess, threading, time
from pathlib import Path
from test_driver import run_record
from test_driver.image_machine import create_image_machine
from test_driver.residue import RAW, ResiduePlan, left, raw_remnants
from test_driver.ssh_key import run_key

PASSWORD = "boot-image"
machine = create_image_machine(os.environ["TEST_ISO"], ["64M", "1G", "1G"], name="installer")
record = run_record.begin(machine, log_globs=["/etc/os-rel*"])

def at_once(*functions):
    """Calls the functions, each in a thread, and returns the list of their results or exceptions."""
    results = [None] * len(functions)

    def call(number):
        try:
            results[number] = functions[number]()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results

def running(pattern):
    """Waits until a command that matches the pattern runs in the guest."""
    machine.wait_until_succeeds(f"pgrep -f '{pattern}'")

def end_connections():
    """Ends sshd's processes for connections, and with them the command that does so."""
    return error_of(machine.succeed, "sleep 0.2; pkill -f 'sshd: [a-z]*@notty'; sleep 1000")

'''


class Guest:
    """The session of the driver that has made the machine: guest(code) has its script execute the code."""

    def __init__(self, session):
        self.session, self.out = session, session.directory / "out"

    def __call__(self, code, **values):
        __tracebackhide__ = True
        return self.session(code, seconds=LONG, **values)


@pytest.fixture(scope="module")
def iso(guests):
    return guests.image()


@pytest.fixture(scope="module")
def guest(iso):
    env = {"TEST_ISO": iso, "TEST_VM_ACCEL": "tcg", "BOOT_IMAGE_VM_LEDGER_PATH": "{dir}/notes/ledger.jsonl"}
    with harness.Session({}, FIRST + CLEAN_UP, seconds=4 * LONG, global_timeout=4 * LONG, env=env) as session:
        yield Guest(session)


# ---- the console, and the first connection


def test_the_login_prompt_and_ssh(guest):
    guest("""
        number, match = machine.expect("Kernel panic", r"(\\S+) login: ", timeout=1800)
        assert (number, match[1]) == (1, "boot-image"), match
        record.login()
        assert machine.succeed("hostname") == "boot-image\\n"  # by the run's key, which came by SMBIOS
        record.ssh()
        assert machine.execute("echo out; echo err >&2; exit 3") == (3, "out\\n")
        assert machine.execute("kill -9 $$")[0] == 137
        assert machine.succeed("id -u") == "0\\n"
    """)
    guest.session.wait_for("^installer # err$")


def test_the_address_of_sshd(guest):
    """People's ssh gets in, too, and sees the host key that the run has pinned."""
    words, key = guest("""
        result = machine.ssh_command("echo", "for", "people"), machine.ssh_host_key
    """)
    assert subprocess.run(words, capture_output=True, text=True, timeout=LONG, check=True).stdout == "for people\n"
    port = words[words.index("-p") + 1]
    scanned = subprocess.run(["ssh-keyscan", "-t", "ed25519", "-T", "60", "-p", port, "127.0.0.1"],
                             capture_output=True, text=True, timeout=LONG, check=True).stdout
    assert " ".join(key.split()[:2]) in scanned


# ---- commands


def test_units(guest):
    texts = guest("""
        machine.wait_for_unit("multi-user.target")
        machine.wait_for_unit("ssh.service")
        machine.require_unit_state("echo-tcp.socket")
        assert machine.get_unit_info("ssh.service")["ActiveState"] == "active"
        machine.wait_for_open_port(7777)
        machine.wait_for_file("/etc/os-release")
        result = [error_of(machine.wait_for_unit, unit) for unit in ("broken.service", "good.service")]
        assert machine.start_job("good.service") == (0, "")
        machine.wait_for_unit("good.service")
        machine.require_unit_state("good.service")
    """)
    assert texts[0].startswith('RequestedAssertionFailed: unit "broken.service" reached state "failed"')
    assert texts[1].startswith(
        'RequestedAssertionFailed: unit "good.service" is inactive and there are no pending jobs')
    for text, said in zip(texts, ("the reason why it fails", "good.service")):
        path = re.search(r"(/\S+\.txt)", text)[1]
        assert Path(path).is_relative_to(guest.out) and said in Path(path).read_text()


def test_commands_at_once(guest):
    """Four commands, each of which ends only when all four run."""
    guest("""
        machine.succeed("mkdir /tmp/at-once")
        wait = "touch /tmp/at-once/{0}; until [ $(ls /tmp/at-once | wc -l) = 4 ]; do sleep 0.1; done; echo {0}"
        results = at_once(*[lambda n=n: machine.succeed(wait.format(n)) for n in range(4)])
        assert results == ["0\\n", "1\\n", "2\\n", "3\\n"], results
    """)


def test_output_as_it_arrives(guest):
    """The command ends only when the script has been told of its first output."""
    guest("""
        heard = []

        def hear(text):
            heard.append(text)
            if "".join(heard) == "first\\n":
                machine.succeed("touch /tmp/heard")

        command = "echo first; until test -e /tmp/heard; do sleep 0.1; done; seq 100000"
        expected = "first\\n" + "".join(f"{i}\\n" for i in range(1, 100001))
        assert machine.execute(command, on_output=hear) == (0, expected)
        assert "".join(heard) == expected and len(heard) > 1
    """)


def test_standard_error_apart(guest):
    error = guest("""
        assert machine.execute("echo out; echo err >&2; exit 3", stderr=True) == (3, "out\\n", "err\\n")
        assert machine.execute("seq 100000 >&2", stderr=True) == (0, "", "".join(f"{i}\\n" for i in range(1, 100001)))
        result = error_of(machine.succeed, "echo the reason >&2; false", stderr=True)
    """)
    assert "the reason" in error


def test_a_time_out_ends_the_command(guest):
    guest("""
        assert machine.execute("echo before; sleep 7654", timeout=3) == (124, "before\\n")
        machine.wait_until_fails("pgrep -f 'sleep [7]654'")
    """)


def test_input_and_output_of_any_size(guest):
    guest("""
        assert machine.succeed("head -c 1000000 /dev/zero | tr '\\\\0' x") == "x" * 1000000
        long = "y" * 200000
        assert machine.succeed(f": {long}; echo done") == "done\\n"
    """)


def test_a_shell_for_people(guest):
    """shell_interact() on a terminal of the script's own."""
    text = guest("""
        import pty, termios

        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (37, 111))
        printed, kept = [], os.dup(0)

        def read():
            try:
                while True:
                    printed.append(os.read(ours, 65536))
            except OSError:  # nobody has the terminal any more
                pass

        reader = threading.Thread(target=read)
        reader.start()
        os.dup2(theirs, 0)
        try:
            os.write(ours, b"stty size; tty; id -un; echo en''ds here; exit\\n")
            machine.shell_interact()
        finally:
            os.dup2(kept, 0)
            os.close(theirs)
        reader.join()
        result = b"".join(printed).decode()
        assert machine.succeed("echo commands go on") == "commands go on\\n"
    """)
    assert re.search(r"37 111[\r\n]+/dev/pts/\d+[\r\n]+root[\r\n]+ends here[\r\n]+", text), text


# ---- copies


def make_tree(directory):
    """A tree with the kinds of files that a copy has to keep."""
    (directory / "empty dir").mkdir(parents=True)
    (directory / "deep/er").mkdir(parents=True)
    (directory / "deep/er/data").write_bytes(os.urandom(3_000_000))
    (directory / "empty").write_bytes(b"")
    (directory / "naïve name").write_text("text\n")
    (directory / "link").symlink_to("deep/er/data")
    (directory / "dangling").symlink_to("/nowhere")
    (directory / "program").write_text("#!/bin/sh\n")
    for path, mode in ("program", 0o755), ("empty", 0o600), ("deep", 0o750), ("naïve name", 0o444):
        (directory / path).chmod(mode)


def tree(directory):
    """{path: (mode, target of a link or digest)} of all below a directory."""
    found = {}
    for path in sorted(directory.rglob("*")):
        info = path.lstat()
        content = os.readlink(path) if path.is_symlink() else \
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[str(path.relative_to(directory))] = None if path.is_symlink() else stat.S_IMODE(info.st_mode), content
    return found


def test_copies_of_a_tree(guest, tmp_path):
    make_tree(tmp_path / "tree")
    lines = guest("""
        machine.copy_from_host(source, "/tmp/new/tree")
        machine.copy_from_machine("/tmp/new/tree", "back")
        result = machine.succeed("cd /tmp/new/tree; find . -type f -exec sha256sum {} + | sort -k 2").splitlines()
    """, source=str(tmp_path / "tree"))
    back = tree(guest.out / "back/tree")
    assert back == {path: found for path, found in tree(tmp_path / "tree").items() if path != "dangling"}
    in_guest = {line.split("  ./")[1]: line.split()[0] for line in lines}
    assert in_guest == {path: digest for path, (mode, digest) in tree(tmp_path / "tree").items()
                        if digest and mode is not None}


def test_links_in_a_tree(guest):
    """A copy has nothing that the host cannot follow, and nothing that leads to files of the host."""
    guest("""
        import sys; sys.path.insert(0, directory)
        import guest_links
        guest_links.check(machine, Path(out), error_of)
    """, directory=str(Path(__file__).parent), out=str(guest.out))
    guest.session.wait_for(guest_links.SAID)


def test_copies_of_a_sparse_file(guest, tmp_path):
    """1 GiB, more than the guest has room for."""
    source = tmp_path / "sparse"
    with open(source, "wb") as file:
        file.write(b"begin")
        file.seek(512 << 20)
        file.write(b"middle")
        file.truncate(1 << 30)
    said = guest("""
        machine.copy_from_host(source, "/tmp/sparse")
        result = machine.succeed("stat -c '%s %b %B' /tmp/sparse")
        assert machine.succeed("head -c 5 /tmp/sparse") == "begin"
        assert machine.succeed("dd if=/tmp/sparse bs=1M skip=512 count=1 status=none | tr -d '\\\\0'") == "middle"
        machine.succeed("truncate -s 64M /tmp/sparse")
        machine.copy_from_machine("/tmp/sparse", "sparse")
        machine.succeed("rm /tmp/sparse")
    """, source=str(source))
    size, blocks, unit = map(int, said.split())
    assert size == 1 << 30 and blocks * unit < 1 << 20
    back = guest.out / "sparse/sparse"
    assert back.stat().st_size == 64 << 20 and back.stat().st_blocks * 512 < 1 << 20
    with open(back, "rb") as file:
        assert file.read(8) == b"begin\0\0\0"


# ---- residue


def test_residue(guest):
    """Without a clean-up everything is left; with one, nothing but bytes that no device leads to; with the disks
    discarded, nothing at all."""
    lines, text = guest("""
        plan = ResiduePlan(["/dev/vdb", "/dev/vdc"])
        result = plan.run(machine, None)
        text = error_of(result.assert_nothing_left)
        seeded = list(map(str, result.left))

        clean_up(machine)
        assert left(result.before, plan.snapshot(machine, revive=True)) == []
        machine.succeed("sync")
        bytes_left = raw_remnants(plan.marker, machine.disk_paths)
        assert len(bytes_left) == 2, bytes_left

        def clean_up_and_discard(machine):
            clean_up(machine)
            machine.succeed("blkdiscard --force /dev/vdb", "blkdiscard --force /dev/vdc")

        machine.succeed("blkdiscard --force /dev/vdb", "blkdiscard --force /dev/vdc")
        plan.run(machine, clean_up_and_discard, raw=True).assert_nothing_left()
        result = seeded, text
    """)
    assert lines == ["array /dev/md127", "member /dev/vdb", "member /dev/vdc", "physical volume /dev/md127",
                     "group vg_residue", "volume vg_residue/lv_residue",
                     "marker readable from /dev/mapper/vg_residue-lv_residue"]
    assert text == "AssertionError: the clean-up has left:\n" + "\n".join(f"  {line}" for line in lines)


# ---- connections that break


def test_sshd_that_closes(guest):
    """The command fails, and the next one connects again by itself."""
    guest("""
        text = end_connections()
        assert "the SSH connection to the guest has ended" in text, text
        assert machine.succeed("echo again") == "again\\n"
    """)


def test_sshd_that_starts_late(guest):
    guest("""
        machine.succeed("systemd-run --on-active=12 --timer-property=AccuracySec=1 systemctl start ssh.service",
                        "systemctl stop ssh.service")
        assert "the SSH connection to the guest has ended" in end_connections()
        assert machine.succeed("systemctl is-active ssh.service") == "active\\n"
    """)


def test_users_whom_sshd_does_not_let_in(guest, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "wrong"], check=True)
    guest("""
        machine.use_ssh("root", key=wrong)
        end_connections()
        text = error_of(machine.succeed, "true")
        assert "sshd does not let the user root in" in text, text
        machine.use_ssh("alice", password="wrong")
        text = error_of(machine.succeed, "true")
        assert "sshd does not let the user alice in" in text, text
        machine.use_ssh("alice", password=PASSWORD)
        assert machine.succeed("whoami") == "alice\\n"
        machine.use_ssh("alice", password=PASSWORD, sudo=True)
        end_connections()
        assert machine.succeed("whoami; echo $SUDO_USER") == "root\\nalice\\n"
        machine.use_ssh("root", key=run_key().private)
        end_connections()
        assert machine.succeed("whoami; echo ${SUDO_USER-none}") == "root\\nnone\\n"
    """, wrong=str(tmp_path / "wrong"))


def test_a_host_key_that_changes(guest):
    """The driver stays outside until the right keys are back, which people's ssh sees to."""
    words = guest("""
        before = machine.ssh_host_key
        machine.succeed("mkdir /root/keys", "mv /etc/ssh/ssh_host_* /root/keys", "ssh-keygen -A",
                        "systemctl restart ssh.service")
        end_connections()
        text = error_of(machine.succeed, "true")
        assert "sshd has another host key than before" in text, text
        assert machine.ssh_host_key == before
        result = machine.ssh_command("cp /root/keys/* /etc/ssh && systemctl restart ssh.service")
    """)
    subprocess.run(words, timeout=LONG, check=True)
    guest("""
        machine.use_ssh("root", key=run_key().private)
        assert machine.succeed("echo again") == "again\\n"
    """)


def test_a_guest_that_stands_still_is_noticed(guest):
    """By its silence: the driver counts 8 s of it. After that the command fails and the next one waits."""
    text, seconds = guest(harness.PROCESSES + """
if True:
    pid = qemu(machine)
    result = []

    def command():
        result.append(error_of(machine.succeed, "sleep 5000"))
        result.append(time.monotonic())

    thread = threading.Thread(target=command)
    thread.start()
    running("sleep 500[0]")
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    try:
        thread.join(600)
        assert not thread.is_alive()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert machine.succeed("echo again") == "again\\n"
    result = result[0], result[1] - began
    """)
    assert re.search(r"the guest does not answer over SSH for (8|9|1[0-2]) s", text), text
    assert seconds < 120, seconds


def test_reboot(guest):
    """Commands after it are run in the new boot, though the old one may answer for a while."""
    guest("""
        boot_id = "cat /proc/sys/kernel/random/boot_id"
        before = machine.succeed(boot_id)
        machine.succeed("touch /run/of-this-boot")
        machine.reboot()
        after = machine.succeed(boot_id)
        assert before != after
        machine.fail("test -e /run/of-this-boot")
        machine.wait_for_unit("multi-user.target")
    """)


# ---- records, and the end


def test_the_record(guest):
    guest("record.end(failed=True)")
    directory = next((guest.out / "vm-runs").iterdir())
    metadata = json.loads((directory / "metadata.json").read_text())
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator(schema).validate(metadata)
    assert 0 < metadata["boot_to_login_seconds"] <= metadata["boot_to_ssh_seconds"] < metadata["total_seconds"]
    assert metadata["ssh_host"] == "127.0.0.1" and metadata["ssh_port"] > 1023
    assert metadata["qemu_version"] and metadata["verdict"] == "failed" and metadata["missing"] == []
    diagnostics = metadata["diagnostics"]
    assert "login: " in Path(diagnostics["console"]).read_text(errors="replace")
    assert "Linux version" in Path(diagnostics["dmesg"]).read_text()
    assert "broken.service" in Path(diagnostics["units"]).read_text()
    assert any("the reason why it fails" in Path(path).read_text() for path in diagnostics["journals"])
    line, = (guest.session.directory / "notes/ledger.jsonl").read_text().splitlines()
    jsonschema.Draft202012Validator({**schema, "$ref": "#/$defs/line"}).validate(json.loads(line))
    assert json.loads(line)["run"] == metadata["run"]


def test_a_port_that_is_taken(guest):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = guest("""
            from test_driver.test_vm import Timeouts
            result = error_of(create_image_machine, os.environ["TEST_ISO"], ssh_port=port,
                              timeouts=Timeouts(start_tries=1))
        """, port=port)
    assert re.match(rf"MachineError: .*port {port} of 127\.0\.0\.1 cannot be forwarded", text), text


def test_a_guest_that_is_killed(guest, tmp_path):
    """In the middle of a command and of a copy in both directions: all fail at once, and no part of a file is left."""
    (tmp_path / "large").write_bytes(os.urandom(1 << 20) * 100)
    texts, seconds = guest(harness.PROCESSES + """
if True:
    machine.succeed("head -c 100M /dev/urandom > /tmp/in-guest")
    pid, died = qemu(machine), []

    def kill():
        running("sleep 600[0]")
        machine.wait_until_succeeds("find /tmp -maxdepth 1 -type f ! -name in-guest -size +500k | grep .")
        end = time.monotonic() + 300
        while not [path for path in (machine.out_dir / "part").glob("*") if path.stat().st_size > 500_000]:
            assert time.monotonic() < end
            time.sleep(0.05)
        died.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)

    results = at_once(
        lambda: error_of(machine.succeed, "sleep 6000"),
        lambda: error_of(machine.copy_from_machine, "/tmp/in-guest", "part"),
        lambda: error_of(machine.copy_from_host, source, "/tmp/large"),
        kill)
    result = results[:3], time.monotonic() - died[0]
    """, source=str(tmp_path / "large"))
    for text in texts:
        assert text.startswith("MachineDied: "), text
    assert seconds < 60, seconds
    assert not (guest.out / "part").exists() or list((guest.out / "part").iterdir()) == []
