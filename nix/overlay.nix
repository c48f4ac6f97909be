# Replaces the driver of every NixOS test in nixpkgs of March 2026 and later, whose framework takes
# `nixos-test-driver` from its package set `hostPkgs`. In an older nixpkgs the overlay changes no test.
final: _prev: {
  nixos-test-driver = final.callPackage ./package.nix { };
}
