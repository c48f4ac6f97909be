"""The boot image of the flake, on one boot."""


def test_the_system_is_nixos(boot_image_vm):
    assert "ID=nixos\n" in boot_image_vm.succeed("cat /etc/os-release")


def test_sshd_is_active(boot_image_vm):
    boot_image_vm.wait_for_unit("sshd.service")


def test_the_disks_are_empty(boot_image_vm):
    disks = boot_image_vm.succeed("lsblk --noheadings --list --output NAME,SIZE,TYPE --bytes /dev/vda /dev/vdb")
    assert [line.split() for line in disks.splitlines()] == [["vda", f"{1 << 30}", "disk"], ["vdb", f"{1 << 30}", "disk"]]


def test_the_tools_for_disks_are_there(boot_image_vm):
    boot_image_vm.succeed("mdadm --version", "vgs")
