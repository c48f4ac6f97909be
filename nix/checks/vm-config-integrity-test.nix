# The configuration of the test bed is sound. Nothing is built or booted to find out.
{
  checkList,
  pkgs,
  testbed,
}:
checkList {
  name = "vm-config-integrity-test";
  entries = import ../integrity.nix {
    inherit (pkgs) lib;
    inherit (testbed) config;
  };
}
