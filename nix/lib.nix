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
    As nixpkgs' `makeTest` and `pkgs.testers.nixosTest`: the derivation that runs a test of any of the styles of
    nixpkgs, or, for a file of several tests, the attribute set of them. The test framework is that of the package set.
    The test may be

    - an attribute set, a test module, or a function of `{ pkgs, lib, ... }`;
    - what nixos/tests consists of: `import ./make-test-python.nix (…)`, functions of `system` and `pkgs` that call
      nixos/lib/testing-python.nix, and functions of `runTest` or `handleTest`;
    - a test that is made already, as by `pkgs.testers.runNixOSTest`;
    - or a file with any of these.

    makeTest pkgs ./tests/hello.nix
  */
  makeTest =
    pkgs:
    import ./make-test.nix {
      inherit pkgs;
      runTest =
        module:
        runWith pkgs {
          imports = [ module ];
          hostPkgs = pkgs;
          name = pkgs.lib.mkDefault "unnamed";
        };
    };
}
