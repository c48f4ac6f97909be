"""Tests of the Nix files that need no package set."""

import json
import re

import pytest
import toolchain

CODE_WIDTH, PROSE_WIDTH = 100, 120
FILES = [toolchain.ROOT / name for name in
         toolchain.run("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.nix", cwd=toolchain.ROOT).split()]


@pytest.fixture(params=FILES, ids=lambda path: str(path.relative_to(toolchain.ROOT)))
def file(request):
    return request.param


def test_parses(file):
    toolchain.run("nix-instantiate", "--parse", file)


def test_layout(file):
    """The files have no layout that nixfmt would change in any case; the flake's check `formatting` runs nixfmt
    itself."""
    text = file.read_text()
    assert text.endswith("\n") and not text.endswith("\n\n")
    in_string = in_comment = False
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{file.name}:{number}: {line!r}"
        assert "\t" not in line and line == line.rstrip(), where
        assert (len(line) - len(line.lstrip(" "))) % 2 == 0 or in_string, where
        is_comment = in_comment or line.lstrip().startswith(("#", "/*"))
        in_comment = is_comment and not line.lstrip().startswith("#") and "*/" not in line
        in_string ^= line.count("''") % 2 == 1 and not is_comment
        assert len(line) <= (PROSE_WIDTH if is_comment else CODE_WIDTH) or in_string or '"' in line, where


def test_lock_is_what_the_flake_asks_for():
    lock = json.loads((toolchain.ROOT / "flake.lock").read_text())
    assert lock["version"] == 7 and lock["nodes"]["root"]["inputs"] == {"nixpkgs": "nixpkgs"}
    node = lock["nodes"]["nixpkgs"]
    url = re.search(r'nixpkgs\.url = "github:(.+)/(.+)/(.+)"', (toolchain.ROOT / "flake.nix").read_text())
    assert node["original"] == {"type": "github", "owner": url[1], "repo": url[2], "ref": url[3]}
    locked = node["locked"]
    assert (locked["owner"], locked["repo"], locked["type"]) == ("NixOS", "nixpkgs", "github")
    assert re.fullmatch(r"[0-9a-f]{40}", locked["rev"]) and re.fullmatch(r"sha256-[A-Za-z0-9+/]{43}=", locked["narHash"])
    assert isinstance(locked["lastModified"], int)


# ---- nix/integrity.nix, with the few functions of lib that it needs

LIB = """{
  inherit (builtins) all elem filter;
  replaceStrings = builtins.replaceStrings;
}"""
SOUND = """{
  networking.firewall = { enable = true; allowedTCPPorts = [ ]; };
  services.openssh = {
    enable = true; openFirewall = true; ports = [ 22 ];
    settings = { PasswordAuthentication = false; PermitRootLogin = "no"; };
  };
  users.users.alice = { isNormalUser = true; extraGroups = [ "docker" ]; };
  virtualisation.docker.enable = true;
  systemd.services.docker = { };
  fileSystems."/" = { };
  system.stateVersion = "26.05";
  assertions = [ ];
}"""


def wrong(changes=""):
    """Returns {requirement: hint}, of the requirements that a good configuration with some attributes replaced does not
    meet."""
    expression = f"""
      let
        merge = a: b: a // builtins.mapAttrs (n: v: if builtins.isAttrs v && builtins.isAttrs (a.${{n}} or null)
          && v != {{ }} then merge a.${{n}} v else v) b;
      in import {toolchain.ROOT}/nix/integrity.nix {{ lib = {LIB}; config = merge {SOUND} {{ {changes} }}; }}"""
    entries = json.loads(toolchain.run("nix-instantiate", "--eval", "--strict", "--json", "--expr", expression))
    return {entry["what"]: entry["hint"] for entry in entries if not entry["ok"]}


def test_nothing_is_wrong_with_a_sound_configuration():
    assert wrong() == {}


@pytest.mark.parametrize("changes, what, hint", [
    ("services.openssh.enable = false;", "SSH is on", "services.openssh.enable = true"),
    ("services.openssh.openFirewall = false;", "SSH can be reached", "networking.firewall.allowedTCPPorts"),
    ("services.openssh.settings.PasswordAuthentication = true;", "SSH takes keys only", "PasswordAuthentication = false"),
    ('services.openssh.settings.PermitRootLogin = "yes";', "root cannot log in by SSH", "PermitRootLogin"),
    ("users.users = { };", "there is a user alice who can log in", "users.users.alice.isNormalUser"),
    ("users.users.alice.extraGroups = [ ];", "alice may use Docker", "users.users.alice.extraGroups"),
    ("virtualisation.docker.enable = false;", "Docker is on", "virtualisation.docker.enable = true"),
    ("systemd.services = { };", "Docker starts", "docker.service"),
    ("fileSystems = { };", "there is a root file system", 'fileSystems."/"'),
    ('system.stateVersion = "";', "the release that the state belongs to is fixed", "system.stateVersion"),
    ('assertions = [ { assertion = false; message = "no\\nroot"; } ];', "an assertion of NixOS", "no root"),
])
def test_what_is_wrong_is_named(changes, what, hint):
    found = wrong(changes)
    assert hint in found[what]
    assert set(found) - {what} <= {"alice may use Docker"}  # a user that does not exist may not either


def test_ports_opened_by_hand_are_enough():
    assert wrong("services.openssh.openFirewall = false; networking.firewall.allowedTCPPorts = [ 22 ];") == {}
    assert wrong("services.openssh.openFirewall = false; networking.firewall.enable = false;") == {}



# ---- the examples in Nix of the READMEs


def readme(name):
    return (toolchain.ROOT / name).read_text()


def test_the_readme_of_nix():
    text = readme("nix/README.md")
    titles = ["Try it on one test", "Switch a whole flake", "Options of the module", "Write pytest style", "Boot once",
              "Test a boot image", "Use containers", "Debug interactively", "Go back", "The checks of this flake"]
    assert re.findall(r"^## (.+)", text, re.M) == titles
    options = re.findall(r"^    (\w+) = mkOption", readme("nix/test-module.nix"), re.M)
    assert len(options) >= 8 and [name for name in options if f"| `testing.{name}` |" not in text] == []
    for path in (toolchain.ROOT / "nix").iterdir():
        assert f"`{path.name}{'/' * path.is_dir()}`" in text or path.name in ("README.md", "checks", "checks-module.nix")


@pytest.mark.parametrize("name", ["README.md", "nix/README.md"])
def test_the_examples_parse(name):
    """An example is an expression, or the definitions of an attribute set."""
    blocks = re.findall(r"```nix\n(.*?)```", readme(name), re.S)
    assert blocks
    for block in blocks:
        body = block if block.startswith("test.extend") else f"{{ {block} }}"
        toolchain.run("nix-instantiate", "--parse", "--expr", f"names: with names; {body}")
