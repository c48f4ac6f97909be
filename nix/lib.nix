# Tests that run on this driver, from the functions that nixpkgs has for its own.
{ nixpkgs }:
let
  framework = import (nixpkgs + "/nixos/lib") { inherit (nixpkgs) lib; };
in
rec {
  /*
    As nixpkgs' `runTest`: the derivation that runs the test, from a test module. The module sets `hostPkgs`.

    runTest { name = "hello"; hostPkgs = pkgs; nodes.machine = { }; testScript = "machine.succeed('true')"; }
  */
  runTest =
    module:
    framework.runTest {
      imports = [
        module
        ./test-module.nix
      ];
    };

  /*
    As nixpkgs' `makeTest` and `pkgs.testers.nixosTest`: a test that is an attribute set, a function of
    `{ pkgs, lib, ... }` or a file with either, for a package set. One machine may be called `machine`.

    makeTest pkgs ./tests/hello.nix
  */
  makeTest =
    pkgs: test:
    runTest {
      imports = [ test ];
      hostPkgs = pkgs;
    };
}
