# The test bed fits the platforms that this flake has outputs for. Nothing is built or booted to find out.
{
  checkList,
  nixpkgs,
  pkgs,
  self,
}:
let
  inherit (pkgs) lib;

  # The serial port is where the driver reads a machine's console.
  platforms = {
    x86_64-linux = {
      kernel = "bzImage";
      serial = "ttyS0";
    };
    aarch64-linux = {
      kernel = "Image";
      serial = "ttyAMA0";
    };
  };

  entriesFor =
    system: expected:
    let
      testbed = import ../testbed-system.nix {
        inherit nixpkgs;
        pkgs = nixpkgs.legacyPackages.${system};
      };
      platform = testbed.pkgs.stdenv.hostPlatform;
      inherit (testbed.config.virtualisation.vmVariant.virtualisation.qemu) consoles;
    in
    [
      {
        what = "${system}: the flake has outputs for it";
        ok = lib.all (output: self.${output} ? ${system}) [
          "checks"
          "packages"
        ];
        hint = "add it to `systems` in flake.nix";
      }
      {
        what = "${system}: the system is for this platform";
        ok = platform.system == system && platform.isLinux;
        hint = "its packages are for ${platform.system}";
      }
      {
        what = "${system}: the kernel can be booted";
        ok = testbed.config.system.boot.loader.kernelFile == expected.kernel;
        hint = "system.boot.loader.kernelFile is not ${expected.kernel}";
      }
      {
        what = "${system}: the virtual machine has its console on ${expected.serial}";
        ok = lib.any (console: lib.head (lib.splitString "," console) == expected.serial) consoles;
        hint = "it is not among virtualisation.qemu.consoles: ${toString consoles}";
      }
    ];
in
checkList {
  name = "platform-validation-test";
  entries = lib.concatLists (lib.mapAttrsToList entriesFor platforms);
}
