# A test in the test framework of a nixpkgs, as a function of the path of the nixpkgs tree.
#
# The machines have start scripts that need no NixOS system, so that drivers are built quickly. Those of virtual
# machines run the program that the environment variable START_SCRIPT names. Start scripts of containers get no
# environment, so a test that starts a container sets the script by mkForce.
{
  root,
  test,
  # Whether the framework gets containers, as upstream's has since March 2026.
  containers ? false,
  # Whether the framework describes the run in a file, as upstream's does since 26.05; then it has containers, too.
  file ? false,
  # Whether the driver comes by the overlay, without this project's test module.
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

  # `make unit` runs the driver's own tests.
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
    # With `testing.bootOnce` and one shard, `test` is another derivation.
    boot = lib.optionalString config.testing.bootOnce config.passthru.boot.drvAttrs.buildCommand;
    begun = lib.optionalString (
      config.testing.bootOnce && config.testing.shards == 1
    ) config.test.drvAttrs.buildCommand;
  };
  outputs = {
    driver = "${config.driver}";
    passthru = lib.attrNames config.driver.passthru;
    inherit (config.driver.meta) mainProgram;
    test = config.test.drvPath;
  };
}
