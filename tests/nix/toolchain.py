"""Nix for the tests of this directory.

Most tests need a package set. It comes from one of

- NIXPKGS: a nixpkgs tree;
- NIXPKGS_LIB and NIXOS: the `lib` and `nixos` folders of one, which a tool that is no part of this project completes by
  stubs of packages. STUB_PACKAGES is its directory, with the programs `mkroot` (makes the tree) and `env.sh` (sets
  Nix up for it).

Nothing is fetched: what a derivation needs from outside has to be in the store already, or to be a stub.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
EXPERIMENTAL = "experimental-features = nix-command flakes"


class NixError(Exception):
    pass


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=900, **options)
    if done.returncode:
        raise NixError(done.stderr)
    return done.stdout


def stub_packages():
    """Returns STUB_PACKAGES, or None."""
    directory = os.environ.get("STUB_PACKAGES")
    return Path(directory) if directory else None


def has_package_set():
    return bool(os.environ.get("NIXPKGS") or (os.environ.get("NIXPKGS_LIB") and os.environ.get("NIXOS")))


class Toolchain:
    """Nix with a package set. `tree`: the nixpkgs tree. `flake`: a copy of this project as a flake."""

    def __init__(self, directory):
        self.flake = directory / "flake"
        self.copy_sources()
        if os.environ.get("NIXPKGS"):
            self.tree = Path(os.environ["NIXPKGS"]).resolve()
        else:
            if not stub_packages():
                raise NixError("NIXPKGS_LIB and NIXOS need the tool that completes them: STUB_PACKAGES=DIR")
            self.tree = directory / "nixpkgs"
            run(stub_packages() / "mkroot", "--lib", os.environ["NIXPKGS_LIB"], "--nixos", os.environ["NIXOS"],
                "--names", self.flake, self.tree)

    def copy_sources(self):
        """Copies the files that Git tracks, in their present state, which are also what a flake in a repository
        consists of."""
        for name in run("git", "ls-files", cwd=ROOT).splitlines():
            if (ROOT / name).is_file():
                target = self.flake / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)

    def nix(self, program, *arguments):
        if stub_packages() and not os.environ.get("NIXPKGS"):
            start = f'. "{stub_packages()}/env.sh"; program=$1; shift; exec "$nixbin/$program" "$@"'
            return run("bash", "-c", start, "bash", program, *arguments)
        return run(program, *arguments, env={**os.environ, "NIX_CONFIG": "\n".join([os.environ.get("NIX_CONFIG", ""), EXPERIMENTAL])})

    def nix_flake(self, *arguments, flake=None):
        override = ["--offline", "--no-write-lock-file", "--override-input", "nixpkgs", f"path:{self.tree}"]
        words = [str(word).replace("FLAKE", f"path:{flake or self.flake}") for word in arguments]
        return self.nix("nix", *words, *override)

    def arguments(self, test, file, tree=None, overlay=False, containers=False):
        path = self.flake.parent / "test.nix"
        path.write_text(test)
        words = {"root": tree or self.tree, "test": path, "file": json.dumps(file), "overlay": json.dumps(overlay),
                 "containers": json.dumps(containers)}
        return [self.flake / "tests/nix/evaluate.nix", *(word for name in words for word in ("--arg", name, words[name]))]

    def evaluate(self, test, attribute, file=False, **options):
        """Returns an attribute of evaluate.nix' result for a test, given as a Nix expression."""
        return json.loads(self.nix("nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode",
                                   *self.arguments(test, file, **options), "-A", attribute))

    def build(self, test, attribute="driver", file=False, **options):
        """Builds the derivation and returns the path of its output."""
        return Path(self.nix("nix-build", "--no-out-link", *self.arguments(test, file, **options), "-A", attribute).strip())
