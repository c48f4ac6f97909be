# Gives an older framework the options by which the framework of 26.05 describes a run.
{
  config,
  lib,
  hostPkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  machines = lib.attrValues config.nodes ++ lib.attrValues config.containers;

  started =
    build:
    lib.mapAttrs (
      name: machine: {
        inherit name;
        start_script = lib.getExe machine.system.build.${build};
      }
    );
in
{
  options = {
    logLevel = mkOption {
      type = types.str;
      default = "info";
    };
    driverConfiguration = mkOption { type = types.lazyAttrsOf types.anything; };
    driverConfigurationFile = mkOption { type = types.package; };
  };

  config = {
    driverConfiguration = {
      vms = started "vm" config.nodes;
      containers = started "nspawn" config.containers;
      vlans = lib.unique (lib.concatMap (machine: machine.virtualisation.vlans) machines);
      global_timeout = config.globalTimeout;
      enable_ssh_backdoor = false;
      test_script = hostPkgs.writeText "test-script" config.testScriptString;
    };
    driverConfigurationFile = hostPkgs.writers.writeJSON "driverConfiguration.json" config.driverConfiguration;
  };
}
