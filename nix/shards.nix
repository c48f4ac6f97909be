# The derivations of a test that is divided by `testing.shards`: each is the derivation of the whole test, with an
# option that makes the driver run one part.
# `begin` changes how a derivation of the test begins.
{
  config,
  lib,
  begin,
}:
let
  count = config.testing.shards;
  program = "${config.driver}/bin/nixos-test-driver";

  shard =
    number:
    let
      flags = "--shard ${toString number}/${toString count} --junit-xml junit.xml";
    in
    (begin config.rawTestDerivation).overrideAttrs (old: {
      name = "${old.name}-shard${toString number}";
      buildCommand = lib.replaceStrings [ program ] [ "${program} ${flags}" ] old.buildCommand;
    });

  numbered = number: lib.nameValuePair "shard${toString number}" (shard number);
in
lib.optionalAttrs (count > 1) (lib.listToAttrs (map numbered (lib.range 1 count)))
