"""Runs sessions of pytest with the plugin for boot images, begun by the driver or by plain pytest, in a project that
consists of the `files` {name: text} of the test. Programs that the project finds in PATH are in `bin`."""

import os
import re
import sys

import harness

ADDED = 'pytest_plugins = ["test_driver_pytest.boot_image"]\n'
SOURCE = harness.ROOT / "embed/py"

# A nix that writes its arguments to a file and makes a result with the files that FAKE_NIX_RESULT names. It fails with
# FAKE_NIX_STATUS, and does not end with FAKE_NIX_HANGS.
NIX = r"""#!/bin/sh
[ "$1" = --version ] && { echo "nix (Nix) 2.18.1"; exit; }
printf '%s\n' "$@" >>"$FAKE_NIX_DIR/words"
echo "building the image" >&2
[ -z "$FAKE_NIX_HANGS" ] || exec sleep 1000
[ -z "$FAKE_NIX_STATUS" ] || { echo "error: no such attribute" >&2; exit "$FAKE_NIX_STATUS"; }
while [ "$1" != --out-link ]; do shift; done
for file in $FAKE_NIX_RESULT; do
	mkdir -p "$(dirname "$FAKE_NIX_DIR/store/$file")"
	echo image >"$FAKE_NIX_DIR/store/$file"
done
ln -s "$FAKE_NIX_DIR/store" "$2"
"""


class Session(harness.Run):
    """how: "driver" or "plain". words: pytest's arguments. nix: whether PATH has the fake nix."""

    def __init__(self, how, files, *words, nix=True, env=None, driver=None, **named):
        plain = how == "plain"
        arguments = [*words, "-v"] if plain else ["--pytest", "-o", "{dir}/out", "--", *words, "-v"]
        driver = driver or ((sys.executable, "-m", "pytest") if plain else (harness.DRIVER,))
        env = {"NIXOS_TEST_DRIVER_OUTPUT": "{dir}/out", "NIXOS_TEST_DRIVER": harness.DRIVER, "FAKE_NIX_DIR": "{dir}/nix",
               "FAKE_NIX_RESULT": "iso/x.iso", "PATH": f"{{dir}}/bin:{os.environ['PATH']}", **(env or {})}
        if plain:
            env.setdefault("PYTHONPATH", SOURCE)
        super().__init__("", arguments=arguments, driver=driver, env=env, **named)
        (self.directory / "script.py").unlink()
        for name in ("bin", "nix"):
            (self.directory / name).mkdir()
        if nix:
            self.program("nix", NIX)
        for name, text in {"conftest.py": ADDED, **files}.items():
            (self.directory / name).parent.mkdir(exist_ok=True)
            (self.directory / name).write_text(text)

    def program(self, name, text):
        path = self.directory / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def finish(self, *arguments, **named):
        result = super().finish(*arguments, **named)
        result.outcomes = dict(re.findall(r"^\S*?::(\S+) (PASSED|FAILED|ERROR|SKIPPED)\b", result.out, re.M))
        words = self.directory / "nix/words"
        result.nix = words.read_text().splitlines() if words.exists() else []
        return result


def run(how, files, *words, status=0, **named):
    """Does a whole session, which must end with this exit status."""
    with Session(how, files, *words, **named) as session:
        result = session.finish()
        if result.status != status:
            session.fail(f"exit status {result.status}, expected {status}")
        return result

# A conftest.py whose machine is a fake one (tests/fake), with the root shell in the place of SSH. It notes what
# create_image_machine() is called with.
FAKE_MACHINE = ADDED + f"""
import json, pathlib, sys, types
import pytest

if "_test_driver" in sys.builtin_module_names:
    from _test_driver import current_driver
    from test_driver import image_machine, test_vm

    class Machine(test_vm.TestVM):
        ssh_port = 4242

        @property
        def disk_paths(self):
            return [self.state_dir / f"disk{{number}}" for number, _ in enumerate(self.disks)]

        def start(self, allow_reboot=True):
            super().start(allow_reboot)
            for path in self.disk_paths:
                path.write_bytes(bytes(1000))

    def create_image_machine(iso=None, **options):
        assert pathlib.Path(iso).is_file() and options.pop("start") is False
        pathlib.Path("options.json").write_text(json.dumps({{**options, "iso": str(iso)}}, default=str))
        vm = Machine(current_driver(), "boot-image-1", "{harness.ROOT}/tests/fake/run-fake-vm")
        vm.disks = options["disks"]
        return vm

    image_machine.create_image_machine = create_image_machine

@pytest.fixture(scope="session")
def boot_image_options():
    return OPTIONS
"""


def fake_machine(**options):
    """The project's files for sessions with the fake machine. options: what boot_image_options returns."""
    return {"conftest.py": FAKE_MACHINE.replace("OPTIONS", repr(options)), "image.iso": "not really an image"}
