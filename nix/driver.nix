# The `driver` of a test: a wrapper that gives the program the test's machines, networks and options. Building it
# checks the script.
{
  config,
  lib,
  options,
  hostPkgs,
}:
let
  cfg = config.testing;

  package = cfg.package.override {
    inherit (config) enableOCR extraPythonPackages;
    enableNspawn = containers != [ ];
  };

  # The framework of 26.05 and later describes the run in a file; in older ones the environment does.
  hasFile = options ? driverConfigurationFile;

  vms = lib.attrValues config.nodes;

  # Frameworks from before March 2026 have no containers.
  containers = lib.attrValues (config.containers or { });

  vlans = lib.unique (
    lib.concatMap (
      { virtualisation, ... }:
      virtualisation.vlans
      ++ lib.mapAttrsToList (_: interface: interface.vlan) (virtualisation.interfaces or { })
    ) (vms ++ containers)
  );

  namesOf = map (machine: machine.system.name);
  scriptsOf = build: machines: toString (map (m: lib.getExe m.system.build.${build}) machines);

  script =
    if cfg.testDir != null then
      cfg.testDir
    else
      hostPkgs.writeText "test-script" config.testScriptString;

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
        vms = lib.attrNames config.driverConfiguration.vms;
        containers = lib.attrNames config.driverConfiguration.containers;
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
        vms = namesOf vms;
        containers = namesOf containers;
        inherit vlans;
        wrapperArgs = [
          "--set"
          "vmStartScripts"
          (scriptsOf "vm" vms)
          "--set"
          "containerStartScripts"
          (scriptsOf "nspawn" containers)
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

  scale =
    if lib.isString cfg.timeoutScale then cfg.timeoutScale else builtins.toJSON cfg.timeoutScale;

  ownFlags =
    lib.optional (cfg.mode != "auto") "--mode ${cfg.mode}"
    ++ lib.optional (cfg.timeoutScale != null) "--timeout-scale ${scale}"
    ++ lib.optional (!cfg.agent) "--no-agent"
    ++ lib.optional (cfg.isolation != "none") "--isolation ${cfg.isolation}"
    ++ lib.optional (cfg.events != null) "--events ${lib.escapeShellArg cfg.events}"
    ++ lib.optional (cfg.report != null) "--report ${lib.escapeShellArg cfg.report}";

  wrapperArgs =
    description.wrapperArgs
    # Scripts may call qemu-img.
    ++ [
      "--prefix"
      "PATH"
      ":"
      "${config.qemu.package}/bin"
    ]
    # Not after `--`: options that a caller appends to the command line would become pytest's, too.
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

  # The name of a machine as an identifier of Python, made as the driver makes it.
  identifier =
    name:
    let
      characters = lib.stringToCharacters name;
      keep = pattern: text: if builtins.match pattern text == null then "_" else text;
    in
    keep "[A-Za-z_]" (lib.head characters)
    + lib.concatMapStrings (keep "[A-Za-z0-9_]") (lib.tail characters);

  # A test's only machine, of whichever kind, is also called `machine`.
  names = description.vms ++ description.containers;
  isAlone = lib.length names == 1 && names != [ "machine" ];
  withAlias = machines: machines ++ lib.optional (isAlone && machines != [ ]) "machine";
  optionsFor = kind: machines: map (name: "--${kind}=${identifier name}") (withAlias machines);

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
    ++ optionsFor "vm" description.vms
    ++ optionsFor "container" description.containers
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
