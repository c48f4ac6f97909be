"""From pytest that was started by hand to the same session inside the driver.

The fixtures of `boot_image` need the module _test_driver, which only the driver's process has. start_driver() runs in a
process of plain pytest: it replaces the process by `nixos-test-driver --pytest` with the same arguments. adopt() runs
in the driver: it makes the packages of the first interpreter, such as those of a virtual environment, importable. pytest
may be one of them, so this module does not import it. `run` and `boot_image` import this module.
"""

import json
import os
import shutil
import site
import sys
import sysconfig
import types
from pathlib import Path

DRIVER_VARIABLE = "NIXOS_TEST_DRIVER"  # the driver's path
OUTPUT_VARIABLE = "NIXOS_TEST_DRIVER_OUTPUT"  # the directory for what the driver writes
OUTPUT = ".nixos-test-driver"  # its default, in pytest's root directory
PLAIN_VARIABLE = "NTD_PLAIN_PYTEST"  # tells the driver of the first interpreter: JSON, see _description()
PROGRAM = "nixos-test-driver"


class CannotStart(Exception):
    """The session cannot go on in the driver; the message says why."""


def is_inside_driver():
    """Whether this process is the driver."""
    return "_test_driver" in sys.builtin_module_names


# ---- in the process of plain pytest


def _places():
    """Yields (what it is called in messages, path) of each place where the driver may be. What belongs to this file
    comes before PATH, so that plugin and driver have the same version."""
    here = Path(__file__).absolute()
    for file in dict.fromkeys((here, here.resolve())):
        for what, place in (("the installation that the plugin belongs to", "../../../../bin"),
                            ("the build of the plugin's source tree", "../../../build")):
            yield what, Path(os.path.normpath(file.parent / place / PROGRAM))
    found = shutil.which(PROGRAM)
    yield "PATH", Path(found) if found else None


def find_driver():
    """Returns the path of the driver's program. CannotStart with all the places if none has it."""
    given = os.environ.get(DRIVER_VARIABLE)
    if given:
        if shutil.which(given):
            return shutil.which(given)
        raise CannotStart(f"the environment variable {DRIVER_VARIABLE} names no program: {given}")
    places = list(_places())
    for _, path in places:
        if path and os.access(path, os.X_OK):
            return str(path)
    looked = "".join(f"\n  {what}{f': {path}' if path else ''}" for what, path in places)
    raise CannotStart(f"the fixtures for boot images need the program {PROGRAM}, which is in none of these "
                      f"places:\n  the environment variable {DRIVER_VARIABLE} (not set){looked}")


def _description():
    """What adopt() needs: the version and the program of this interpreter, and where it finds modules besides the
    standard library."""
    paths = sysconfig.get_paths()
    standard = {paths["stdlib"], paths["platstdlib"]}
    standard |= {os.path.join(path, "lib-dynload") for path in standard}
    kept = [os.path.abspath(path) for path in sys.path if path not in standard and not path.endswith(".zip")]
    return {"version": sys.version_info[:2], "program": sys.executable, "path": list(dict.fromkeys(kept))}


def _words(config):
    """The command line of this session, with plugins that pytest.main() was given as options. CannotStart for a plugin
    that is an object, which another process cannot have."""
    words = []
    for plugin in config.invocation_params.plugins or ():
        name = plugin.__name__ if isinstance(plugin, types.ModuleType) else plugin
        if not isinstance(name, str):
            raise CannotStart(f"the session goes on in {PROGRAM}, where the plugin {plugin!r} cannot be; start "
                              f"pytest by its command line, or by {PROGRAM} --pytest")
        words += ["-p", name]
    return [*words, *map(str, config.invocation_params.args)]


def _output_directory(config):
    """Makes the directory for what the driver writes, and returns its path. Version control ignores the default."""
    given = os.environ.get(OUTPUT_VARIABLE)
    path = Path(config.invocation_params.dir, given) if given else Path(config.rootpath, OUTPUT)
    path.mkdir(parents=True, exist_ok=True)
    if not given and not (path / ".gitignore").exists():
        (path / ".gitignore").write_text("*\n", encoding="ascii")
    return path


def start_driver(config):
    """Replaces this process by the driver, which runs the same session. config: pytest's, whose options have been
    parsed. Does not return; CannotStart if there is no driver."""
    command = [find_driver(), "--output_directory", str(_output_directory(config)), "--pytest", "--", *_words(config)]
    capture = config.pluginmanager.get_plugin("capturemanager")
    if capture:
        capture.stop_global_capturing()  # gives back standard input, output and error
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[PLAIN_VARIABLE] = json.dumps(_description())
    os.chdir(config.invocation_params.dir)
    os.execv(command[0], command)


# ---- in the driver


def adopt():
    """Makes what the first interpreter could import importable here, before what the driver's own Python has. Returns
    why that is not possible, or None. Does nothing in a session that the driver itself has begun."""
    text = os.environ.pop(PLAIN_VARIABLE, None)
    if not text:
        return None
    plain = json.loads(text)
    if tuple(plain["version"]) != sys.version_info[:2]:
        theirs = ".".join(map(str, plain["version"]))
        ours = ".".join(map(str, sys.version_info[:2]))
        return (f"pytest was started by Python {theirs} ({plain['program']}), but {PROGRAM} is linked with Python "
                f"{ours} ({sys.executable}), which cannot use the same packages: start pytest by {sys.executable}, or "
                f"name a driver for Python {theirs} in {DRIVER_VARIABLE}")
    own, known = sys.path[:1], set(sys.path[1:])  # the driver's package stays first
    sys.path[:] = [*own, *(path for path in plain["path"] if path not in own), *(
        path for path in sys.path[1:] if path not in plain["path"])]
    for path in plain["path"]:
        if path not in known and os.path.basename(path) in ("site-packages", "dist-packages"):
            site.addsitedir(path)  # for the .pth files in it
    sys.executable = plain["program"]
    return None
