# What `driver` of a test is: the program with the test's machines, networks and options, and its script checked.
{
  config,
  lib,
  options,
  hostPkgs,
}:
let
  cfg = config.testing;

  package = cfg.package.override { inherit (config) enableOCR extraPythonPackages; };

  # The framework of 26.05 and later describes the run in a file; in older ones the environment does.
  hasFile = options ? driverConfigurationFile;

  nodes = lib.attrValues config.nodes;

  vlans = lib.unique (
    lib.concatMap (
      node:
      node.virtualisation.vlans
      ++ lib.mapAttrsToList (_: interface: interface.vlan) (node.virtualisation.interfaces or { })
    ) nodes
  );

  script = if cfg.testDir != null then cfg.testDir else hostPkgs.writeText "test-script" config.testScriptString;

  configuration =
    if cfg.testDir == null then
      config.driverConfigurationFile
    else
      hostPkgs.writers.writeJSON "driverConfiguration.json" (
        config.driverConfiguration // { test_script = "${cfg.testDir}"; }
      );

  description =
    if hasFile then
      {
        names = lib.attrNames config.driverConfiguration.vms;
        inherit (config.driverConfiguration) vlans;
        wrapperArgs = [
          "--add-flags"
          "--config ${configuration}"
        ]
        ++ lib.optionals (options ? logLevel) [
          "--add-flags"
          "--log-level ${config.logLevel}"
        ];
      }
    else
      {
        names = map (node: node.system.name) nodes;
        inherit vlans;
        wrapperArgs = [
          "--set"
          "startScripts"
          (toString (map (node: lib.getExe node.system.build.vm) nodes))
          "--set"
          "testScript"
          "${script}"
          "--set"
          "globalTimeout"
          (toString config.globalTimeout)
          "--set"
          "vlans"
          (toString vlans)
        ];
      };

  scale = if lib.isString cfg.timeoutScale then cfg.timeoutScale else builtins.toJSON cfg.timeoutScale;

  ownFlags =
    lib.optional (cfg.mode != "auto") "--mode ${cfg.mode}"
    ++ lib.optional (cfg.timeoutScale != null) "--timeout-scale ${scale}"
    ++ lib.optional (cfg.events != null) "--events ${lib.escapeShellArg cfg.events}";

  wrapperArgs =
    description.wrapperArgs
    # Scripts may call qemu-img.
    ++ [
      "--prefix"
      "PATH"
      ":"
      "${config.qemu.package}/bin"
    ]
    # After `--` they would take with them what the caller adds to the command line.
    ++ lib.optionals (cfg.pytestArgs != [ ]) [
      "--prefix"
      "PYTEST_ADDOPTS"
      " "
      (lib.escapeShellArgs cfg.pytestArgs)
    ]
    ++ lib.concatMap (flag: [
      "--add-flags"
      flag
    ]) (ownFlags ++ config.extraDriverArgs);

  # As the driver makes identifiers of names.
  identifier =
    name:
    let
      characters = lib.stringToCharacters name;
      keep = pattern: text: if builtins.match pattern text == null then "_" else text;
    in
    keep "[A-Za-z_]" (lib.head characters) + lib.concatMapStrings (keep "[A-Za-z0-9_]") (lib.tail characters);

  isAlone = lib.length description.names == 1 && description.names != [ "machine" ];
  machines = map identifier (description.names ++ lib.optional isAlone "machine");

  checker = hostPkgs.python3.withPackages (
    ps:
    lib.optional (!config.skipLint) ps.pyflakes
    ++ lib.optional (!config.skipTypeCheck) ps.mypy
    ++ [ ps.pytest ]
    ++ config.extraPythonPackages ps
  );

  checkArgs =
    lib.optional config.skipLint "--skip-lint"
    ++ lib.optional config.skipTypeCheck "--skip-type-check"
    ++ map (name: "--machine=${name}") machines
    ++ map (number: "--vlan=${toString number}") description.vlans;
in
lib.warnIf config.skipLint "Linting is disabled" (
  hostPkgs.runCommand "nixos-test-driver-${config.name}"
    {
      nativeBuildInputs = [
        hostPkgs.makeWrapper
        checker
      ];
      preferLocalBuild = true;
      inherit (config) passthru;
      meta = config.meta // {
        mainProgram = "nixos-test-driver";
      };
    }
    ''
      mkdir -p $out/bin
      cp -r ${script} $out/test-script

      ${package}/bin/generate-driver-symbols
      MYPYPATH=$(echo ${package}/lib/python3*/site-packages) python3 ${./check-script.py} \
        --symbols driver-symbols ${lib.escapeShellArgs checkArgs} $out/test-script

      makeWrapper ${package}/bin/nixos-test-driver $out/bin/nixos-test-driver ${lib.escapeShellArgs wrapperArgs}
    ''
)
