# The system of the boot image, a NixOS module: it boots from an ISO and has SSH and a serial console. It is no machine
# of the test framework, and has nothing for a driver.
{ lib, pkgs, ... }:
{
  networking.hostName = "boot-image";

  # The last console is where the system writes, and where it shows a login prompt.
  boot.kernelParams = lib.mkAfter [
    "console=tty0"
    "console=ttyS0,115200"
  ];
  boot.loader.timeout = lib.mkForce 1;

  # Disks and network cards of virtual machines.
  boot.initrd.availableKernelModules = [
    "virtio_blk"
    "virtio_net"
    "virtio_pci"
    "virtio_scsi"
  ];

  services.openssh = {
    enable = true;
    settings = {
      PasswordAuthentication = false;
      PermitRootLogin = "prohibit-password";
    };
  };

  # root's key is a credential of systemd's, which QEMU passes in the SMBIOS tables. systemd reads them through this
  # kernel module when it begins. Its own rule for the key is not among those that NixOS takes over.
  boot.initrd.kernelModules = [ "dmi_sysfs" ];
  systemd.tmpfiles.rules = [
    "d /root/.ssh 0700 root root -"
    "f^ /root/.ssh/authorized_keys 0600 root root - ssh.authorized_keys.root"
  ];

  # For tests of what an installer does to disks.
  environment.systemPackages = [
    pkgs.lvm2
    pkgs.mdadm
  ];

  isoImage.makeEfiBootable = true;

  # For a small image.
  documentation.enable = false;
  environment.defaultPackages = lib.mkForce [ ];
  programs.command-not-found.enable = false;
  xdg.icons.enable = false;
  xdg.mime.enable = false;
  xdg.sounds.enable = false;

  system.stateVersion = "26.05";
}
