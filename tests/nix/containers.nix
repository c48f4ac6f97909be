# Gives an older framework the option `containers` of March 2026. These containers are no systems of
# NixOS: they accept every setting and have only the attributes that a driver uses.
{ lib, hostPkgs, ... }:
let
  inherit (lib) mkOption types;

  container =
    { config, name, ... }:
    {
      freeformType = types.lazyAttrsOf types.anything;
      options = {
        system.name = mkOption {
          type = types.str;
          default = name;
        };
        system.build.nspawn = mkOption {
          type = types.package;
          default = hostPkgs.writeShellScriptBin "run-${config.system.name}-nspawn" "exit 1";
        };
        virtualisation.vlans = mkOption {
          type = types.listOf types.int;
          default = [ 1 ];
        };
      };
      config._module.args.pkgs = hostPkgs;
    };
in
{
  options.containers = mkOption {
    type = types.lazyAttrsOf (types.submodule container);
    default = { };
  };
}
