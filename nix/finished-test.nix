/*
  A test that the test framework of a nixpkgs has made, with this driver. Machines, script and options stay as they
  are. What the framework has made for its own driver is not built.
*/
{ lib }:
finished:
let
  old = finished.config;
  inherit (old) hostPkgs;

  module = import ./test-module.nix {
    inherit lib hostPkgs;
    config = old;
    options = { };
  };
  defaults = lib.mapAttrs (_: option: option.default) module.options.testing;

  driverOf =
    config:
    import ./driver.nix {
      inherit lib hostPkgs;
      config = config // {
        inherit passthru;
        testing = defaults;
      };
      # The framework has an option for each value here.
      options = config;
    };

  driver = driverOf old;

  replaceDriver = import ./replace-driver.nix { inherit lib; };

  test = old.rawTestDerivation.overrideAttrs (attributes: {
    buildCommand =
      replaceDriver old.driver "${driver}/bin/nixos-test-driver" attributes.buildCommand;
    inherit passthru;
  });

  passthru = old.passthru // {
    inherit driver test;
    driverInteractive = driverOf old.interactive;
    config = old // {
      inherit driver passthru test;
      rawTestDerivation = test;
    };
    shards = { };
  };
in
if old ? testing then old.test else test
