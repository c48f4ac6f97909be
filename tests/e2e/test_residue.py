"""How residue of RAID and LVM is judged: by outputs of real guests, which residue_snapshots.json has, and by files.
test_boot_image.py runs the plan in a guest."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import pytest

import harness


def load():
    """The module, which needs nothing of the driver."""
    spec = importlib.util.spec_from_file_location("residue", harness.ROOT / "embed/py/test_driver/residue.py")
    module = sys.modules["residue"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


residue = load()
RECORDED = json.loads((Path(__file__).parent / "residue_snapshots.json").read_text())
EVERYTHING = ["array /dev/md127", "member /dev/vda", "member /dev/vdb", "physical volume /dev/md127", "group vg_residue",
              "volume vg_residue/lv_residue", "marker readable from /dev/mapper/vg_residue-lv_residue"]


def snapshot(name, **changes):
    return residue.Snapshot(**{**RECORDED[name], **changes})


def listed(snapshot):
    return list(map(str, residue.remnants(snapshot)))


# ---- what guests have said


@pytest.mark.parametrize("name, expected", [
    ("clean", []),
    ("seeded", EVERYTHING),
    ("stopped", ["member /dev/vda", "member /dev/vdb"]),
    ("one member", [line for line in EVERYTHING if line != "member /dev/vda"]),
    ("no group", ["array /dev/md127", "member /dev/vdb", "physical volume /dev/md127"]),
])
def test_what_a_guest_shows(name, expected):
    assert listed(snapshot(name)) == expected


def test_what_was_there_before_is_not_left():
    other = {"lvm": RECORDED["clean"]["lvm"] + "  vg-system root\n"}
    assert residue.left(snapshot("clean", **other), snapshot("clean", **other)) == []
    both = {"lvm": RECORDED["seeded"]["lvm"] + "  vg-system root\n"}
    assert list(map(str, residue.left(snapshot("clean", **other), snapshot("seeded", **both)))) == EVERYTHING
    assert list(map(str, residue.left(snapshot("clean"), snapshot("clean", **other)))) == \
        ["group vg-system", "volume vg-system/root"]


@pytest.mark.parametrize("text, expected", [
    ("ARRAY /dev/md/any metadata=1.2 name=boot-image:127 UUID={uuid}\n", ["/dev/md127"]),  # the same array
    ("INACTIVE-ARRAY /dev/md5 metadata=1.2 UUID=0:0:0:0\n", ["/dev/md127", "/dev/md5"]),
    ("ARRAY /dev/md6\n", ["/dev/md127", "/dev/md6"]),
])
def test_names_of_arrays(text, expected):
    uuid = RECORDED["seeded"]["mdadm"].rpartition("UUID=")[2].strip()
    found = residue.remnants(snapshot("seeded", mdadm=text.format(uuid=uuid)))
    assert [name for kind, name in found if kind == "array"] == expected


def test_each_program_is_believed():
    """A thing that one program alone tells of is left."""
    seeded = RECORDED["seeded"]
    assert listed(snapshot("clean", mdadm=seeded["mdadm"])) == ["array /dev/md127"]
    assert listed(snapshot("clean", blkid=seeded["blkid"])) == \
        ["member /dev/vda", "member /dev/vdb", "physical volume /dev/md127"]
    assert listed(snapshot("clean", lvm="  vg_residue\n")) == ["group vg_residue"]
    assert listed(snapshot("clean", lsblk=seeded["lsblk"])) == EVERYTHING[:-1]


def test_a_dash_in_a_name():
    lsblk = RECORDED["seeded"]["lsblk"].replace("vg_residue-lv_residue", "my--vg-my--lv")
    assert {"group my-vg", "volume my-vg/my-lv"} <= set(listed(snapshot("clean", lsblk=lsblk)))


@pytest.mark.parametrize("text", ["", "lsblk: not found", "[]", "{}", '{"blockdevices": [{"name": "/dev/vda"}]}'])
def test_what_is_not_from_lsblk(text):
    with pytest.raises(ValueError, match="not what lsblk prints"):
        residue.remnants(snapshot("clean", lsblk=text))


# ---- files


def test_the_places_of_a_text(tmp_path):
    """At the beginning, behind holes, across pages, and at the end."""
    text = "residue-marker"
    offsets = [0, (1 << 20) - 5, 3 << 20, (1 << 30) - len(text)]
    path = tmp_path / "disk"
    with open(path, "wb") as file:
        for offset in offsets:
            file.seek(offset)
            file.write(text.encode())
    assert list(residue.places_of(text, path)) == offsets
    assert list(residue.places_of("another", path)) == []
    (tmp_path / "twice").write_text("aaa")
    assert list(residue.places_of("aa", tmp_path / "twice")) == [0, 1]


def test_a_text_across_chunks(tmp_path):
    """In a file without holes the chunks are known."""
    chunk, path = residue._CHUNK, tmp_path / "disk"
    data = bytearray(b"x" * (4 * chunk))
    offsets = [chunk - 5, 2 * chunk - 1, 3 * chunk]
    for offset in offsets:
        data[offset:offset + 6] = b"marker"
    path.write_bytes(data)
    assert list(residue.places_of("marker", path)) == offsets


def test_files_without_the_text(tmp_path):
    for name, size in ("empty", 0), ("hole", 1 << 30):
        with open(tmp_path / name, "wb") as file:
            file.truncate(size)
        assert list(residue.places_of("marker", tmp_path / name)) == []
    with pytest.raises(FileNotFoundError):
        residue.raw_remnants("marker", [tmp_path / "absent"])


def test_places_in_the_list(tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    few.write_text("..marker..marker")
    many.write_text("marker" * 100)
    (tmp_path / "none").write_text("mark er")
    assert list(map(str, residue.raw_remnants("marker", [few, tmp_path / "none", many]))) == [
        f"raw marker in {few} at byte 2, 10", f"raw marker in {many} at byte 0, 6, 12, 18, 24, 30, 36, 42, …"]


# ---- the plan


class Guest:
    """A machine that answers as recorded. `commands`: what it was asked to run, but questions."""

    def __init__(self, seeds=True, file=None):
        self.state, self.commands, self.seeds, self.file = "clean", [], seeds, file

    def answer(self, command):
        recorded = RECORDED[self.state]
        questions = {"lsblk --json": "lsblk", "mdadm --detail": "mdadm", "blkid": "blkid", "vgs": "lvm"}
        for start, field in questions.items():
            if command.startswith(start):
                return recorded[field]
        if "grep -aF -e residue-marker" in command:
            return "\n".join(recorded["readable"])
        self.commands.append(command)
        if "conv=fsync" in command and self.seeds:
            self.become("seeded", "the residue-marker")
        return ""

    def become(self, state, text=""):
        self.state = state
        if self.file:
            self.file.write_text(text)

    def succeed(self, *commands):
        return "".join(map(self.answer, commands))

    def execute(self, command):
        return 0, self.answer(command)


REVIVE, SETTLE = "mdadm --assemble --scan --run || true; vgchange --activate y || true", "udevadm settle"


def test_the_order_of_a_run():
    guest = Guest()
    residue.ResiduePlan().run(guest, lambda machine: machine.succeed("our clean-up"))
    assert guest.commands == [
        SETTLE,
        "mdadm --create /dev/md127 --run --force --level=1 --metadata=1.2 --raid-devices=2 /dev/vdb /dev/vdc",
        "pvcreate --yes --force --force /dev/md127",
        "vgcreate vg_residue /dev/md127",
        "lvcreate --yes --extents 100%FREE --name lv_residue vg_residue",
        "printf '%s\\n' residue-marker | dd of=/dev/vg_residue/lv_residue conv=fsync status=none",
        REVIVE, SETTLE, "our clean-up", REVIVE, SETTLE]


def test_a_plan_can_be_changed():
    plan = residue.ResiduePlan(["/dev/a b", "/dev/c", "/dev/d"], "/dev/md1", "g", "v", "it's")
    assert [step.name for step in plan.steps] == ["array", "physical volume", "group", "volume", "marker"]
    assert plan.steps[0].command.endswith(" --raid-devices=3 '/dev/a b' /dev/c /dev/d")
    assert "'it'\"'\"'s' | dd of=/dev/g/v " in plan.steps[-1].command
    plan.steps[1:] = [residue.SeedStep("nothing", "true")]
    guest = Guest()
    plan.seed(guest)
    assert [command.split()[0] for command in guest.commands] == ["mdadm", "true"]
    for wrong in {"disks": "/dev/vdb"}, {"marker": ""}, {"marker": "two\nlines"}:
        with pytest.raises(ValueError):
            residue.ResiduePlan(**wrong)


@pytest.mark.parametrize("clean_up, ran", [
    (lambda guest: guest.become("clean"), []), ("one", ["one"]), (["one", "two"], ["one", "two"]), (None, [])])
def test_kinds_of_clean_up(clean_up, ran):
    guest = Guest()
    result = residue.ResiduePlan().run(guest, clean_up)
    assert [command for command in guest.commands if command in ("one", "two")] == ran
    if callable(clean_up):
        assert result.left == []
        result.assert_nothing_left()
        return
    assert list(map(str, result.left)) == EVERYTHING
    with pytest.raises(AssertionError) as error:
        result.assert_nothing_left()
    assert str(error.value).splitlines() == ["the clean-up has left:", *(f"  {line}" for line in EVERYTHING)]
    assert residue.remnants(result.before) == [] and result.after == result.seeded


def test_a_part_that_is_left():
    result = residue.ResiduePlan().run(Guest(), lambda guest: guest.become("stopped"))
    with pytest.raises(AssertionError, match="^the clean-up has left:\n  member /dev/vda\n  member /dev/vdb$"):
        result.assert_nothing_left()


def test_a_seed_that_does_nothing():
    with pytest.raises(RuntimeError, match="^seeding has not made: array, member, physical volume, group, volume, marker$"):
        residue.ResiduePlan().run(Guest(seeds=False), "true")
    plan = residue.ResiduePlan()
    plan.expected = ()
    assert plan.run(Guest(seeds=False), "true").left == []


def test_raw(tmp_path):
    file = tmp_path / "disk"
    file.write_text("")
    plan = residue.ResiduePlan()
    assert plan.run(Guest(file=file), lambda guest: guest.become("clean"), raw=True, files=file).left == []

    result = plan.run(Guest(file=file), lambda guest: guest.become("clean", "..residue-marker"), raw=True, files=[file])
    assert list(map(str, result.left)) == [f"raw marker in {file} at byte 2"]

    guest = Guest(file=file)
    guest.disk_paths = [file]
    assert plan.run(guest, raw=True).left[-1] == (residue.RAW, f"in {file} at byte 4")
    assert "sync" in guest.commands

    for files in None, []:
        with pytest.raises(ValueError, match="files"):
            plan.run(Guest(), raw=True, files=files)
    (tmp_path / "other").write_text("")
    with pytest.raises(RuntimeError, match=f"^seeding has not made: raw marker in {tmp_path}/other$"):
        plan.run(Guest(file=file), raw=True, files=[tmp_path / "other"])


def test_a_snapshot_keeps_what_was_said():
    guest = Guest()
    guest.state = "seeded"
    assert dataclasses.asdict(residue.ResiduePlan().snapshot(guest, revive=True)) == \
        {**RECORDED["seeded"], "readable": tuple(RECORDED["seeded"]["readable"])}
    assert residue.ResiduePlan().snapshot(guest).readable == ()
