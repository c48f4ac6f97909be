# The derivations of a test with `testing.bootOnce`: one boots the machines and saves them, and those that run tests
# begin with what it has saved. They are the derivation of the whole test with other words for the driver.
{
  config,
  lib,
  options,
  hostPkgs,
}:
let
  cfg = config.testing;
  program = "${config.driver}/bin/nixos-test-driver";
  zstd = "${hostPkgs.zstd}/bin/zstd";

  # A driver that has the preparation in the place of the test's script, which it checks as well: a change of the
  # tests is no reason to boot again.
  preparation = hostPkgs.writeText "boot-script" (
    if cfg.bootOnceScript == null then "" else cfg.bootOnceScript
  );
  bootDriver = import ./driver.nix {
    inherit lib options hostPkgs;
    config = config // {
      testing = cfg // {
        testDir = preparation;
        mode = "auto";
        pytestArgs = [ ];
        isolation = "none";
      };
    };
  };
  bootFlags = "--save-boot $out/boot --boot-script ${preparation}";
  bootProgram = "${bootDriver}/bin/nixos-test-driver ${bootFlags}";

  replaceDriver = import ./replace-driver.nix { inherit lib; };
in
rec {
  boot = config.rawTestDerivation.overrideAttrs (old: {
    name = "${old.name}-boot";
    buildCommand =
      replaceDriver config.driver bootProgram old.buildCommand
      + ''
        ${zstd} --quiet --rm -T0 $out/boot/*/memory.qcow2
      '';
  });

  # A derivation of the test, which begins with the machines of `boot`. Disks are overlays, or small: they are copied,
  # and only the memory is compressed. Both keep the references to the store that they have.
  begin =
    derivation:
    derivation.overrideAttrs (old: {
      buildCommand = ''
        cp -r --no-preserve=mode ${boot}/boot boot
        ${zstd} --quiet --rm --decompress boot/*/memory.qcow2.zst
      ''
      + lib.replaceStrings [ program ] [ ''${program} --boot-from "$PWD/boot"'' ] old.buildCommand;
    });
}
