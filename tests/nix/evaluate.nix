# One test in the test framework of a nixpkgs tree, as a function of where the tree is.
#
# Its machines have start scripts that need no system, so that drivers can be built quickly: those of virtual machines
# run the program that the environment variable START_SCRIPT names. No environment reaches those of containers; a test
# that starts one has a script of its own, by mkForce.
{
  root,
  test,
  # Whether the framework is to have containers, as since March 2026.
  containers ? false,
  # Whether it is to describe the run in a file, as since 26.05; then it has containers, too.
  file ? false,
  # Whether the driver comes by the overlay, with no test module of ours.
  overlay ? false,
  system ? builtins.currentSystem,
}:
let
  pkgs = import root {
    inherit system;
    overlays = lib.optionals overlay [
      (import ../../nix/overlay.nix)
      (_: prev: {
        nixos-test-driver = prev.nixos-test-driver.override { stdenv = uncheckedFor prev; };
      })
    ];
  };
  lib = import (root + "/lib");
  framework = import (root + "/nixos/lib") { inherit lib; };

  light =
    { hostPkgs, lib, ... }:
    {
      defaults =
        { config, ... }:
        let
          program = kind: hostPkgs.writeShellScriptBin "run-${config.system.name}-${kind}";
        in
        {
          system.build.vm = lib.mkForce (program "vm" ''exec "$START_SCRIPT" "$@"'');
          system.build.nspawn = lib.mkOverride 90 (program "nspawn" "exit 1");
        };
    };
  ours =
    { hostPkgs, lib, ... }:
    {
      imports = [ ../../nix/test-module.nix ];
      testing.package = lib.mkDefault (
        hostPkgs.callPackage ../../nix/package.nix { stdenv = uncheckedFor hostPkgs; }
      );
    };

  # `make unit` runs the tests of the core.
  uncheckedFor =
    { stdenv, ... }:
    stdenv
    // {
      mkDerivation = attributes: stdenv.mkDerivation (attributes // { doCheck = false; });
    };

  hasContainers = builtins.pathExists (root + "/nixos/modules/virtualisation/nspawn-container");
  hasFile = builtins.pathExists (root + "/nixos/lib/testing/driver-configuration.nix");

  evaluated = framework.evalTest {
    imports = [
      light
      test
    ]
    ++ lib.optional (!overlay) ours
    ++ lib.optional ((containers || file) && !hasContainers) ./containers.nix
    ++ lib.optional (file && !hasFile) ./configuration-file.nix;
    hostPkgs = pkgs;
  };
  inherit (evaluated) config;
in
{
  inherit config;
  inherit (config) driver test;
  driverInteractive = config.interactive.driver;
  commands = {
    driver = config.driver.drvAttrs.buildCommand;
    driverInteractive = config.interactive.driver.drvAttrs.buildCommand;
    test = config.rawTestDerivation.drvAttrs.buildCommand;
    shards = lib.mapAttrs (_: shard: shard.drvAttrs.buildCommand) config.passthru.shards;
  };
  outputs = {
    driver = "${config.driver}";
    passthru = lib.attrNames config.driver.passthru;
    inherit (config.driver.meta) mainProgram;
    test = config.test.drvPath;
  };
}
