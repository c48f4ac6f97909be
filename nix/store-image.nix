# What a machine needs so that QEMU can save it: the Nix store in an image, since QEMU saves no machine with a mounted
# share of the host; and the image read-only, since QEMU saves no machine that can write to a raw image.
{ lib, ... }:
{
  options.virtualisation.qemu.drives = lib.mkOption {
    type = lib.types.listOf (
      lib.types.submodule (
        { config, ... }:
        {
          config.driveExtraOpts = lib.mkIf (config.name == "nix-store") { readonly = "on"; };
        }
      )
    );
  };

  config.virtualisation.useNixStoreImage = lib.mkDefault true;
}
