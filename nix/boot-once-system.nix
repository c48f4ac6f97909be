# What a machine of `testing.bootOnce` needs so that QEMU can save it, and load it in another build: nothing of the
# host in it that QEMU does not know, and the same hardware on every builder.
{ cpu, machine }:
{ config, lib, ... }:
let
  version = lib.versions.majorMinor config.virtualisation.qemu.package.version;
in
{
  imports = [ ./store-image.nix ];

  # The shares of 26.11 and later are other processes' (virtiofs); the driver copies files by other ways, too. Those of
  # earlier releases (9p) it unmounts while it saves.
  options.virtualisation.sharedDirectories = lib.mkOption {
    apply =
      shares:
      if lib.versionAtLeast lib.trivial.release "26.11" then
        removeAttrs shares [
          "shared"
          "xchg"
        ]
      else
        shares;
  };

  config.virtualisation = {
    mountHostNixStore = lib.mkDefault false;
    qemu.options = [
      "-cpu ${cpu}"
      # Tells the guest that it has been restored, so that no two runs have the same random numbers.
      "-device vmgenid,guid=auto"
    ]
    ++ lib.optional (machine != null) "-machine ${machine}-${version}";
  };
}
