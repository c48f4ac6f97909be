# The derivations of a test with `testing.bootOnce`: one boots the machines and saves them, and those that run tests
# begin with what it has saved. They are the derivation of the whole test with other words for the driver.
{
  config,
  lib,
  hostPkgs,
}:
let
  cfg = config.testing;
  program = "${config.driver}/bin/nixos-test-driver";
  zstd = "${hostPkgs.zstd}/bin/zstd";
  withFlags = flags: lib.replaceStrings [ program ] [ "${program} ${flags}" ];
  preparation = lib.optionalString (
    cfg.bootOnceScript != null
  ) " --boot-script ${hostPkgs.writeText "boot-script" cfg.bootOnceScript}";
in
rec {
  boot = config.rawTestDerivation.overrideAttrs (old: {
    name = "${old.name}-boot";
    buildCommand = withFlags "--save-boot $out/boot${preparation}" old.buildCommand + ''
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
      + withFlags ''--boot-from "$PWD/boot"'' old.buildCommand;
    });
}
