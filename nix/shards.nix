# The parts of a test that is divided into `testing.shards`: each is the derivation that would run the whole test,
# told to run its share.
{ config, lib }:
let
  count = config.testing.shards;
  program = "${config.driver}/bin/nixos-test-driver";

  shard =
    number:
    config.rawTestDerivation.overrideAttrs (old: {
      name = "${old.name}-shard${toString number}";
      buildCommand =
        lib.replaceStrings [ program ] [ "${program} --shard ${toString number}/${toString count} --junit-xml junit.xml" ]
          old.buildCommand;
    });
in
lib.optionalAttrs (count > 1) (
  lib.listToAttrs (map (number: lib.nameValuePair "shard${toString number}" (shard number)) (lib.range 1 count))
)
