# A disk image of the test bed can be made. The build boots a virtual machine for that, but not the test bed.
{
  checkList,
  nixpkgs,
  pkgs,
  testbed,
}:
let
  image = import (nixpkgs + "/nixos/lib/make-disk-image.nix") {
    inherit pkgs;
    inherit (pkgs) lib;
    inherit (testbed) config;
    format = "qcow2";
    additionalSpace = "128M";
  };
  file = "${image}/nixos.qcow2";
in
checkList {
  name = "vm-generation-test";
  nativeBuildInputs = [
    pkgs.jq
    pkgs.qemu_test
  ];
  entries = [
    {
      what = "the image is in the format qcow2";
      command = "qemu-img info --output=json ${file} | jq -e '.format == \"qcow2\"' > /dev/null";
      hint = "make-disk-image.nix was asked for qcow2 and wrote something else";
    }
    {
      what = "the image is consistent";
      command = "qemu-img check -q ${file}";
      hint = "qemu-img check finds errors in it";
    }
    {
      what = "the image has room for the system";
      command = "[ $(qemu-img info --output=json ${file} | jq '.\"virtual-size\"') -gt $((512 << 20)) ]";
      hint = "its virtual size is below 512 MiB";
    }
  ];
}
