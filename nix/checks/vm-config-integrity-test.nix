# The configuration of the test bed is sound; known without building or booting it.
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
