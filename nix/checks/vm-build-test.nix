# The test bed builds, as a system to install and as a virtual machine; nothing is booted.
{ checkList, testbed }:
let
  inherit (testbed.config.system.build) toplevel vm;
in
checkList {
  name = "vm-build-test";
  entries = [
    {
      what = "the system has a kernel";
      command = "test -e ${toplevel}/kernel";
      hint = "boot.kernelPackages gives none";
    }
    {
      what = "the system has an initial RAM disk";
      command = "test -e ${toplevel}/initrd";
      hint = "boot.initrd.enable is off";
    }
    {
      what = "the system can be activated and booted";
      command = "test -x ${toplevel}/activate && test -x ${toplevel}/init";
      hint = "the activation script or init is missing";
    }
    {
      what = "the virtual machine has a start script";
      command = "test -x ${vm}/bin/run-${testbed.config.system.name}-vm";
      hint = "its name is run-NAME-vm, NAME from networking.hostName";
    }
  ];
}
