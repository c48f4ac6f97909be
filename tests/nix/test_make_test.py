"""nix/lib.nix' makeTest with tests of every style that nixpkgs knows. No test boots NixOS."""

import json
import re

import pytest
import toolchain

# A test whose start script needs no NixOS system.
BODY = """
  name = "styled";
  nodes.server = { lib, pkgs, ... }: {
    system.build.vm = lib.mkForce (pkgs.writeShellScriptBin "run-server-vm" "exit 1");
  };
  testScript = "server.succeed('true')";
"""
FRAMEWORK = 'import (pkgs.path + "/nixos/lib") { inherit lib; }'
TESTING_PYTHON = 'import (pkgs.path + "/nixos/lib/testing-python.nix") { inherit system pkgs; }'
OWN_PKGS = 'pkgs ? import TREE { inherit system; }'

STYLES = {
    "set": "{ BODY }",
    "function": "{ pkgs, ... }: { BODY }",
    "function-of-lib": "{ lib, ... }: { BODY }",
    "function-of-system": "{ system, pkgs, ... }: { enableOCR = system == \"none\"; BODY }",
    "module": "{ config, hostPkgs, ... }: { BODY }",
    "module-of-all": "arguments: { imports = [ { BODY } ]; enableOCR = arguments.config.name == \"other\"; }",
    "function-of-packages": "pkgs: { enableOCR = pkgs.hello == null; BODY }",
    "function-of-packages-and-nixosTest": "pkgs: pkgs.testers.nixosTest { BODY }",
    "nixosTest": "{ pkgs, ... }: pkgs.testers.nixosTest { BODY }",
    "runNixOSTest": "{ pkgs }: pkgs.testers.runNixOSTest { BODY }",
    "of-its-own-packages": 'let pkgs = import TREE { system = "x86_64-linux"; }; in pkgs.testers.nixosTest { BODY }',
    "make-test-python": "import TREE/nixos/tests/make-test-python.nix ({ pkgs, ... }: { BODY })",
    "make-test-python-set": "import TREE/nixos/tests/make-test-python.nix { BODY }",
    "handed-on": "{ lib, ... }@args: assert args ? pkgs && args ? system; import TREE/nixos/tests/make-test-python.nix "
                 "({ lib, ... }: { BODY }) args",
    "makeTest": f"{{ system ? builtins.currentSystem, config ? {{ }}, {OWN_PKGS} }}: "
                f"({TESTING_PYTHON}).makeTest {{ BODY }}",
    "simpleTest": f"{{ system ? builtins.currentSystem, {OWN_PKGS}, ... }}: ({TESTING_PYTHON}).simpleTest {{ BODY }}",
    "runTest": f"{{ system, pkgs }}: ({TESTING_PYTHON}).runTest {{ BODY }}",
    "evalTest": f"{{ pkgs, lib, ... }}: ({FRAMEWORK}).evalTest {{ hostPkgs = pkgs; BODY }}",
    "all-tests": "{ runTest }: runTest { BODY }",
}


def write(nixpkgs, directory, name, text):
    path = directory / f"{name}.nix"
    path.write_text(text.replace("BODY", BODY).replace("TREE", str(nixpkgs.tree)))
    return path


def expression(nixpkgs, test, then="test: test"):
    """A Nix expression: the function `then` of makeTest's result for a test, which is a path or an expression."""
    return f"""
      let
        lib = import {nixpkgs.flake}/nix/lib.nix {{ nixpkgs = throw "the framework is that of pkgs"; }};
        pkgs = import {nixpkgs.tree} {{ system = "x86_64-linux"; }};
      in ({then}) (lib.makeTest pkgs ({test}))"""


def evaluate(nixpkgs, test, then):
    return json.loads(nixpkgs.nix_flake("eval", "--impure", "--json", "--expr", expression(nixpkgs, test, then)))


@pytest.mark.parametrize("names", [list(STYLES)[:11], list(STYLES)[11:]], ids=["modules", "files"])
def test_every_style_gives_the_same_test(nixpkgs, tmp_path, names):
    """Machines, script and options, and so the driver and the test, do not depend on the style. Of a test module,
    test_framework.py builds and runs the driver."""
    paths = {name: write(nixpkgs, tmp_path, name, STYLES[name]) for name in {"set", *names}}
    tests = " ".join(f'"{name}" = makeTest {path};' for name, path in paths.items())
    found = json.loads(nixpkgs.nix_flake("eval", "--impure", "--json", "--expr", f"""
      let
        makeTest = (import {nixpkgs.flake}/nix/lib.nix {{ nixpkgs = throw "that of pkgs"; }}).makeTest
          (import {nixpkgs.tree} {{ system = "x86_64-linux"; }});
      in builtins.mapAttrs (_: test: [
        test.name test.drvPath test.driver.drvPath test.driverInteractive.drvPath (test.shards == {{ }})
      ]) {{ {tests} }}"""))
    assert set(found) == {"set", *names} and found["set"][0] == "vm-test-run-styled"
    assert {name for name in found if found[name] != found["set"]} == set()


def test_a_finished_test_does_not_need_its_old_driver(nixpkgs, tmp_path):
    path = write(nixpkgs, tmp_path, "old", STYLES["make-test-python"])
    found = evaluate(nixpkgs, path, """test: {
      needs = builtins.attrNames (builtins.getContext test.drvAttrs.buildCommand);
      driver = test.driver.drvPath;
      command = test.drvAttrs.buildCommand;
      runs = "${test.driver}/bin/nixos-test-driver";
      interactive = test.driverInteractive.drvAttrs.buildCommand;
      plain = test.driver.drvAttrs.buildCommand;
      own = [ (test.config.driver.drvPath == test.driver.drvPath) (test.driver.test.drvPath == test.drvPath) ];
    }""")
    assert found["needs"] == [found["driver"]] and found["runs"] in found["command"] and found["own"] == [True, True]
    assert "--interactive" in found["interactive"] and "--interactive" not in found["plain"]
    assert "check-script.py" in found["plain"]


@pytest.mark.parametrize("function", ["runTest", "evalTest"])
def test_a_finished_test_with_the_module_keeps_its_settings(nixpkgs, tmp_path, function):
    module = f"{{ imports = [ {nixpkgs.flake}/nix/test-module.nix ]; hostPkgs = pkgs; testing.agent = false; BODY }}"
    path = write(nixpkgs, tmp_path, "own", f"{{ pkgs, lib, ... }}: ({FRAMEWORK}).{function} {module}")
    command = evaluate(nixpkgs, path, "test: assert test.type == \"derivation\"; test.driver.drvAttrs.buildCommand")
    assert "--add-flags --no-agent" in command


def test_a_path_may_be_a_string(nixpkgs, tmp_path):
    path = write(nixpkgs, tmp_path, "string", STYLES["set"])
    assert evaluate(nixpkgs, f'"{path}"', "test: test.name") == "vm-test-run-styled"


def test_the_old_machine_and_no_name(nixpkgs):
    name = evaluate(nixpkgs, '{ machine = { }; testScript = ""; }', "test: test.driver.name")
    assert name == "nixos-test-driver-unnamed"


@pytest.mark.parametrize("text, names", [
    ("{ runTest, runTestOn }: { a = runTest { BODY }; b = runTestOn [ \"none\" ] { BODY }; }",
     {"a": "styled", "b": {}}),
    ("{ handleTest, handleTestOn }: { a = handleTest ./other.nix { }; b = handleTestOn [ ] ./other.nix { }; }",
     {"a": "styled", "b": {}}),
    ("{ pkgs, ... }: { one = { BODY }; more.two = pkgs.testers.nixosTest { BODY }; other = pkgs.hello; }",
     {"one": "styled", "more": {"two": "styled"}, "other": None}),
    ("{ runTest, callTest, recurseIntoAttrs }: recurseIntoAttrs { a = callTest (runTest { BODY }); }",
     {"a": "styled", "recurseForDerivations": True}),
], ids=["runTest", "handleTest", "mixed", "marked"])
def test_several_tests(nixpkgs, tmp_path, text, names):
    write(nixpkgs, tmp_path, "other", STYLES["runTest"])
    path = write(nixpkgs, tmp_path, "several", text)
    then = """
      let
        of = test: if !builtins.isAttrs test then test
          else if test.type or "" == "derivation" then if test ? shards then test.config.name else null
          else builtins.mapAttrs (_: of) test;
      in of"""
    assert evaluate(nixpkgs, path, then) == names


@pytest.mark.parametrize("file", ["simple.nix", "hostname.nix", "dnsdist.nix", "maddy", "acme-dns.nix", "cntr.nix",
                                  "boot.nix", "avahi.nix", "nfs"])
def test_files_of_nixpkgs(nixpkgs, file):
    path = nixpkgs.tree / "nixos/tests" / file
    if not path.exists():
        pytest.skip(f"this nixpkgs has no nixos/tests/{file}")
    found = evaluate(nixpkgs, path, """
      let
        of = test: if test.type or "" == "derivation" then [ test.name (test ? shards) ]
          else builtins.mapAttrs (_: of) test;
      in of""")
    members = found.values() if isinstance(found, dict) else [found]
    assert members and all(name.startswith("vm-test-run-") and is_ours for name, is_ours in members)


# ---- what is no test


def error(nixpkgs, test):
    with pytest.raises(toolchain.NixError) as caught:
        evaluate(nixpkgs, test, "test: if test ? drvPath then test.drvPath else builtins.deepSeq test null")
    return re.sub(r"\s+", " ", str(caught.value))


@pytest.mark.parametrize("text, words", [
    ("[ { BODY } ]",
     "is no test, but a value of the type list. A test is an attribute set with `nodes' and a `testScript'"),
    ("null", "is no test, but a value of the type null."),
    ("{ }", "is an empty attribute set. A test has at least `nodes' and a `testScript'"),
    ("{ pkgs, ... }: { services.nginx.enable = true; }",
     ", attribute `services.nginx.enable', is no test, but a value of the type bool."),
    ("{ pkgs, ... }: pkgs.hello", "is no test, but the derivation `hello"),
    ("{ pkgs, inputs, ... }: { BODY }",
     "is a function that needs `inputs'. Instead of the file, give makeTest the function "
     "(pkgs: import FILE { inherit pkgs; inputs = "),
    ('{ _type = "configuration"; config.system = { }; }',
     "is no test, but a NixOS system. Make a test of its modules: { name = "),
    ('{ BODY testscript = ""; }', "The option `testscript' does not exist. Definition values: - In `FILE'"),
    ('{ BODY enableOCR = "yes"; }', "option `enableOCR' is not of type `boolean'. Definition values: - In `FILE'"),
], ids=["list", "null", "empty", "configuration", "package", "unknown argument", "system", "unknown option",
        "wrong type"])
def test_what_is_wrong_is_said_with_the_file(nixpkgs, tmp_path, text, words):
    path = write(nixpkgs, tmp_path, "wrong", text)
    message = error(nixpkgs, path)
    assert words.replace("FILE'", f"{path}'") in message and str(path) in message, message


def test_a_missing_file(nixpkgs, tmp_path):
    assert f"makeTest: {tmp_path}/missing.nix does not exist" in error(nixpkgs, tmp_path / "missing.nix")


def test_no_script(nixpkgs):
    message = error(nixpkgs, '{ name = "mute"; nodes.machine = { }; }')
    assert "In test `mute`: - testScript: nothing says what to run; set it, or `testing.testDir`" in message
