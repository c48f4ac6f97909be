# The test bed as a system that could be installed, for checks that do not boot it.
{ nixpkgs, pkgs }:
nixpkgs.lib.nixosSystem {
  modules = [
    ./testbed.nix
    {
      nixpkgs.pkgs = pkgs;
      boot.loader.grub.device = "/dev/vda";
      fileSystems."/" = {
        device = "/dev/disk/by-label/nixos";
        fsType = "ext4";
      };
    }
  ];
}
