# Replaces the driver of every NixOS test, in nixpkgs of March 2026 and later: the framework there takes
# `nixos-test-driver` from the package set it is given as `hostPkgs`. In older ones this overlay changes no test.
final: _prev: {
  nixos-test-driver = final.callPackage ./package.nix { };
}
