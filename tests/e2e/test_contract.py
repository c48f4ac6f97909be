"""The contract with scripts: each file of contract/ is a testScript that checks what it calls, and runs unchanged
under any driver of the upstream family.

    /usr/bin/python3 -m pytest tests/e2e/test_contract.py        on this driver
    make contract PEER='/path/to/another/nixos-test-driver'      on another one

A file begins with comments for this module:

    # vms: NAME=FLAVOUR...   machines: tiny and systemd are real guests, fake is a stand-in for QEMU (none: no machine)
    # vlans: N...            networks, all machines are on them
    # env: NAME=VALUE...     {dir} is the run's directory, {NAME} a machine's start script
    # options: WORD...       for the command line
    # status: N              how the run ends (0)
    # timeout: SECONDS       the global one (300)
    # needs: WORD...         names that not every generation of the contract has: globals, or machines'
                             attributes (.name); another driver without them skips the file
    # ours: WHY              only this driver does it; others skip the file

After that, `#: TEXT` anywhere is a line that the log must have by then, colours removed, after the line of the
`#: TEXT` before; `#! TEXT` is one that must not be between its neighbours. In both, "..." stands for any text, and
"S.SS" for a number of seconds. Before the script comes contract/prologue.py.
"""

import functools
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import harness

DIRECTORY = Path(__file__).parent / "contract"
PEER = shlex.split(os.environ.get("PEER", ""))
PROLOGUE = (DIRECTORY / "prologue.py").read_text()
WORDS = ["vms", "vlans", "env", "options", "needs"]
PROBE = """
print("PROBE", *globals(), *("." + name for name in dir(machine)))
"""


class Script:
    def __init__(self, path):
        self.text = path.read_text()
        header = dict(re.findall(r"^# (\w+): (.*)$", self.text.partition("\n\n")[0], re.M))
        self.ours = header.pop("ours", None)
        if unknown := set(header) - {*WORDS, "status", "timeout"}:
            raise ValueError(f"{path}: unknown in the header: {unknown}")
        self.vms, self.vlans, env, self.options, self.needs = (header.get(word, "").split() for word in WORDS)
        self.env = dict(word.split("=", 1) for word in env)
        self.status, self.timeout = int(header.get("status", 0)), int(header.get("timeout", 300))

    def start_scripts(self, guests, fakes):
        """Makes the start scripts of the file's machines; returns {name: path}."""
        result = {}
        for node, word in enumerate(self.vms, 1):
            name, flavour = word.split("=")
            if flavour == "fake":
                result |= fakes(name)
            else:
                result[name] = getattr(guests, flavour)(name, node, tuple(map(int, self.vlans)))
        return result

    def check_log(self, log):
        """Raises AssertionError for the first expected line that is missing or the first forbidden line that is
        present."""
        place, forbidden = 0, []
        for sign, text in [*re.findall(r"^\s*#([:!]) (.*)$", self.text, re.M), (":", None)]:
            if sign == "!":
                forbidden.append(text)
                continue
            match = pattern(text).search(log, place) if text is not None else None
            assert match or text is None, f"not in the rest of the log: {text}"
            between = log[place:match.start() if match else len(log)]
            for line in forbidden:
                assert not pattern(line).search(between), f"in the log, before {text}: {line}"
            place, forbidden = match.end() if match else place, []


@functools.cache
def pattern(text):
    escaped = re.escape(text).replace(re.escape("..."), ".*").replace(re.escape("S.SS"), r"\d+\.\d\d")
    # Whether this line names the machine differs between generations.
    prefix = r"(?:\S+: )?" if text.startswith("(finished: ") else ""
    return re.compile(f"^{prefix}{escaped}$", re.M)


@functools.cache
def takes_config():
    """Whether the other driver belongs to a generation that takes a configuration file."""
    asked = subprocess.run([*PEER, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return "--config" in asked.stdout


def run(text, vms, **named):
    """Runs a script under the driver that is tested, this one or PEER."""
    if not PEER:
        return harness.run(text, vms, **named)
    status, options = named.pop("status"), named.pop("options")
    if not takes_config():
        # These generations take machines' names from the names of the start scripts.
        lists = {"--start-scripts": vms.values(), "--vlans": named["vlans"], "--global-timeout": [named["global_timeout"]]}
        words = [word for option, values in lists.items() for word in (option, *values)]
        named["arguments"] = ["{dir}/script.py", *words, "-o", "{dir}/out", *options]
    with harness.Run(text, vms, driver=PEER, options=options, **named) as running:
        result = running.finish(leaves_nothing=False)
        if result.status != status:
            running.fail(f"exit status {result.status}, expected {status}")
        return result


@pytest.fixture(scope="module")
def features(fake):
    result = run(PROBE, fake, status=0, options=[], vlans=[], global_timeout=60)
    return set(re.search("^PROBE (.*)$", result.out, re.M)[1].split())


@pytest.mark.parametrize("name", sorted(path.stem for path in DIRECTORY.glob("*.py") if path.stem != "prologue"))
def test_script(name, guests, fakes, features):
    script = Script(DIRECTORY / f"{name}.py")
    if PEER and script.ours:
        pytest.skip(f"only this driver does it: {script.ours}")
    if missing := sorted(set(script.needs) - features):
        assert PEER, f"{name} needs {missing}"
        pytest.skip(f"that driver has no {', '.join(missing)}")
    vms = script.start_scripts(guests, fakes)
    env = {variable: value.format(dir="{dir}", **vms) for variable, value in script.env.items()}
    result = run(PROLOGUE + script.text, vms, vlans=list(map(int, script.vlans)), options=script.options, env=env,
                 status=script.status, global_timeout=script.timeout, seconds=280)
    print(f"--- standard output\n{result.out}\n--- log\n{result.log}")
    script.check_log(result.log)
