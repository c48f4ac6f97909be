# A boot image to try the fixtures for boot images on: a small NixOS on an ISO, in iso/ of the result. Only for
# x86_64-linux.
{ nixpkgs, pkgs }:
let
  system = nixpkgs.lib.nixosSystem {
    modules = [
      (nixpkgs + "/nixos/modules/installer/cd-dvd/iso-image.nix")
      ./boot-image-system.nix
      { nixpkgs.pkgs = pkgs; }
    ];
  };
in
# A derivation whose name does not depend on the system, so that showing the flake does not evaluate the system.
pkgs.runCommand "boot-image" { } ''
  mkdir $out
  ln -s ${system.config.system.build.isoImage}/iso $out/iso
''
