"""Whether a clean-up leaves nothing of a RAID array, and of the LVM volume on it, on a machine's disks.

    plan = ResiduePlan(disks=["/dev/vdb", "/dev/vdc"])
    plan.run(machine, "our-wipe-disks /dev/vdb /dev/vdc").assert_nothing_left()

A plan makes an array of the disks, a volume group and a volume on it, and writes a text, the marker, at the volume's
beginning. Then it runs the clean-up under test, and judges by what lsblk, mdadm, blkid and LVM say. Before, it assembles
and activates whatever can still be assembled and activated, as the next boot would, and looks for the marker in the
devices that this gives: a text that no device stack leads to is gone, even where its bytes are still on a disk. With
`raw` the bytes must be gone, too: the files of the disks are searched on the host, because a guest may have no program
that can.

The machine may be of any kind: its execute() and succeed() are all that is used. The guest needs bash, util-linux,
mdadm and LVM.

Scripts and projects' own tests import this module.
"""

import json
import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

KINDS = ("array", "member", "physical volume", "group", "volume", "marker")  # in the order of lists of what is left
RAW = "raw marker"
_SEARCHED = 1 << 20  # bytes at the beginning of a device in which the marker is looked for
_CHUNK = 1 << 20  # bytes of a file that are in memory at a time
_MOST_PLACES = 8  # places that are named for a file
_PLAIN_TYPES = ("disk", "rom", "loop", "part")  # lsblk's names of devices that are no device stack


class SeedStep(NamedTuple):
    """A step of seeding: its name for messages, and a bash command."""

    name: str
    command: str


class Remnant(NamedTuple):
    """Something that is left: one of KINDS, or RAW, and its name, such as the path of a device."""

    kind: str
    name: str

    def __str__(self):
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Snapshot:
    """What the guest's programs say: the outputs of lsblk (JSON), `mdadm --detail --scan`, blkid, and LVM (lines of a
    group and one of its volumes); `readable`: the devices from which the marker can be read."""

    lsblk: str
    mdadm: str
    blkid: str
    lvm: str
    readable: tuple[str, ...] = ()


# ---- what a snapshot shows


def _devices(snapshot):
    """Returns {path: (type, file system or None, the UUIDs of its parents)} of the block devices that lsblk shows."""
    found = {}

    def visit(nodes, parent):
        for node in nodes:
            kind, system, parents = found.get(node["name"], (node["type"], node["fstype"], set()))
            found[node["name"]] = kind, system, parents | ({parent} if parent else set())
            visit(node.get("children", ()), node["uuid"])

    visit(json.loads(snapshot.lsblk)["blockdevices"], None)
    return found


def _digits(uuid):
    """A UUID without the separators, which mdadm and blkid place differently."""
    return re.sub(r"[^0-9a-f]", "", uuid.lower())


def _arrays(snapshot, devices):
    """Arrays, running or not. mdadm may call one by another name than lsblk: the UUID tells that it is the same."""
    known = {path: {_digits(uuid) for uuid in parents} for path, (kind, _, parents) in devices.items()
             if kind.startswith("raid") or kind == "linear"}
    names = set(known)
    for name, uuid in re.findall(r"^(?:INACTIVE-)?ARRAY (\S+)(?:.*\bUUID=(\S+))?", snapshot.mdadm, re.M):
        if not any(_digits(uuid) in uuids for uuids in known.values() if uuid):
            names.add(name)
    return names


def _signatures(snapshot, devices):
    """Returns {path: set of types of content} by lsblk, whose udev may not have looked again, and by blkid."""
    found = {path: {system} for path, (_, system, _) in devices.items()}
    for path, kind in re.findall(r'^(/\S+): .*\bTYPE="([^"]*)"', snapshot.blkid, re.M):
        found.setdefault(path, set()).add(kind)
    return found


def _volumes(snapshot, devices):
    """Returns (groups, volumes as GROUP/VOLUME) by LVM and by lsblk, where `-` in a name is doubled."""
    pairs = [line.split() for line in snapshot.lvm.splitlines()]
    for path, (kind, _, _) in devices.items():
        if kind == "lvm":
            parts = re.split(r"(?<!-)-(?!-)", path.rpartition("/")[2], maxsplit=1)
            pairs.append([part.replace("--", "-") for part in parts])
    return {pair[0] for pair in pairs if pair}, {"/".join(pair[:2]) for pair in pairs if len(pair) > 1}


def remnants(snapshot):
    """Returns a list of Remnants, all arrays, members, physical volumes, groups, volumes and readable markers that a
    Snapshot shows, each once, in the order of KINDS. ValueError if its text of lsblk is not lsblk's."""
    try:
        devices = _devices(snapshot)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"this is not what lsblk prints: {snapshot.lsblk[:200]!r}") from error
    signatures = _signatures(snapshot, devices)
    groups, volumes = _volumes(snapshot, devices)
    names = {
        "array": _arrays(snapshot, devices),
        "member": {path for path, kinds in signatures.items() if "linux_raid_member" in kinds},
        "physical volume": {path for path, kinds in signatures.items() if "LVM2_member" in kinds},
        "group": groups,
        "volume": volumes,
        "marker": {f"readable from {path}" for path in snapshot.readable},
    }
    return [Remnant(kind, name) for kind in KINDS for name in sorted(names[kind])]


def left(before, after):
    """Returns a list of the Remnants that the Snapshot `after` shows and `before` did not."""
    known = set(remnants(before))
    return [remnant for remnant in remnants(after) if remnant not in known]


# ---- files of disks


def _data_areas(fd):
    """Yields (start, end) of the parts of a file that are no holes."""
    end, size = 0, os.fstat(fd).st_size
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # there is nothing but a hole
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


def places_of(text, path):
    """Yields the offsets in bytes of a text in a file. Holes are left out, and a chunk is in memory at a time. OSError
    if the file cannot be read."""
    needle = text.encode()
    with open(path, "rb", buffering=0) as file:
        for start, end in _data_areas(file.fileno()):
            position, rest = start, b""
            while position < end and (chunk := os.pread(file.fileno(), min(_CHUNK, end - position), position)):
                data, base = rest + chunk, position - len(rest)
                found = data.find(needle)
                while found >= 0:
                    yield base + found
                    found = data.find(needle, found + 1)
                position += len(chunk)
                rest = data[max(len(data) - len(needle) + 1, 0):]


def raw_remnants(text, files):
    """Returns a list of Remnants, the places of a text in files of disks, of which it names the first 8 for a file.
    files: paths of raw images, or of qcow2 images that are not compressed. OSError if one cannot be read."""
    found = []
    for path in files:
        offsets = [str(offset) for offset, _ in zip(places_of(text, path), range(_MOST_PLACES + 1))]
        if offsets:
            more = ", …" if len(offsets) > _MOST_PLACES else ""
            found.append(Remnant(RAW, f"in {path} at byte {', '.join(offsets[:_MOST_PLACES])}{more}"))
    return found


# ---- the plan


@dataclass(frozen=True)
class ResidueResult:
    """What a run of a plan has seen: the Snapshots `before` seeding, of what was `seeded`, and `after` the clean-up, and
    `left`, a list of Remnants."""

    before: Snapshot
    seeded: Snapshot
    after: Snapshot
    left: list[Remnant]

    def assert_nothing_left(self):
        """AssertionError, which lists what is left, if anything is."""
        if self.left:
            raise AssertionError("the clean-up has left:\n" + "\n".join(f"  {remnant}" for remnant in self.left))


def _call(clean_up, machine):
    """Runs a clean-up: a function of the machine, a command, or several."""
    if callable(clean_up):
        clean_up(machine)
    elif isinstance(clean_up, str):
        machine.succeed(clean_up)
    elif clean_up is not None:
        machine.succeed(*clean_up)


class ResiduePlan:
    """What is put on the disks of a machine, how, and how it is judged.

    disks: paths in the guest of the disks, whose contents are lost.
    array: the path of the RAID1 array, with metadata 1.2.
    group, volume: names of the volume group and of the volume, which takes all of its space.
    marker: a text of one line, which is written at the volume's beginning.

    `steps` is the list of the SeedSteps; it may be changed. `expected` are the kinds of KINDS that seeding has to make: a
    plan with other steps may make less.
    """

    def __init__(self, disks=("/dev/vdb", "/dev/vdc"), array="/dev/md127", group="vg_residue", volume="lv_residue",
                 marker="residue-marker"):
        if isinstance(disks, str) or not marker or "\n" in marker:
            raise ValueError(f"disks={disks!r}, marker={marker!r}: several paths, and one line of text")
        self.disks, self.array, self.group, self.volume, self.marker = tuple(disks), array, group, volume, marker
        self.expected = KINDS
        names = shlex.join(self.disks)
        group, array = shlex.quote(group), shlex.quote(array)
        self.steps = [
            SeedStep("array", f"mdadm --create {array} --run --force --level=1 --metadata=1.2 "
                          f"--raid-devices={len(self.disks)} {names}"),
            SeedStep("physical volume", f"pvcreate --yes --force --force {array}"),  # also where an older label is
            SeedStep("group", f"vgcreate {group} {array}"),
            SeedStep("volume", f"lvcreate --yes --extents 100%FREE --name {shlex.quote(volume)} {group}"),
            SeedStep("marker", f"printf '%s\\n' {shlex.quote(marker)} | "
                           f"dd of={shlex.quote(f'/dev/{self.group}/{volume}')} conv=fsync status=none"),
        ]

    def seed(self, machine):
        """Runs the steps in their order. MachineError or RequestedAssertionFailed, as of succeed(), if one fails."""
        for step in self.steps:
            machine.succeed(step.command)

    def snapshot(self, machine, revive=False):
        """Returns a Snapshot. revive: whether the arrays and volumes that can be brought up are brought up first, where
        they stay, and the marker is looked for in the first MiB of all devices above the disks."""
        if revive:  # each may fail, since there may be nothing to bring up
            machine.succeed("mdadm --assemble --scan --run || true; vgchange --activate y || true")
        machine.succeed("udevadm settle")
        told = [machine.succeed(command) for command in (
            "lsblk --json --bytes --paths --output NAME,TYPE,SIZE,FSTYPE,UUID",
            "mdadm --detail --scan",
            "blkid -c /dev/null || [ $? = 2 ]",  # 2: nothing found
            "vgs --noheadings --options vg_name,lv_name",
        )]
        return Snapshot(*told, readable=self._readable(machine) if revive else ())

    def _readable(self, machine):
        """Returns a tuple of the devices from which the marker can be read. What only a cache still has does not count,
        and grep must not meet more of a disk, which may be one endless line."""
        return tuple(machine.succeed(f"""
            lsblk --list --noheadings --paths --output NAME,TYPE | sort -u | while read -r name type; do
                case $type in {"|".join(_PLAIN_TYPES)}) continue ;; esac
                blockdev --flushbufs "$name"
                if head -c {_SEARCHED} "$name" | grep -aF -e {shlex.quote(self.marker)} > /dev/null; then
                    echo "$name"
                fi
            done
        """).split())

    def run(self, machine, clean_up=None, raw=False, files=None):
        """Seeds the disks, runs the clean-up, judges, and returns a ResidueResult.

        clean_up: a function, which is called with the machine; or a bash command, or several, which must succeed; None:
            there is none.
        raw: whether the marker's bytes must be gone from the disks, too.
        files: the files of the disks on the host, for raw; default: all disks of an image machine (`disk_paths`).

        RuntimeError if the seed is not on the disks, since then no clean-up could fail. ValueError for raw without files.
        """
        files = self._files(machine, files) if raw else ()
        before = self.snapshot(machine)
        self.seed(machine)
        seeded = self.snapshot(machine, revive=True)
        self._check_seed(machine, before, seeded, files)
        _call(clean_up, machine)
        after = self.snapshot(machine, revive=True)
        return ResidueResult(before, seeded, after, left(before, after) + self._raw(machine, files))

    @staticmethod
    def _files(machine, files):
        found = getattr(machine, "disk_paths", ()) if files is None else files
        found = [found] if isinstance(found, str | Path) else list(found)
        if not found:
            raise ValueError("raw needs the files of the disks: this machine does not name them, so files has to")
        return found

    def _raw(self, machine, files: Iterable):
        """Returns the Remnants of the marker in the files, when the guest has written what it holds back."""
        if not files:
            return []
        machine.succeed("sync")
        return raw_remnants(self.marker, files)

    def _check_seed(self, machine, before, seeded, files):
        made = {remnant.kind for remnant in left(before, seeded)}
        missing = [kind for kind in self.expected if kind not in made]
        if files and not self._raw(machine, files):
            missing.append(f"{RAW} in {', '.join(map(str, files))}")
        if missing:
            raise RuntimeError(f"seeding has not made: {', '.join(missing)}")
