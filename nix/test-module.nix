/*
  A module for NixOS tests: runs the test on this driver. It works with every release of the framework that has
  test modules (24.05 to unstable); everything else about the test stays as it is, its interactive driver included.

    pkgs.testers.runNixOSTest {
      imports = [ nixos-test-driver.nixosTestModules.default ];
      name = "hello";
      nodes.machine = { };
      testScript = "machine.succeed('true')";
    }
*/
{
  config,
  lib,
  options,
  hostPkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.testing;

  # With a testDir, this module defines `testScript` with this priority.
  placeholderPriority = 2000;
  hasTestScript = options.testScript.highestPrio < placeholderPriority;

  # Settings that contradict each other; each text begins with the name of the option.
  rules = [
    {
      broken = !options.testScript.isDefined;
      text = "testScript: nothing says what to run; set it, or `testing.testDir`";
    }
    {
      broken = cfg.testDir != null && hasTestScript;
      text = "testing.testDir: `testScript` is set, too; one of them says what to run";
    }
    {
      broken = cfg.mode == "legacy" && cfg.testDir != null;
      text = "testing.testDir: a directory of tests is for pytest, but testing.mode is \"legacy\"";
    }
    {
      broken = cfg.mode == "legacy" && cfg.pytestArgs != [ ];
      text = "testing.pytestArgs: they would reach nothing, testing.mode is \"legacy\"";
    }
    {
      broken = cfg.mode == "legacy" && cfg.shards > 1;
      text = "testing.shards: only tests in pytest style can be divided, but testing.mode is \"legacy\"";
    }
    {
      broken = cfg.mode == "legacy" && cfg.isolation != "none";
      text = "testing.isolation: only tests in pytest style can be isolated, but testing.mode is \"legacy\"";
    }
    {
      broken = cfg.isolation != "none" && (config.containers or { }) != { };
      text = "testing.isolation: containers have no snapshots, and this test has `containers`";
    }
  ];
  faults =
    map (rule: rule.text) (lib.filter (rule: rule.broken) rules)
    ++ lib.optionals cfg.bootOnce (import ./boot-once-rules.nix { inherit config lib hostPkgs; });

  bootOnce = import ./boot-once.nix {
    inherit
      config
      lib
      options
      hostPkgs
      ;
  };

  checked =
    value:
    if faults == [ ] then
      value
    else
      throw "In test `${config.name}`:\n${lib.concatMapStrings (fault: "- ${fault}\n") faults}";
in
{
  options.testing = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether to run this test on the driver in C. Otherwise the framework's own driver runs it.";
    };

    package = mkOption {
      type = types.package;
      default = hostPkgs.callPackage ./package.nix { };
      defaultText = lib.literalMD "the driver, built from this flake with `hostPkgs`";
      description = ''
        The driver. Its `override` gets the test's `enableOCR` and `extraPythonPackages`, and as `enableNspawn`
        whether the test has containers.
      '';
    };

    mode = mkOption {
      type = types.enum [
        "auto"
        "legacy"
        "pytest"
      ];
      default = "auto";
      description = ''
        The style of the test script: one program (`legacy`), functions that pytest collects (`pytest`), or
        whichever of these it looks like (`auto`).
      '';
    };

    pytestArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "-m"
        "not slow"
      ];
      description = "Arguments for pytest, before those of the command line.";
    };

    testDir = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./tests";
      description = "A directory of pytest files (`test_*.py`, `conftest.py`), instead of `testScript`.";
    };

    shards = mkOption {
      type = types.ints.positive;
      default = 1;
      description = ''
        The number of derivations to divide the tests of the script into; each boots the machines that it needs.
        They are the attributes `shards.shard1` and so on of the test and build independently; the test itself joins
        their reports.
      '';
    };

    isolation = mkOption {
      type = types.enum [
        "none"
        "restore"
      ];
      default = "none";
      description = ''
        Where each test in pytest style begins: where the test before has left the machines (`none`), or from a
        snapshot of all machines and networks, which is made after the fixtures of session, package, module and class
        (`restore`). The nodes then have the Nix store in an image, since QEMU saves no machine with a mounted share.
      '';
    };

    bootOnce = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether one derivation boots all machines and saves them, and the test, or each of its shards, begins with
        them. It is the attribute `boot` of the test. The machines get the store in an image and a named CPU model;
        what QEMU cannot save is refused.
      '';
    };

    bootOnceScript = mkOption {
      type = types.nullOr types.lines;
      default = null;
      example = "server.wait_for_unit('postgresql.service')";
      description = "With `bootOnce`: a script, a plain program, that is run before the machines are saved.";
    };

    bootOnceCpu = mkOption {
      type = types.str;
      default = "Nehalem";
      description = "With `bootOnce`: the machines' CPU model, which all builders must have.";
    };

    bootOnceMachine = mkOption {
      type = types.nullOr types.str;
      default = "pc-i440fx";
      description = ''
        With `bootOnce`: QEMU's machine type, to which the version of QEMU is appended; null: the machines' own.
      '';
    };

    timeoutScale = mkOption {
      type = types.nullOr (types.either types.numbers.positive (types.enum [ "auto" ]));
      default = null;
      example = 2.5;
      description = "Factor for the time-outs of the machines' waits; `auto` stretches them where there is no KVM.";
    };

    agent = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether the driver may start a program of its own in guests, by which it runs commands at the same time, waits
        and copies files. Without it, the guests' root shells do all that.
      '';
    };

    events = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "events.jsonl";
      description = "A file in the test's output that gets every event of the run, one JSON object a line.";
    };

    report = mkOption {
      type = types.nullOr types.str;
      default = "report.html";
      description = ''
        A file in the test's output that gets a page about the run: a timeline, the script, the consoles, the screens.
        A failed test leaves it where its output stays, as with `nix build --keep-failed` and when the driver is run
        by hand. null: none.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    testScript = lib.mkIf (cfg.testDir != null) (
      lib.mkOverride placeholderPriority "# The tests are in ${cfg.testDir}"
    );

    driver = lib.mkForce (
      checked (
        import ./driver.nix {
          inherit
            config
            lib
            options
            hostPkgs
            ;
        }
      )
    );

    defaults = lib.mkMerge [
      (lib.mkIf (cfg.isolation == "restore") ./store-image.nix)
      (lib.mkIf cfg.bootOnce (
        import ./boot-once-system.nix {
          cpu = cfg.bootOnceCpu;
          machine = cfg.bootOnceMachine;
        }
      ))
    ];

    passthru = {
      shards = import ./shards.nix {
        inherit config lib;
        begin = if cfg.bootOnce then bootOnce.begin else lib.id;
      };
    }
    // lib.optionalAttrs cfg.bootOnce { inherit (bootOnce) boot; };
    test = lib.mkMerge [
      (lib.mkIf (cfg.shards > 1) (
        lib.mkForce (
          hostPkgs.callPackage ./join-reports.nix { } {
            name = "vm-test-run-${config.name}";
            inherit (config) meta passthru;
            members = config.passthru.shards;
          }
        )
      ))
      (lib.mkIf (cfg.bootOnce && cfg.shards == 1) (
        lib.mkForce (bootOnce.begin config.rawTestDerivation)
      ))
    ];
  };
}
