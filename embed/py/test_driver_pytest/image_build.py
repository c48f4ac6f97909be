"""The boot image that `boot_image` tests: built by Nix, or given as a file; and the programs that this needs.

Failures are BootImageFailure: their texts say what is missing, and which package or variable is concerned. Only the
main thread uses this module.
"""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

ISO_VARIABLE = "BOOT_IMAGE_ISO"  # a given image
TAIL = 30  # lines of a log or console in a message

# {variable: seconds if it is not set}
TIMEOUTS = {
    "BOOT_IMAGE_BUILD_TIMEOUT": 7200,  # nix build
    "BOOT_IMAGE_VM_SPAWN_TIMEOUT": 900,  # QEMU starts, and the console shows a login prompt
    "BOOT_IMAGE_VM_LOGIN_TIMEOUT": 300,  # then SSH can be used
}

# {program: what has it}
PACKAGES = {
    "nix": "the package nix-bin of Debian, or https://nixos.org/download",
    "ssh": "the package openssh-client of Debian, openssh of nixpkgs",
    "ssh-keygen": "the package openssh-client of Debian, openssh of nixpkgs",
}


class BootImageFailure(Exception):
    """The boot image cannot be tested; the message says why."""


def seconds_of(variable):
    """The time-out of that name, in seconds. BootImageFailure if the variable is set to something else than a number
    above 0."""
    text = os.environ.get(variable)
    if not text:
        return TIMEOUTS[variable]
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 1e9:
        raise BootImageFailure(f"environment variable {variable}: {text!r} is not a number of seconds above 0")
    return seconds


def executable(name, package=None):
    """The path of a program. package: what has it; default: see PACKAGES. BootImageFailure if PATH has it not."""
    found = shutil.which(name)
    if not found:
        raise BootImageFailure(f"the program {name} is missing: no directory in PATH has it ({package or PACKAGES[name]})")
    return Path(found)


def qemu(arch=None):
    """The path of the QEMU for an architecture, as create_image_machine() names it; default: the host's.
    BootImageFailure if PATH has it not, or if the architecture is not known."""
    from test_driver.vm_image import ARCHES, arch_name  # which plain pytest has not

    try:
        found = ARCHES[arch_name(arch)]
    except ValueError as error:
        raise BootImageFailure(f"boot_image_options: {error}") from None
    return executable(found.qemu, f"the package {found.package} of Debian, qemu of nixpkgs")


@dataclass(frozen=True)
class BootImageBuild:
    """The image and where it is from.

    iso: the path of the ISO. out: what Nix has built, a path in the store; None for a given image. build_seconds: how
    long the build took, 0.0 for a given image. metadata: {name: str or int} for reports: `source`, `iso_bytes`, and of
    a build `command`, `attribute`, `nix_version`, `log`.
    """

    iso: Path
    out: Path | None = None
    build_seconds: float = 0.0
    metadata: dict = field(default_factory=dict)


def find_iso(out):
    """The only ISO of a build: `out` itself, in iso/ below it, or anywhere below it. BootImageFailure for none or
    several."""
    if out.is_file() and out.suffix == ".iso":
        return out
    found = sorted(out.glob("iso/*.iso"))
    if not found:
        found = sorted(Path(folder, name) for folder, _, names in os.walk(out.resolve()) for name in names
                       if name.endswith(".iso"))
    if len(found) != 1:
        what = ", ".join(map(str, found)) or "none"
        raise BootImageFailure(f"one ISO was expected in what was built, {out} (iso/*.iso, or elsewhere in it): {what}")
    return found[0]


def given_image(path, origin):
    """A BootImageBuild of a file that exists. origin: what names it, for messages."""
    path = Path(path).absolute()
    if not path.is_file():
        raise BootImageFailure(f"{origin}: there is no file {path}")
    return BootImageBuild(path, metadata={"source": origin, "iso_bytes": path.stat().st_size})


def _tail(path):
    return "".join(f"\n  {line}" for line in path.read_text(errors="replace").splitlines()[-TAIL:])


def _run(command, directory, log, limit):
    """Runs a program whose output goes to a file. Returns its exit status; None: it did not end within `limit`
    seconds, and has been ended."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:  # also after Ctrl-C. SIGTERM has Nix stop its builders
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _version(nix):
    """The first version number that `nix --version` prints, or its whole answer."""
    said = subprocess.run([nix, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    match = re.search(r"\d+(?:\.\w+)+", said.stdout)
    return match[0] if match else said.stdout.strip()


def build_image(nix, attribute, directory, link, log):
    """Builds the image and returns a BootImageBuild.

    nix: the program. attribute: what to build, such as ".#bootImage". directory: where the flake is, or below. link: a
    path for Nix' link to the result, which keeps the garbage collector from it. log: a path for the output of the build.
    BootImageFailure, with the end of the log, if the build fails or takes too long (BOOT_IMAGE_BUILD_TIMEOUT).
    """
    command = [str(nix), "--extra-experimental-features", "nix-command flakes", "build", "--print-build-logs",
               "--out-link", str(link), attribute]
    shown, limit, began = f"nix build {attribute}", seconds_of("BOOT_IMAGE_BUILD_TIMEOUT"), time.monotonic()
    status = _run(command, directory, log, limit)
    seconds = time.monotonic() - began
    if status is None:
        raise BootImageFailure(f"BOOT_IMAGE_BUILD_TIMEOUT: {shown} did not end within {limit:g} s; the end of its log, "
                               f"{log}:{_tail(log)}")
    if status:
        raise BootImageFailure(f"{shown} failed with status {status} in {directory}; the end of its log, {log}:"
                               f"{_tail(log)}")
    iso = find_iso(link)
    return BootImageBuild(iso, link.resolve(), round(seconds, 3), {
        "source": shown, "iso_bytes": iso.stat().st_size, "command": " ".join(command), "attribute": attribute,
        "nix_version": _version(nix), "log": str(log)})
