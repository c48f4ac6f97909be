# Commands with another program in the place of a test's driver. They no longer depend on that driver, which replacing
# its path alone would leave them to.
{ lib }:
driver: program: commands:
let
  plain = builtins.unsafeDiscardStringContext;
  others = removeAttrs (builtins.getContext commands) [ (plain driver.drvPath) ];
in
lib.replaceStrings [ (plain "${driver}/bin/nixos-test-driver") ] [ program ] (
  builtins.appendContext (plain commands) others
)
