"""The state of machines at a failure, which --snapshot-on-failure keeps and --reopen opens in other runs."""

import json
import os
import shutil
import signal
import textwrap
from pathlib import Path

import pytest

import harness
from terminal import Terminal

KEEP = ["--snapshot-on-failure"]
FAIL = """
    start_all()
    server.succeed("echo in-memory > /tmp/state; printf 0123456789abcdef > /dev/vda; sync")
    client.succeed("ping -c 1 -W 20 192.168.1.1")
    server.succeed("(while :; do echo tick >> /tmp/ticks; sleep 1; done) > /dev/null 2>&1 &")
    server.wait_for_file("/tmp/ticks")
    client.succeed("false")
"""
LOOK = """
print("STATE", server.succeed("cat /tmp/state; head -c 16 /dev/vda").split())
print("RUNS", server.wait_until_succeeds("test $(wc -l < /tmp/ticks) -ge 2 && echo it-does"))
print("PING", "0% packet loss" in client.succeed("ping -c 1 -W 20 192.168.1.1"))
print("CONSOLE", "Booting" in server.get_console_log(), "Booting" in client.get_console_log())
print("SHARES", server.succeed("grep -c 9p /proc/mounts"))
"""
SEEN = ["STATE ['in-memory', '0123456789abcdef']", "RUNS it-does", "PING True", "CONSOLE True True", "SHARES 2"]
CHANGE = """
server.succeed("echo later > /tmp/state; printf later > /dev/vda; sync")
"""


def kept_list(out):
    return json.loads((Path(out) / "failure/snapshot/snapshot.json").read_text())


def kept_files(out):
    """What would change if somebody wrote to the state."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in (Path(out) / "failure/snapshot").rglob("*") if path.is_file()}


def prompt(text, out, *options, status=0, **named):
    """A run of --reopen whose prompt reads this text."""
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    try:
        return harness.run("", arguments=["--reopen", out, *options], stdin=read, status=status, seconds=200, **named)
    finally:
        os.close(read)


@pytest.fixture(scope="module")
def scripts(guests):
    return {name: guests.tiny(name, node, [1]) for node, name in enumerate(("server", "client"), 1)}


@pytest.fixture(scope="module")
def out(scripts, tmp_path_factory):
    """The output directory of a run that has failed with two machines on a network."""
    directory = tmp_path_factory.mktemp("failed")
    result = harness.run(FAIL, scripts, vlans=[1], options=KEEP, directory=directory, status=1, seconds=200)
    assert f"the state of client, server is kept in {directory}/out/failure/snapshot (" in result.log
    assert f"; nixos-test-driver --reopen {directory}/out/failure/snapshot opens a prompt in it" in result.log
    assert (directory / "out/failure/server/processes.txt").exists()
    return directory / "out"


@pytest.fixture
def copy(out, tmp_path):
    """A copy that a test may damage; the images are the same files."""
    shutil.copytree(out, tmp_path / "out", copy_function=os.link)
    path = tmp_path / "out/failure/snapshot/snapshot.json"
    text = path.read_text()
    path.unlink()
    path.write_text(text)
    return tmp_path / "out"


# ---- real guests


def test_the_prompt_is_in_that_state(out, tmp_path):
    before = kept_files(out)
    run = harness.Run("", arguments=["--reopen", out], env={"TERM": "screen", "HOME": tmp_path, "PYTHONPATH": tmp_path})
    for name in ("ptpython", "IPython"):
        (tmp_path / f"{name}.py").write_text("raise ImportError\n")
    with Terminal(run) as terminal:
        terminal.wait_for("Ctrl-D leaves", seconds=200)
        assert "restoring the snapshot 'failure'" in terminal.screen
        for line, seen in zip(LOOK.strip().splitlines(), SEEN):
            terminal.type(line)
            terminal.wait_for(f"\n{seen}")
        terminal.type(CHANGE.strip())
        terminal.type("print('changed', server.succeed('cat /tmp/state'))")
        terminal.wait_for("\nchanged later")
        terminal.type("driver.restore('failure'); print('again', server.succeed('cat /tmp/state'))")
        terminal.wait_for("\nagain in-memory")
        assert terminal.leave() == 0
    assert kept_files(out) == before


def test_it_can_be_opened_any_number_of_times(out):
    before = kept_files(out)
    for directory in (out / "failure", out / "failure/snapshot"):
        result = prompt(LOOK + CHANGE, directory)
        assert [line for line in result.lines if line in SEEN] == SEEN, result.out
    assert kept_files(out) == before


def hash_of(facts):
    """FNV-1a of the facts, in the order of the driver."""
    value = 0xCBF29CE484222325
    for fact in facts.values():
        for byte in fact.encode() + b"\0":
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def test_another_qemu(copy, scripts, tmp_path):
    """QEMU is asked; no guest runs, and nothing is loaded."""
    path = copy / "failure/snapshot/snapshot.json"
    state = kept_list(copy)
    server = state["machines"]["server"]
    assert hash_of(server["requires"]) == server["requires_hash"]
    server["requires"]["qemu"] = "5.2.0 (Other)"
    server["requires_hash"] = hash_of(server["requires"])
    path.write_text(json.dumps(state))
    other = tmp_path / "run-server-vm"
    text = Path(scripts["server"]).read_text()
    assert "memory=256" in text and "-device virtio-blk-pci" in text
    text = text.replace("memory=256", "memory=320")
    text = text.replace("-device virtio-blk-pci", "-device pcie-root-port -device virtio-blk-pci")
    other.write_text(text)
    other.chmod(0o755)
    result = prompt("print('the', 'prompt')", copy, "--vm-start-scripts", other, status=2)
    assert "machine 'server': its state in " in result.log and "cannot be loaded here" in result.log
    assert "\n    qemu: recorded 5.2.0 (Other), here " in result.log
    assert f"\n    memory: recorded {256 << 20} bytes, here {320 << 20} bytes\n" in result.log
    assert "\n    devices, from number 1 on: recorded virtio-blk-pci, " in result.log
    assert ", here pcie-root-port, virtio-blk-pci, " in result.log and str(scripts["server"]) in result.log
    assert "the prompt" not in result.out and "SeaBIOS" not in result.log


def test_a_run_forgets_all_but_what_it_begins_with(copy, scripts, fake, tmp_path):
    before = kept_files(copy)
    begin = ["--boot-from", copy]
    result = harness.run("raise ValueError", scripts, vlans=[1], options=[*KEEP, *begin], directory=tmp_path, status=1)
    assert f"is not kept: the run has begun with what is in {copy}/failure/snapshot" in result.log
    assert kept_files(copy) == before
    other = tmp_path / "other"
    other.mkdir()
    harness.run("machine.start(); raise ValueError", fake, directory=other, status=1)
    assert (other / "out/failure/machine").exists()
    harness.run("", scripts, vlans=[1], options=begin, directory=other)
    assert not (other / "out/failure").exists() and kept_files(copy) == before


# ---- what is wrong with the files: nothing is started


def edit(change):
    def damage(directory):
        path = directory / "snapshot.json"
        state = json.loads(path.read_text())
        change(state)
        path.write_text(json.dumps(state))
    return damage


def replace(name, content):
    def damage(directory):
        path = directory / name
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    return damage


def of_server(**values):
    return edit(lambda state: state["machines"]["server"].update(values))


DAMAGES = {
    "no list": (replace("snapshot.json", None), "has no snapshot.json, which is written last"),
    "no JSON": (replace("snapshot.json", b"{"), "snapshot.json:1:2: expected a key"),
    "nothing in it": (replace("snapshot.json", b"{}"), 'missing required key "format"'),
    "format": (edit(lambda state: state.update(format=3)),
               "the format 3 is not known to this driver, which has the formats up to 2"),
    "facts": (edit(lambda state: state["machines"]["server"]["requires"].update(memory="1 bytes")),
              'machines.server.requires: is not what "requires_hash" was made of'),
    "directory": (of_server(directory="../client"), "machines.server.directory: leads out of its directory"),
    "path of a disk": (edit(lambda state: state["machines"]["server"]["disks"][0].update(path="a/../../b")),
                       "machines.server.disks[0].path: leads out of its directory"),
    "file of a disk": (edit(lambda state: state["machines"]["server"]["disks"][0].update(file="/etc/passwd")),
                       "machines.server.disks[0].file: leads out of its directory"),
    "size": (of_server(memory_size=-1), "machines.server.memory_size: -1 is not a size"),
    "machines": (edit(lambda state: state.update(machines={})), "machines: there are none"),
    "network": (edit(lambda state: state.update(vlans=[4096])), "vlans[0]: 4096 is not a number from 0 to 4095"),
    "no memory": (replace("server/memory.qcow2", None), "/server/memory.qcow2: No such file or directory"),
    "cut off": (replace("server/disk0.qcow2", b"QFI\xfb"), "/server/disk0.qcow2, has 4 bytes, and had "),
    "script": (of_server(start_script="/nix/store/gone/bin/run-server-vm"),
               "machine 'server': its start script /nix/store/gone/bin/run-server-vm: No such file or directory; if it is "
               "a store path that was deleted, build it again"),
    "base": (edit(lambda state: state["machines"]["server"]["disks"][0].update(backing="/gone/base", backing_size=1)),
             "the base image of the disk drive1, /gone/base: No such file or directory"),
}


def test_a_long_console(copy):
    """Of a log that is longer than what is read, the end counts."""
    replace("server/console.log", b"x" * (64 << 20) + b"\nthe last line")(copy / "failure/snapshot")
    result = prompt("print('END', 'the last line' in server.get_console_log())\n", copy)
    assert "END True" in result.lines


@pytest.mark.parametrize("damage", DAMAGES)
def test_damages(damage, copy):
    change, message = DAMAGES[damage]
    change(copy / "failure/snapshot")
    result = prompt("", copy, status=2)
    assert message in result.log, result.log
    assert "argument --reopen: " in result.log and "starting vm" not in result.log and not result.out


@pytest.mark.parametrize("words, message", [
    (["--reopen", "{dir}"], "holds no state of machines: there is no snapshot.json in it, in snapshot/ or in failure/"),
    (["--reopen", "{dir}/missing"], "{dir}/missing: No such file or directory"),
    (["--reopen", "{dir}/script.py"], "{dir}/script.py: Not a directory"),
    (["--reopen", "{dir}", "-K"], "argument --reopen: not allowed with -K/--keep-machine-state"),
    (["--reopen", "{dir}", "--pytest"], "argument --reopen: not allowed with --pytest"),
])
def test_misuse(words, message):
    with harness.Run("", arguments=words) as run:
        result = run.finish()
        assert result.status == 2 and message.replace("{dir}", str(run.directory)) in result.log


# ---- fake guests: what is kept when


PREPARE = """
for each in machines:
    each.connect()
    (each.state_dir / f"{each.name}.qcow2").touch()
"""


def prepared(script):
    """A script that begins with all machines up, each with its disk."""
    return PREPARE + textwrap.dedent(script)


def test_what_cannot_be_saved_is_left_out(fakes, tmp_path):
    script = prepared("""
        b.state_dir.joinpath("FAKE_BLOCKERS").write_text("the lead shield blocks it")
        c.shutdown()
        d.state_dir.joinpath("FAKE_DISKS").write_text('[{"file": "/etc/passwd"}]')
        raise ValueError("the reason")
    """)
    result = harness.run(script, fakes("a", "b", "c", "d"), options=KEEP, directory=tmp_path, status=1)
    assert "b: its state is not saved: machine 'b': its state cannot be saved:\n    QEMU: the lead shield" in result.log
    assert "d: its state is not saved: machine 'd': its disk drive0, /etc/passwd, is not in its state dir" in result.log
    assert f"the state of a is kept in {tmp_path}/out/failure/snapshot (" in result.log
    machines = kept_list(tmp_path / "out")["machines"]
    assert {name: machine["running"] for name, machine in machines.items()} == {"a": True, "c": False}
    assert sorted(os.listdir(tmp_path / "out/failure/snapshot")) == ["a", "snapshot.json"]
    assert sorted(os.listdir(tmp_path / "out/failure")) == ["a", "b", "c", "d", "snapshot"]


def test_nothing_to_keep(fake, tmp_path):
    result = harness.run("raise ValueError", fake, options=KEEP, directory=tmp_path, status=1)
    assert "is kept in" not in result.log and not (tmp_path / "out/failure/snapshot").exists()


def test_success_keeps_nothing_and_the_next_run_forgets(fake, tmp_path):
    harness.run(PREPARE + "raise ValueError", fake, options=KEEP, directory=tmp_path, status=1)
    assert kept_list(tmp_path / "out")
    harness.run(PREPARE, fake, options=KEEP, directory=tmp_path)
    assert not (tmp_path / "out/failure").exists()


def test_commands_under_way_do_not_hold_the_run_up(fake, tmp_path):
    script = prepared("""
        import threading
        thread = threading.Thread(target=lambda: machine.execute("touch begun; sleep 1000"), daemon=True)
        thread.start()
        machine.wait_for_file("begun")
        raise ValueError("the reason")
    """)
    result = harness.run(script, fake, options=KEEP, directory=tmp_path, status=1)
    assert "machine: its state is not saved: machine 'machine': commands, waits or copies are still" in result.log
    assert not (tmp_path / "out/failure/snapshot").exists()


def test_an_overlay_keeps_the_way_to_its_base(fake, tmp_path):
    base = tmp_path / "base"
    base.write_bytes(b"x" * 77)
    script = prepared(f"""
        machine.state_dir.joinpath("FAKE_DISKS").write_text('[{{"backing_file": "{base}"}}]')
        raise ValueError
    """)
    harness.run(script, fake, options=KEEP, directory=tmp_path, status=1)
    disk, = kept_list(tmp_path / "out")["machines"]["machine"]["disks"]
    assert (disk["path"], disk["backing"], disk["backing_size"]) == ("machine.qcow2", str(base), 77)
    relative = script.replace(str(base), "base")
    result = harness.run(relative, fake, options=KEEP, directory=tmp_path, status=1)
    assert "its disk drive0 is an overlay of base, and would not find that elsewhere" in result.log


def end_while_saving(number, fake, directory):
    """Has a signal end a run that saves a state; returns the run's status."""
    script = prepared("""
        machine.state_dir.joinpath("FAKE_SAVE").write_text("hangs")
        raise ValueError
    """)
    with harness.Run(script, fake, options=KEEP, directory=directory) as run:
        run.wait_for("saving the snapshot 'failure'")
        assert harness.wait_until((directory / "out/failure/snapshot").exists, 60)
        run.signal(number)
        return run.finish().status


def test_killed_while_saving(fake, tmp_path):
    """There is no half state that looks whole."""
    assert end_while_saving(signal.SIGKILL, fake, tmp_path) == 137
    assert not (tmp_path / "out/failure/snapshot/snapshot.json").exists()
    result = prompt("", tmp_path / "out", status=2)
    assert "/out/failure/snapshot has no snapshot.json, which is written last" in result.log


def test_an_interrupt_ends_the_saving(fake, tmp_path):
    assert end_while_saving(signal.SIGINT, fake, tmp_path) == 130
    assert not (tmp_path / "out/failure/snapshot").exists()


def test_pytest_keeps_the_state_of_the_first_failure(fake, tmp_path):
    script = """
        # nixos-test: pytest
        def test_good(machine):
            (machine.state_dir / "machine.qcow2").touch()
            machine.succeed("true")

        def test_bad(machine):
            machine.succeed("mkdir -p guest-state; echo first > guest-state/file")
            assert not machine

        def test_worse(machine):
            machine.succeed("echo second > guest-state/file")
            assert not machine
    """
    result = harness.run(script, fake, options=KEEP, directory=tmp_path, status=1)
    assert result.log.count("is kept in") == 1
    assert result.log.index("is kept in") < result.log.index("echo second")
    assert kept_list(tmp_path / "out")["machines"]["machine"]["running"]


# ---- boots that are kept for tests


TEST = """
    # nixos-test: pytest
    def test_prepared(server):
        assert server.succeed("cat /tmp/prepared") == "prepared\\n"
        server.wait_for_console_text("Booting")

    def test_network(server, client):
        client.succeed("ping -c 1 -W 20 192.168.1.1")
"""


def test_a_boot_for_several_runs(scripts, tmp_path):
    """Two runs, with a part of the tests each, begin with the machines of one boot at the same time."""
    (tmp_path / "prepare.py").write_text("server.succeed('echo prepared > /tmp/prepared')\n")
    saving = ["--save-boot", tmp_path / "boot", "--boot-script", tmp_path / "prepare.py", "--no-skip"]
    result = harness.run("raise ValueError('not run')", scripts, vlans=[1], options=saving, seconds=200)
    assert f"the state of client, server is kept in {tmp_path}/boot (" in result.log
    files = sorted(tmp_path.glob("boot/*/*"))
    before = [(path, path.stat().st_mtime_ns) for path in files]
    begin = ["--boot-from", tmp_path / "boot"]
    parts = [harness.Run(TEST, scripts, vlans=[1], options=[*begin, "--shard", part], seconds=200)
             for part in ("1/2", "2/2")]
    with parts[0] as first, parts[1] as second:
        results = [run.finish() for run in (first, second)]
    assert [result.status for result in results] == [0, 0], results[0].log + results[1].log
    assert sum(result.out.count(" PASSED") + result.log.count(" PASSED") for result in results) == 2
    assert all("waiting for the VM to finish booting" not in result.log for result in results)
    assert [(path, path.stat().st_mtime_ns) for path in files] == before


def test_a_boot_that_cannot_be_kept(fakes, tmp_path):
    options = ["--save-boot", tmp_path / "boot"]
    vms = fakes("a", "b")
    result = harness.run("", vms, options=options, env={"FAKE_BLOCKERS": "the shield"}, status=1)
    assert "the boot is not kept: machine 'a': its state cannot be saved:" in result.log
    assert not (tmp_path / "boot").exists()
    prepare = tmp_path / "prepare.py"
    prepare.write_text("raise ValueError('the preparation')\n")
    result = harness.run("", vms, options=[*options, "--boot-script", prepare], status=1)
    assert "ValueError: the preparation" in result.log and not (tmp_path / "boot").exists()
    result = harness.run("", vms, options=["--save-boot", tmp_path / "missing/boot"], status=2)
    assert f"argument --save-boot: {tmp_path}/missing: No such file or directory" in result.log
    result = harness.run("", {}, options=options, status=2)
    assert "argument --save-boot: there are no machines to boot" in result.log


def test_only_a_boot_is_replaced(fakes, tmp_path):
    """What is in a directory that the driver has not made stays, also when it has names as in a kept state."""
    prepare = tmp_path / "prepare.py"
    prepare.write_text(PREPARE)
    boot = tmp_path / "boot"
    (boot / "a").mkdir(parents=True)
    options = ["--save-boot", boot, "--boot-script", prepare]
    (boot / "a/disk.qcow2").write_text("precious")
    for words in options, ["--save-boot", ""]:
        result = harness.run("", fakes("a"), options=words, status=2)
        assert "has files, but no complete state of machines" in result.log and "starting vm" not in result.log
    assert (boot / "a/disk.qcow2").read_text() == "precious"
    (boot / "a/disk.qcow2").unlink()
    (boot / "a").rmdir()
    for name in "a", "b":
        harness.run("", fakes(name), options=options)
        assert list(json.loads((boot / "snapshot.json").read_text())["machines"]) == [name]
    assert sorted(os.listdir(boot)) == ["b", "snapshot.json"]


def test_machines_of_the_script_are_not_in_a_boot(fakes, tmp_path):
    """Runs that begin with it would not have them."""
    prepare = tmp_path / "prepare.py"
    prepare.write_text(f"made = create_machine({fakes('made')['made']!r}, name='made'); made.start()\n"
                       "machines = [a, made]\n" + PREPARE)
    result = harness.run("", fakes("a"), options=["--save-boot", tmp_path / "boot", "--boot-script", prepare])
    assert "made: its state is not saved: it is none of the configuration's" in result.log
    assert list(json.loads((tmp_path / "boot/snapshot.json").read_text())["machines"]) == ["a"]


def test_machines_of_another_test(fakes, tmp_path):
    prepare = tmp_path / "prepare.py"
    prepare.write_text(PREPARE)
    harness.run("", fakes("a"), options=["--save-boot", tmp_path / "boot", "--boot-script", prepare])
    for names, message in (("a", "b"), "machine 'b' is not in "), (("b",), "machine 'a' of "):
        result = harness.run("", fakes(*names), options=["--boot-from", tmp_path / "boot"], status=2)
        assert f"argument --boot-from: {message}{tmp_path}/boot" in result.log and "starting vm" not in result.log


@pytest.mark.parametrize("words, message", [
    (["--boot-script", "x"], "argument --boot-script: only --save-boot runs it"),
    (["--save-boot", "x", "--boot-from", "y"], "argument --save-boot: not allowed with --boot-from"),
    (["--save-boot", "x", "--reopen", "y"], "argument --reopen: not allowed with --save-boot"),
    (["--save-boot", "x", "-I"], "argument --save-boot: not allowed with -I/--interactive"),
    (["--boot-from", "x", "-K"], "argument --boot-from: not allowed with -K/--keep-machine-state"),
])
def test_options_that_do_not_go_together(words, message):
    assert message in harness.run("", options=words, status=2).log
