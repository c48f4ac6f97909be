# Functions like those of nixpkgs that make a test, for tests on this driver.
{ nixpkgs }:
let
  runWith =
    { path, lib, ... }:
    module:
    (import (path + "/nixos/lib") { inherit lib; }).runTest {
      imports = [
        module
        ./test-module.nix
      ];
    };
in
{
  /*
    As nixpkgs' `runTest`: the derivation that runs the test, from a test module. The module sets `hostPkgs`; the
    test framework is that of this flake's nixpkgs.

    runTest { name = "hello"; hostPkgs = pkgs; nodes.machine = { }; testScript = "machine.succeed('true')"; }
  */
  runTest = runWith {
    path = nixpkgs;
    inherit (nixpkgs) lib;
  };

  /*
    As nixpkgs' `makeTest` and `pkgs.testers.nixosTest`: a test that is an attribute set, a function of
    `{ pkgs, lib, ... }` or a file with either. The test framework is that of the package set.

    makeTest pkgs ./tests/hello.nix
  */
  makeTest =
    pkgs: test:
    runWith pkgs {
      imports = [ test ];
      hostPkgs = pkgs;
    };
}
