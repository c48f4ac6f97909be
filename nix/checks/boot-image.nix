# The boot image boots and can be used by SSH: a session of pytest with the fixtures for boot images.
{
  driver,
  pkgs,
  self,
}:
let
  image = self.packages.${pkgs.stdenv.hostPlatform.system}.bootImage;
in
pkgs.runCommand "boot-image"
  {
    nativeBuildInputs = [
      driver
      pkgs.qemu_test
    ];
    requiredSystemFeatures = [
      "kvm"
      "nixos-test"
    ];
  }
  ''
    cp --recursive --no-preserve=mode ${./boot-image} tests
    cd tests
    mkdir $out
    export BOOT_IMAGE_ISO=$(echo ${image}/iso/*.iso)
    export BOOT_IMAGE_VM_LEDGER_PATH=$out/vm-run-ledger.jsonl
    nixos-test-driver --pytest --output_directory $out --junit-xml junit.xml -- -p no:cacheprovider
  ''
