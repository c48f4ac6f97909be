"""Checks a test script before any machine is built or started: its syntax, its names, its types.

    check-script.py --symbols FILE [--vm NAME]... [--container NAME]... [--vlan NUMBER]... [--skip-lint]
        [--skip-type-check] PATH

PATH is a script, or a directory of Python files. FILE holds the names that every script has, as
generate-driver-symbols writes them. pyflakes checks names and mypy checks types. MYPYPATH must lead to the package
test_driver, whose stubs say what machines can do.

Each fault is printed as `FILE:LINE:COLUMN: what` followed by the line itself. The exit status is 1 when there are
any.
"""

import argparse
import ast
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PRELUDE = "nixos_test_names"

# Names of a script that are not attributes of the driver object: how the prelude declares them.
SPECIAL = {
    "os": "import os",
    "driver": "driver: Driver",
    "log": "log = driver.logger",
    "retry": "from test_driver.machine import retry",
    "BaseMachine": "from test_driver.machine import BaseMachine",
    "QemuMachine": "from test_driver.machine import QemuMachine",
    "NspawnMachine": "from test_driver.machine import NspawnMachine",
    "Machine": "from test_driver.machine import QemuMachine as Machine",
    "create_image_machine": "from test_driver.image_machine import create_image_machine",
}


def prelude_of(symbols, vms, containers, vlans):
    """A Python module that declares what a script finds without importing it."""
    # Where there are machines of one kind only, `machines` can do all that this kind can.
    kinds = [kind for kind, names in (("QemuMachine", vms), ("NspawnMachine", containers)) if names]
    special = SPECIAL | {"machines": f"machines: list[{' | '.join(kinds) or 'QemuMachine'}]"}

    order = sorted(symbols, key=lambda name: name != "driver")  # the lines of other names use it
    lines = ["from test_driver.driver import Driver", "from test_driver.machine import NspawnMachine, QemuMachine",
             "from test_driver.vlan import VLan"]
    lines += [special.get(name, f"{name} = driver.{name}") for name in order]
    lines += [f"{name}: QemuMachine" for name in vms]
    lines += [f"{name}: NspawnMachine" for name in containers]
    lines += [f"vlan{number}: VLan" for number in vlans]
    return "\n".join(lines) + "\n"


class Script:
    def __init__(self, path, name):
        self.name, self.bytes = name, path.read_bytes()
        self.lines = self.bytes.decode(errors="replace").splitlines()

    def fault(self, line, column, what):
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return f"{self.name}:{line}:{column}: {what}\n    {text.strip()}"

    def parse(self):
        """The syntax tree, or None and a fault."""
        try:
            return ast.parse(self.bytes, self.name), None
        except SyntaxError as error:
            return None, self.fault(error.lineno or 0, error.offset or 0, f"SyntaxError: {error.msg}")
        except ValueError as error:  # a NUL byte
            return None, self.fault(1, 1, f"SyntaxError: {error}")


def lint(script, tree, names):
    from pyflakes.checker import Checker

    faults = Checker(tree, script.name, builtins=names).messages
    return [script.fault(fault.lineno, fault.col + 1, fault.message % fault.message_args)
            for fault in sorted(faults, key=lambda fault: (fault.lineno, fault.col))]


def check_types(scripts, prelude):
    """mypy over copies of all scripts, with the prelude in a line before them; one run, since its start takes longest."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, f"{PRELUDE}.py").write_text(prelude)
        copies = {}
        for script in scripts:
            # Copies of a directory keep their names, so that they can import each other.
            name = script.name if len(scripts) > 1 else "script.py"
            copy = Path(directory, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(f"from {PRELUDE} import *\n".encode() + script.bytes)
            copies[name] = script
        command = [sys.executable, "-m", "mypy", "--no-implicit-optional", "--no-color-output", "--no-error-summary",
                   "--show-column-numbers", "--cache-dir=/dev/null", "--explicit-package-bases", *copies]
        done = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    faults = []
    for line in done.stdout.splitlines():
        match = re.match(r"(.+?):(\d+):(?:(\d+):)? (error|note): (.*)", line)
        if match and match[1] in copies and match[4] == "error":
            faults.append(copies[match[1]].fault(int(match[2]) - 1, int(match[3] or 0), match[5]))
        elif not match or match[4] == "error":
            faults.append(line)  # a fault of the prelude or of mypy itself
    if done.returncode and not faults:
        faults.append(f"mypy ended with status {done.returncode}: {done.stdout}")
    return faults


def scripts_of(path):
    if path.is_dir():
        return [Script(file, str(file.relative_to(path))) for file in sorted(path.rglob("*.py"))]
    return [Script(path, path.name)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--symbols", type=Path, required=True)
    parser.add_argument("--vm", action="append", default=[])
    parser.add_argument("--container", action="append", default=[])
    parser.add_argument("--vlan", action="append", default=[])
    parser.add_argument("--skip-lint", action="store_true")
    parser.add_argument("--skip-type-check", action="store_true")
    parser.add_argument("path", type=Path)
    arguments = parser.parse_args()

    symbols = [name for name in arguments.symbols.read_text().strip().split(",") if name]
    machines = arguments.vm + arguments.container
    names = [*symbols, *machines, *(f"vlan{number}" for number in arguments.vlan)]
    parsed, faults = [], []
    for script in scripts_of(arguments.path):
        tree, fault = script.parse()
        if fault:
            faults.append(fault)
            continue
        parsed.append(script)
        if not arguments.skip_lint:
            faults += lint(script, tree, names)
    if parsed and not faults and not arguments.skip_type_check:
        faults = check_types(parsed, prelude_of(symbols, arguments.vm, arguments.container, arguments.vlan))
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print("See the options skipLint and skipTypeCheck of the test.", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
