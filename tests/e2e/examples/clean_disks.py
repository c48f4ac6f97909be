# Takes LVM and RAID off two disks: a clean-up that ResiduePlan of test_driver.residue can judge.


def clean_up(machine: QemuMachine) -> None:
    machine.succeed(
        "vgchange --activate n vg_residue",
        "vgremove --force --yes vg_residue",
        "pvremove --force --yes /dev/md127",
        "mdadm --stop /dev/md127",
        "mdadm --zero-superblock /dev/vdb /dev/vdc",
        "wipefs --all /dev/vdb /dev/vdc",
        "udevadm settle",
    )
