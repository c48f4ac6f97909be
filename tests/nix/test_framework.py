"""The test module and the flake with the test framework of a nixpkgs (see toolchain.py). No test boots NixOS."""

import json
import os
import re
import shutil

import pytest
import toolchain

import harness

WITH_FILE = True
SYSTEMS = "x86_64-linux", "aarch64-linux"
CHECKS = {
    "formatting", "legacy-syntax", "platform-validation-test", "pytest-syntax", "unit", "vlan-faults", "vm-build-test",
    "vm-config-integrity-test", "vm-execution-test", "vm-generation-test", "vm-service-test", "vm-test-suite",
}


def checks(nixpkgs, system="x86_64-linux"):
    """Returns the names of the flake's checks, which depend on the features of this nixpkgs' framework."""
    has_containers = (nixpkgs.tree / "nixos/modules/virtualisation/nspawn-container").exists()
    return CHECKS | ({"containers"} if has_containers else set()) | ({"boot-image"} if system == "x86_64-linux" else set())


@pytest.fixture(params=[False, WITH_FILE], ids=["environment", "file"])
def file(request, nixpkgs):
    """Whether the framework describes a run in a file; both ways are tested."""
    if request.param != WITH_FILE and (nixpkgs.tree / "nixos/lib/testing/driver-configuration.nix").exists():
        pytest.skip("the framework of this nixpkgs always writes a file")
    return request.param


def test(settings="", script="start_all()\nserver.succeed('true')\n"):
    """A test module with two machines and two networks."""
    script = f"testScript = {json.dumps(script)};" if script is not None else ""
    return f"""{{
      name = "toy";
      nodes.server.virtualisation.vlans = [ 1 2 ];
      nodes."b-c".virtualisation.vlans = [ 1 ];
      {script}
      {settings}
    }}"""


test.__test__ = False


def test_flags(nixpkgs, file):
    commands = nixpkgs.evaluate(test('extraDriverArgs = [ "--keep-machine-state" ];'), "commands", file)
    wrapper = commands["driver"].strip().splitlines()[-1]
    if file:
        assert re.search(r"--add-flags '--config /nix/store/\S+-driverConfiguration.json'", wrapper)
        assert "--set" not in wrapper
    else:
        assert re.search(r"--set vmStartScripts '\S+/bin/run-b-c-vm \S+/bin/run-server-vm'", wrapper)
        assert "--set containerStartScripts ''" in wrapper
        assert re.search(r"--set testScript /nix/store/\S+-test-script ", wrapper)
        assert "--set globalTimeout 3600" in wrapper and "--set vlans '1 2'" in wrapper
        assert "--config" not in wrapper
    assert wrapper.endswith("--add-flags --keep-machine-state") and "--add-flags '--report report.html'" in wrapper
    assert "--vm=b_c" in commands["driver"] and "--vlan=2" in commands["driver"]
    interactive = commands["driverInteractive"].strip().splitlines()[-1]
    assert "--add-flags --interactive" in interactive and "--interactive" not in wrapper
    assert commands["shards"] == {}
    assert re.search(r"\S+-nixos-test-driver-toy/bin/nixos-test-driver -o \$out", commands["test"])


def test_outputs(nixpkgs, file):
    outputs = nixpkgs.evaluate(test(), "outputs", file)
    assert outputs["mainProgram"] == "nixos-test-driver"
    assert outputs["driver"].endswith("-nixos-test-driver-toy") and outputs["test"].endswith("-vm-test-run-toy.drv")
    assert {"driver", "driverInteractive", "nodes", "test", "shards"} - set(outputs["passthru"]) <= {"test", "nodes"}


def test_settings_become_flags(nixpkgs, file):
    commands = nixpkgs.evaluate(test("""
      testing = {
        mode = "pytest"; pytestArgs = [ "-m" "not slow" ]; timeoutScale = 2.5; events = "events.jsonl";
        report = "page.html";
      };
    """), "commands", file)
    wrapper = commands["driver"].strip().splitlines()[-1]
    for flag in "--mode pytest", "--timeout-scale 2.5", "--events events.jsonl", "--report page.html":
        assert f"--add-flags '{flag}'" in wrapper
    assert """--prefix PYTEST_ADDOPTS ' ' '-m '\\''not slow'\\'''""" in wrapper


def test_automatic_time_out_scale(nixpkgs):
    assert "'--timeout-scale auto'" in nixpkgs.evaluate(test('testing.timeoutScale = "auto";'), "commands.driver")
    assert "'--timeout-scale 3'" in nixpkgs.evaluate(test("testing.timeoutScale = 3;"), "commands.driver")


@pytest.mark.parametrize("isolation", ["none", "restore"])
def test_isolation(nixpkgs, isolation):
    """The nodes have their store in an image that QEMU does not write to, since it could not save that."""
    settings = test(f'testing.isolation = "{isolation}";')
    wanted = isolation == "restore"
    assert ("--isolation restore" in nixpkgs.evaluate(settings, "commands.driver")) == wanted
    virtualisation = "config.nodes.server.virtualisation"
    drives = {drive["name"]: drive["driveExtraOpts"] for drive in
              nixpkgs.evaluate(settings, f"{virtualisation}.qemu.drives")}
    assert nixpkgs.evaluate(settings, f"{virtualisation}.useNixStoreImage") == wanted
    assert ("nix-store" in drives) == wanted and "readonly" not in drives["root"]
    assert not wanted or drives["nix-store"] == {"format": "raw", "readonly": "on"}
    assert nixpkgs.evaluate(settings, f"{virtualisation}.mountHostNixStore") != wanted


def test_isolation_of_containers(nixpkgs):
    with pytest.raises(toolchain.NixError, match="testing.isolation: containers have no snapshots"):
        nixpkgs.evaluate(test(f'testing.isolation = "restore"; {CONTAINERS}'), "commands.driver", containers=True)


CONTAINERS = """
  containers.box.virtualisation.vlans = [ 3 ];
  containers."c-1" = { };
"""


def test_containers(nixpkgs, file):
    """The containers' start scripts, networks and names reach the driver and the checks of the script."""
    command = nixpkgs.evaluate(test(CONTAINERS), "commands.driver", file, containers=True)
    wrapper = command.strip().splitlines()[-1]
    if file:
        config = json.loads(nixpkgs.build(test(CONTAINERS), "config.driverConfigurationFile", file).read_text())
        assert {name: toolchain.Path(machine["start_script"]).name for name, machine in config["containers"].items()} == {
            "box": "run-box-nspawn", "c-1": "run-c-1-nspawn"}
        assert "StartScripts" not in wrapper
    else:
        assert re.search(r"--set vmStartScripts '\S+/bin/run-b-c-vm \S+/bin/run-server-vm'", wrapper)
        assert re.search(r"--set containerStartScripts '\S+/bin/run-box-nspawn \S+/bin/run-c-1-nspawn'", wrapper)
        assert "--set vlans '1 2 3'" in wrapper
    options = re.findall(r"--(\w+)=(\w+)", command)
    assert [name for kind, name in options if kind == "vm"] == ["b_c", "server"]
    assert [name for kind, name in options if kind == "container"] == ["box", "c_1"]
    assert {name for kind, name in options if kind == "vlan"} == {"1", "2", "3"}


@pytest.mark.parametrize("machines, options", [
    ("containers.box = { };", {"container=box", "container=machine"}),
    ("containers.machine = { };", {"container=machine"}),
    ("nodes.server = { }; containers.box = { };", {"vm=server", "container=box"}),
])
def test_the_only_machine_is_also_called_machine(nixpkgs, machines, options):
    settings = f"""{{ name = "few"; nodes = {{ }}; testScript = ""; imports = [ {{ {machines} }} ]; }}"""
    command = nixpkgs.evaluate(settings, "commands.driver", containers=True)
    assert set(re.findall(r"--((?:vm|container)=\w+)", command)) == options


def test_containers_need_programs(nixpkgs):
    """The package has the programs for containers on its PATH if the test has containers."""
    settings = """{ hostPkgs, lib, ... }: {
      name = "programs"; nodes.server = { }; testScript = "";
      testing.package = hostPkgs.runCommand "any" {
        passthru.override = arguments: hostPkgs.runCommand "nspawn-${lib.boolToString arguments.enableNspawn}" { } "";
      } "";
      %s
    }"""
    for containers, name in ("", "nspawn-false"), ("containers.box = { };", "nspawn-true"):
        command = nixpkgs.evaluate(settings % containers, "commands.driver", containers=True)
        assert re.search(rf"makeWrapper /nix/store/\S+-{name}/bin/nixos-test-driver", command)


def test_shards(nixpkgs, file):
    settings = "testing.shards = 3;"
    shards = nixpkgs.evaluate(test(settings), "commands.shards", file)
    assert list(shards) == ["shard1", "shard2", "shard3"]
    for number, command in enumerate(shards.values(), 1):
        assert f"/bin/nixos-test-driver --shard {number}/3 --junit-xml junit.xml -o $out" in command
    assert re.fullmatch(r"/nix/store/\S+-vm-test-run-toy-shard2", nixpkgs.evaluate(test(settings), "config.passthru.shards.shard2", file))
    joined = nixpkgs.evaluate(test(settings), "config.test.drvAttrs.buildCommand", file)
    assert "ln -s /nix/store/" in joined and "$out shard1 shard2 shard3" in joined


def test_a_directory_of_tests(nixpkgs, tmp_path, file):
    (tmp_path / "test_a.py").write_text("def test_a(server):\n    server.succeed('true')\n")
    path = nixpkgs.build(test(f"testing.testDir = {tmp_path};", script=None), "driver", file)
    wrapper = (path / "bin/nixos-test-driver").read_text()
    if file:
        config = re.search(r"--config (\S+)", wrapper)[1]
        assert json.loads(toolchain.Path(config).read_text())["test_script"].endswith(tmp_path.name)
    else:
        assert re.search(rf"testScript=\S+-{tmp_path.name}$", wrapper, re.M)
    assert (path / "test-script/test_a.py").exists()


def test_a_directory_of_tests_for_containers(nixpkgs, tmp_path):
    (tmp_path / "test_a.py").write_text("def test_a(box):\n    box.succeed('true')\n")
    path = nixpkgs.build(test(f"testing.testDir = {tmp_path}; {CONTAINERS}", script=None), "driver", WITH_FILE)
    config = json.loads(toolchain.Path(re.search(r"--config (\S+)", (path / "bin/nixos-test-driver").read_text())[1]).read_text())
    assert set(config["containers"]) == {"box", "c-1"} and config["test_script"].endswith(tmp_path.name)


def test_large_scripts(nixpkgs):
    """Scripts may be longer than a variable of an environment."""
    script = "\n".join(f"assert {number} == {number}  # {'x' * 60}" for number in range(2500))
    path = nixpkgs.build(test("skipTypeCheck = true;", script))
    assert (path / "test-script").read_text() == script


@pytest.mark.parametrize("settings, words", [
    ("testing.testDir = /etc;", ["testing.testDir", "testScript"]),
    ('testing.mode = "legacy"; testing.pytestArgs = [ "-x" ];', ["testing.pytestArgs", "testing.mode"]),
    ('testing.mode = "legacy"; testing.shards = 2;', ["testing.shards", "testing.mode"]),
    ('testing.mode = "legacy"; testing.isolation = "restore";', ["testing.isolation", "testing.mode"]),
    ('testing.isolation = "restart";', ["testing.isolation", "restore"]),
    ("testing.shards = 0;", ["testing.shards", "positive integer"]),
    ("testing.timeoutScale = -1;", ["testing.timeoutScale", "positive"]),
    ('testing.mode = "nose";', ["testing.mode", "legacy"]),
    ("testing.shard = 2;", ["testing.shard", "does not exist"]),
], ids=lambda value: value if isinstance(value, str) else "")
def test_contradictions_are_named(nixpkgs, settings, words):
    with pytest.raises(toolchain.NixError) as caught:
        nixpkgs.evaluate(test(settings), "outputs", WITH_FILE)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_directory_in_legacy_mode(nixpkgs):
    with pytest.raises(toolchain.NixError, match=r"In test `toy`:\n *- testing.testDir: a directory of tests is for"):
        nixpkgs.evaluate(test('testing.testDir = /etc; testing.mode = "legacy";', script=None), "outputs")


def test_going_back(nixpkgs):
    with_ours = nixpkgs.evaluate(test(), "commands.driver")
    without = nixpkgs.evaluate(test("testing.enable = false;"), "commands.driver")
    assert "check-script.py" in with_ours and "check-script.py" not in without


# ---- drivers that Nix builds


@pytest.mark.parametrize("script, what", [
    ("def f(:\n", "test-script:1:7: SyntaxError"),
    ("start_all()\nsever.succeed('true')\n", "test-script:2:1: undefined name 'sever'\n"),
    ("server.foo()\n", 'test-script:1:1: "QemuMachine" has no attribute "foo"'),
    ("box.crash()\n", 'test-script:1:1: "NspawnMachine" has no attribute "crash"'),
])
def test_faults_of_scripts_stop_the_build(nixpkgs, script, what):
    with pytest.raises(toolchain.NixError) as caught:
        nixpkgs.build(test(CONTAINERS, script), containers=True)
    text = re.sub(r"^ *(> )?", "", str(caught.value), flags=re.M)
    assert what in text and script.splitlines()[-1] in text


def test_the_check_of_containers_is_a_right_script(nixpkgs):
    """The script is also tested where the framework has no containers and the flake therefore lacks the check."""
    path = nixpkgs.build(f"import {nixpkgs.flake}/tests/nixos/containers.nix", file=WITH_FILE)
    assert "apart" in (path / "test-script").read_text()


def test_another_package(nixpkgs):
    path = nixpkgs.build("""
      { lib, config, hostPkgs, ... }: {
        name = "other"; nodes.server = { }; testScript = ""; skipLint = true; skipTypeCheck = true;
        testing.package = lib.mkForce (hostPkgs.runCommand "other" { passthru.override = _: config.testing.package; } ''
          mkdir -p $out/bin
          echo "touch driver-symbols" > $out/bin/generate-driver-symbols
          echo "echo other" > $out/bin/nixos-test-driver
          chmod +x $out/bin/*
        '');
      }
    """)
    assert toolchain.run(path / "bin/nixos-test-driver") == "other\n"


def test_checks_can_be_skipped(nixpkgs):
    assert nixpkgs.build(test("skipLint = true; skipTypeCheck = true;", "sever.foo()\n")).exists()


def test_a_built_driver_runs_a_guest(nixpkgs, file, tmp_path):
    """The driver that Nix has built runs a real guest."""
    script = 'start_all()\nassert server.succeed("echo hello") == "hello\\n"\nprint("machines", len(machines))\n'
    guest = toolchain.run(toolchain.ROOT / "tests/guests/make-vm", "--out", tmp_path, "tiny", "server").split()[-1]
    settings = f"""name = "real"; nodes.server = {{ }}; testScript = {json.dumps(script)};"""
    path = nixpkgs.build(f"{{ {settings} }}", file=file)
    assert (path / "test-script").read_text() == script
    with harness.Run("", arguments=["-o", "{dir}/out"], driver=(str(path / "bin/nixos-test-driver"),),
                     env={"START_SCRIPT": guest}, seconds=180) as run:
        result = run.finish()
    assert result.status == 0, result.log
    assert "machines 1" in result.lines


CONTAINER = """
import os, signal, socket

notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])
notify.send(f"X_NSPAWN_LEADER_PID={os.getpid()}\\nREADY=1".encode())
signal.pause()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")
def test_a_built_driver_runs_a_container(nixpkgs, file, tmp_path):
    """A process with a host name of its own takes the part of the container."""
    (tmp_path / "init.py").write_text(CONTAINER)
    start = f"exec unshare --uts sh -c 'hostname inside; exec python3 {tmp_path}/init.py'"
    script = 'start_all()\nprint("called", box.succeed("hostname").strip(), machine.name)\n'
    path = nixpkgs.build(f"""{{
      name = "real"; nodes = {{ }}; testScript = {json.dumps(script)};
      containers.box = {{ lib, pkgs, ... }}: {{
        system.build.nspawn = lib.mkForce (pkgs.writeShellScriptBin "run-box-nspawn" ''
          export PATH=/usr/bin:/bin
          {start}
        '');
      }};
    }}""", file=file, containers=True)
    with harness.Run("", arguments=["-o", "{dir}/out"], driver=(str(path / "bin/nixos-test-driver"),), seconds=60) as run:
        result = run.finish()
    assert result.status == 0 and "called inside box" in result.lines, result.log


def test_a_built_driver_runs_pytest(nixpkgs, fakes, tmp_path):
    """The driver runs a directory of tests; words of the command line follow the test's own arguments for pytest."""
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_a.py").write_text(
        "def test_chosen(server):\n    assert server.succeed('echo hello') == 'hello\\n'\n\n\n"
        "def test_other(server):\n    assert False\n")
    path = nixpkgs.build(f"""{{
      name = "real"; nodes.server = {{ }};
      testing = {{ testDir = {tests}; pytestArgs = [ "-k" "chosen or none" ]; }};
    }}""", file=WITH_FILE)
    for options, status, words in ([], 0, "1 passed, 1 deselected"), (["--", "-k", "other"], 1, "1 failed, 1 deselected"):
        with harness.Run("", arguments=["-o", "{dir}/out", *options], driver=(str(path / "bin/nixos-test-driver"),),
                         env={"START_SCRIPT": fakes("server")["server"]}, seconds=60) as run:
            result = run.finish()
        assert result.status == status and words in result.log + result.out, result.log + result.out


def test_shards_divide_the_tests(nixpkgs, fakes, tmp_path):
    """The flags of the shards' derivations are used with a fake machine, since the derivations themselves need KVM."""
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_a.py").write_text("".join(
        f"def test_{number}(server):\n    server.succeed('true')\n\n\n" for number in range(8)))
    settings = f"""{{ name = "real"; nodes.server = {{ }}; testing = {{ testDir = {tests}; shards = 2; }}; }}"""
    path = nixpkgs.build(settings, file=WITH_FILE)
    commands = nixpkgs.evaluate(settings, "commands.shards", WITH_FILE)
    for shard, command in commands.items():
        flags = re.search(r"/bin/nixos-test-driver (.+) -o \$out", command)[1].split()
        (tmp_path / shard).mkdir()
        with harness.Run("", arguments=["-o", "{dir}/out", *flags], driver=(str(path / "bin/nixos-test-driver"),),
                         env={"START_SCRIPT": fakes("server")["server"]}, directory=tmp_path / shard) as run:
            result = run.finish()
        assert result.status == 0, result.log + result.out
        (tmp_path / "out" / shard).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / shard).symlink_to(tmp_path / shard / "out")
    summary = toolchain.run("/usr/bin/python3", nixpkgs.flake / "nix/join-reports.py", "--name", "real", tmp_path / "out",
                            *commands)
    assert re.fullmatch(r"(shard[12]  passed  .*\n){2}", summary), summary
    names = re.findall(r'<testcase [^>]*name="(?:[^"]*::)?test_(\d)"', (tmp_path / "out/junit.xml").read_text())
    assert sorted(names) == list("01234567")


# ---- testing.bootOnce


def seen(nixpkgs, settings, attribute):
    """An attribute of the system of the test's machine."""
    test = f"""
      {{ config, ... }}: {{ imports = [ {settings} ]; passthru.seen = config.nodes.server.{attribute}; }}
    """
    return nixpkgs.evaluate(test, "config.passthru.seen")


BOOT_ONCE = """{ name = "once"; nodes.server = { }; testScript = "start_all()"; testing.bootOnce = true; }"""


def test_boot_once_sets_the_machines_up(nixpkgs):
    virtualisation = "virtualisation"
    options = seen(nixpkgs, BOOT_ONCE, f"{virtualisation}.qemu.options")
    assert "-cpu Nehalem" in options and "-device vmgenid,guid=auto" in options
    assert any(re.fullmatch(r"-machine pc-i440fx-\d+\.\d+", option) for option in options)
    drives = seen(nixpkgs, BOOT_ONCE, f"{virtualisation}.qemu.drives")
    readonly = {drive["name"]: drive["driveExtraOpts"].get("readonly") for drive in drives}
    assert readonly == {"root": None, "nix-store": "on"}
    assert seen(nixpkgs, BOOT_ONCE, f"{virtualisation}.mountHostNixStore") is False
    other = BOOT_ONCE.replace("bootOnce = true;", """
      bootOnce = true; testing.bootOnceCpu = "SandyBridge"; testing.bootOnceMachine = null;
    """)
    options = seen(nixpkgs, other, f"{virtualisation}.qemu.options")
    assert "-cpu SandyBridge" in options and not any(option.startswith("-machine") for option in options)
    both = BOOT_ONCE.replace("bootOnce = true;", 'bootOnce = true; testing.isolation = "restore";')
    assert seen(nixpkgs, both, f"{virtualisation}.qemu.drives") == drives
    without = seen(nixpkgs, BOOT_ONCE.replace("true", "false"), f"{virtualisation}.qemu.options")
    assert not any("vmgenid" in option or option.startswith("-cpu") for option in without)


@pytest.mark.parametrize("settings, message", [
    ("virtualisation.tpm.enable = true;",
     "the state of a TPM belongs to another process; set virtualisation.tpm.enable = false (server)"),
    ("virtualisation.useEFIBoot = true;", "UEFI's variables are a raw image"),
    ("virtualisation.mountHostNixStore = true;",
     "the host's store is mounted; set virtualisation.mountHostNixStore = false (server)"),
    ('virtualisation.sharedDirectories.data = { source = "/data"; target = "/data"; };',
     "QEMU saves no machine with a share of the host"),
])
def test_boot_once_refuses_what_cannot_be_saved(nixpkgs, settings, message):
    test = BOOT_ONCE.replace("nodes.server = { };", f"nodes.server = {{ {settings} }}; nodes.other = {{ }};")
    with pytest.raises(toolchain.NixError) as caught:
        nixpkgs.evaluate(test, "outputs.driver")
    assert f"- testing.bootOnce: {message}" in str(caught.value)


def test_boot_once_refuses_containers(nixpkgs):
    test = BOOT_ONCE.replace("nodes.server = { };", "nodes.server = { }; containers.box = { };")
    with pytest.raises(toolchain.NixError) as caught:
        nixpkgs.evaluate(test, "outputs.driver", containers=True)
    assert "- testing.bootOnce: containers have no state that could be saved; use nodes (box)" in str(caught.value)


def test_boot_once_does_not_depend_on_the_tests(nixpkgs, file):
    def boot(script, preparation):
        test = BOOT_ONCE.replace("start_all()", script).replace(
            "bootOnce = true;", f"bootOnce = true; testing.bootOnceScript = {json.dumps(preparation)};")
        return nixpkgs.evaluate(test, "config.passthru.boot.drvPath", file)

    first = boot("start_all()", "pass")
    assert boot("server.succeed('true')", "pass") == first
    assert boot("start_all()", "server.succeed('true')") != first


def run_build(command, outputs, driver, guest, directory):
    """Runs the commands of a derivation here: with the driver that Nix has built, the guest in the place of the
    machine, and the outputs of other derivations where they were put."""
    for name, output in outputs.items():
        command = re.sub(rf"/nix/store/[a-z0-9]+-{re.escape(name)}(?=[/\s])", str(output), command)
    command = re.sub(r"/nix/store/[^/\s]+/bin/zstd", "/usr/bin/zstd", command)
    command, count = re.subn(r"/nix/store/[a-z0-9]+-nixos-test-driver-real(?=/)", str(driver), command)
    assert count == 1
    (directory / "build").mkdir(parents=True)
    with harness.Run("", arguments=["-euc", f"cd {directory}/build\n{command}"], driver=("bash",), seconds=200,
                     env={"START_SCRIPT": guest, "out": directory / "out"}) as run:
        result = run.finish()
    assert result.status == 0, result.log + result.out
    return result


@pytest.mark.parametrize("shards", [1, 2])
def test_boot_once_boots_once(nixpkgs, tmp_path, shards):
    """The derivations need KVM, so their commands are run without Nix."""
    guest = toolchain.run(toolchain.ROOT / "tests/guests/make-vm", "--out", tmp_path, "tiny", "server").split()[-1]
    tests = tmp_path / "tests"
    tests.mkdir()
    body = "assert server.succeed('cat /tmp/prepared') == 'yes\\n'"
    (tests / "test_a.py").write_text("".join(
        f"def test_{number}(server):\n    {body}\n\n\n" for number in range(8)))
    settings = f"""{{
      name = "real"; nodes.server = {{ }};
      testing = {{
        testDir = {tests}; shards = {shards}; bootOnce = true;
        bootOnceScript = "server.succeed('echo yes > /tmp/prepared')";
      }};
    }}"""
    driver = nixpkgs.build(settings)
    commands = nixpkgs.evaluate(settings, "commands")
    script = tmp_path / "boot-script"
    script.write_text("server.succeed('echo yes > /tmp/prepared')")
    run_build(commands["boot"], {"boot-script": script}, driver, guest, tmp_path / "boot")
    assert not list(tmp_path.glob("boot/out/boot/*/memory.qcow2"))
    ran = []
    for name, command in (commands["shards"] or {"begun": commands["begun"]}).items():
        result = run_build(command, {"vm-test-run-real-boot": tmp_path / "boot/out"}, driver, guest, tmp_path / name)
        assert "waiting for the VM to finish booting" not in result.log
        ran += re.findall(r"test_a\.py::test_(\d) PASSED", result.log + result.out)
    assert sorted(ran) == list("01234567") and len(commands["shards"]) == (shards if shards > 1 else 0)


def test_the_overlay_reaches_the_frameworks_own_drivers(nixpkgs, fakes, tmp_path):
    """Only the package is replaced, and the framework checks the script of the test with the driver's stubs."""
    tree = nixpkgs.tree
    module = tree / "nixos/lib/testing/driver.nix"
    if "pythonTestDriverPackage" not in module.read_text():
        # A framework from before 2026-03 builds the driver from its own files, with the same arguments.
        tree = tmp_path / "nixpkgs"
        shutil.copytree(nixpkgs.tree, tree, symlinks=True)
        text = (tree / "nixos/lib/testing/driver.nix").read_text()
        changed = text.replace("hostPkgs.callPackage ../test-driver {", "hostPkgs.nixos-test-driver.override {")
        assert changed != text
        (tree / "nixos/lib/testing/driver.nix").write_text(changed)
    script = "server.wait_for_file('/')\nprint('ran', server.succeed('echo hello', timeout=60).strip())\n"
    path = nixpkgs.build(f"""{{
      name = "overlaid"; nodes.server = {{ }}; testScript = {json.dumps(script)}; skipLint = true;
    }}""", tree=tree, overlay=True)
    with harness.Run("", arguments=["-o", "{dir}/out"], driver=(str(path / "bin/nixos-test-driver"),),
                     env={"START_SCRIPT": fakes("server")["server"]}, seconds=60) as run:
        result = run.finish()
    assert result.status == 0 and "ran hello" in result.lines, result.log


# ---- the flake


@pytest.mark.parametrize("system", SYSTEMS)
def test_checks_evaluate(nixpkgs, system):
    paths = json.loads(nixpkgs.nix_flake("eval", "--json", f"FLAKE#checks.{system}", "--apply",
                                         "builtins.mapAttrs (_: check: check.drvPath)"))
    assert set(paths) == checks(nixpkgs, system)


@pytest.mark.parametrize("attribute", ["driver", "driverInteractive"])
def test_drivers_of_checks_evaluate(nixpkgs, attribute):
    for check in "vm-execution-test", "vm-service-test", "legacy-syntax", "pytest-syntax", "vlan-faults":
        nixpkgs.nix_flake("eval", "--raw", f"FLAKE#checks.x86_64-linux.{check}.{attribute}.drvPath")


def test_flake_check(nixpkgs):
    nixpkgs.nix_flake("flake", "check", "--no-build", "FLAKE")


def test_showing_the_flake_evaluates_no_system(nixpkgs, tmp_path):
    flake = tmp_path / "flake"
    shutil.copytree(nixpkgs.flake, flake)
    for file in "nix/testbed.nix", "nix/testbed-system.nix", "nix/boot-image-system.nix":
        (flake / file).write_text('throw "evaluated"\n')
    (flake / "tests/nixos/nodes/web.nix").write_text('{ nodes.server = throw "evaluated"; }\n')
    outputs = json.loads(nixpkgs.nix_flake("flake", "show", "--json", "FLAKE", flake=flake))
    assert set(outputs["checks"]["x86_64-linux"]) == checks(nixpkgs)
    assert {"apps", "devShells", "formatter", "lib", "nixosTestModules", "overlays", "packages", "templates"} <= set(outputs)


def test_overrides_of_every_release(nixpkgs):
    expression = f"""
      let
        pkgs = import {nixpkgs.tree} {{ system = "x86_64-linux"; }};
        driver = pkgs.callPackage {nixpkgs.flake}/nix/package.nix {{ }};
        paths = map (arguments: (driver.override arguments).drvPath) [
          {{ }}
          {{ enableOCR = true; }}
          {{ extraPythonPackages = ps: [ ps.numpy ]; }}
          {{ enableNspawn = true; }}
          {{ qemu_pkg = pkgs.qemu; }}
          {{ somethingElse = 1; }}
        ];
      in paths"""
    paths = json.loads(nixpkgs.nix_flake("eval", "--impure", "--json", "--expr", expression))
    assert len(set(paths[:5])) == 5 and paths[5] == paths[0]


def test_containers_do_not_compile_the_program_again(nixpkgs):
    """Containers only add programs to the PATH of the package that is built already."""
    expression = f"""
      let
        pkgs = import {nixpkgs.tree} {{ system = "x86_64-linux"; }};
        driver = pkgs.callPackage {nixpkgs.flake}/nix/package.nix {{ }};
        of = driver: {{ program = driver.unwrapped.drvPath; wrap = driver.drvAttrs.postBuild; }};
      in [ (of driver) (of (driver.override {{ enableNspawn = true; }})) ]"""
    without, with_containers = json.loads(nixpkgs.nix_flake("eval", "--impure", "--json", "--expr", expression))
    assert with_containers["program"] == without["program"]
    programs = [set(re.findall(r"/nix/store/\w+-([a-z]+(?:-[a-z]+)*)[^/]*/bin", of["wrap"])) for of in (without, with_containers)]
    assert programs[1] - programs[0] == {"systemd"} and {"socat", "util-linux"} <= programs[0]


def test_the_ssh_backdoor_finds_its_program(nixpkgs):
    """The package set may have the program for the SSH backdoor; if so, the driver finds it."""
    expression = f"""
      let
        pkgs = import {nixpkgs.tree} {{ system = "x86_64-linux"; }};
        program = pkgs.runCommand "vhost-device-vsock" {{ }} "";
        of = arguments: (pkgs.callPackage {nixpkgs.flake}/nix/package.nix arguments).drvAttrs.postBuild;
      in map (vhost-device-vsock: of {{ inherit vhost-device-vsock; }}) [ null program ]"""
    without, found = json.loads(nixpkgs.nix_flake("eval", "--impure", "--json", "--expr", expression))
    assert "-vhost-device-vsock/bin" in found and "vhost" not in without


def test_quick_checks_list_what_is_wrong(nixpkgs, tmp_path):
    flake = tmp_path / "flake"
    shutil.copytree(nixpkgs.flake, flake)
    testbed = flake / "nix/testbed.nix"
    check = "FLAKE#checks.x86_64-linux.vm-config-integrity-test"
    nixpkgs.nix_flake("build", "--no-link", check, flake=flake)
    testbed.write_text(testbed.read_text().replace("docker.enable = true", "docker.enable = false").replace(
        'PermitRootLogin = "no"', 'PermitRootLogin = "yes"'))
    with pytest.raises(toolchain.NixError) as caught:
        nixpkgs.nix_flake("build", "--no-link", "-L", check, flake=flake)
    for line in ("- Docker is on: set virtualisation.docker.enable = true",
                 '- root cannot log in by SSH: set services.openssh.settings.PermitRootLogin = "no"'):
        assert line in str(caught.value)


def test_template(nixpkgs, tmp_path):
    flake = tmp_path / "flake"
    shutil.copytree(nixpkgs.flake / "nix/template", flake)
    paths = json.loads(nixpkgs.nix_flake("eval", "--json", "FLAKE#checks.x86_64-linux", "--override-input", "nixos-test-driver",
                                         f"path:{nixpkgs.flake}", "--apply", "builtins.mapAttrs (_: check: check.drvPath)",
                                         flake=flake))
    assert set(paths) == {"legacy", "pytest"}
