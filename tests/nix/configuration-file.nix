# Gives an older framework the options by which that of 26.05 describes a run.
{
  config,
  lib,
  hostPkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  nodes = lib.attrValues config.nodes;
in
{
  options = {
    containers = mkOption {
      type = types.lazyAttrsOf types.raw;
      default = { };
    };
    logLevel = mkOption {
      type = types.str;
      default = "info";
    };
    driverConfiguration = mkOption { type = types.lazyAttrsOf types.anything; };
    driverConfigurationFile = mkOption { type = types.package; };
  };

  config = {
    driverConfiguration = {
      vms = lib.mapAttrs (name: node: {
        inherit name;
        start_script = lib.getExe node.system.build.vm;
      }) config.nodes;
      containers = { };
      vlans = lib.unique (lib.concatMap (node: node.virtualisation.vlans) nodes);
      global_timeout = config.globalTimeout;
      enable_ssh_backdoor = false;
      test_script = hostPkgs.writeText "test-script" config.testScriptString;
    };
    driverConfigurationFile = hostPkgs.writers.writeJSON "driverConfiguration.json" config.driverConfiguration;
  };
}
