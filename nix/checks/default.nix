# The flake's checks: every file of this directory and of tests/nixos, by its name.
#
# A file here is a function of some of the arguments below and gives a derivation; one in tests/nixos is a NixOS
# test. A check whose output has `junit.xml` can be a member of vm-test-suite.
{
  nixpkgs,
  pkgs,
  self,
}:
let
  inherit (pkgs) lib;

  arguments = {
    inherit
      checks
      nixpkgs
      pkgs
      self
      ;
    driver = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
    testbed = import ../testbed-system.nix { inherit nixpkgs pkgs; };
    joinReports = pkgs.callPackage ../join-reports.nix { };
    checkList = pkgs.callPackage ../check-list.nix { };
  };

  filesIn =
    directory:
    let
      isCheck = file: type: type == "regular" && lib.hasSuffix ".nix" file && file != "default.nix";
      named = file: _: lib.nameValuePair (lib.removeSuffix ".nix" file) (directory + "/${file}");
    in
    lib.mapAttrs' named (lib.filterAttrs isCheck (builtins.readDir directory));

  # With a nixpkgs of before March 2026, whose tests cannot have containers, there is no check `containers`.
  hasContainers = builtins.pathExists (nixpkgs + "/nixos/modules/virtualisation/nspawn-container");
  tests = removeAttrs (filesIn ../../tests/nixos) (lib.optional (!hasContainers) "containers");

  check =
    _: file:
    let
      function = import file;
    in
    function (builtins.intersectAttrs (builtins.functionArgs function) arguments);

  test =
    _: file:
    self.lib.runTest {
      imports = [
        file
        ../checks-module.nix
      ];
      hostPkgs = pkgs;
    };

  # The boot image is for one platform.
  hasBootImage = self.packages.${pkgs.stdenv.hostPlatform.system} ? bootImage;
  others = removeAttrs (filesIn ./.) (lib.optional (!hasBootImage) "boot-image");

  checks = lib.mapAttrs check others // lib.mapAttrs test tests;
in
checks
