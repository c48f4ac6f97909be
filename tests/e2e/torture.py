#!/usr/bin/python3
"""Kills the agent, the root shell and QEMU at random moments, and checks what must hold: see torture_script/kills.py.

    torture.py [--seed SEED] [--kills N] [--guest fake|tiny|both] [--first N] [--faults N]

Prints a line for each kill. The exit status is 1 when something did not hold; the line then says at which kill, and
`--seed SEED --guest GUEST --first NUMBER --kills 1` plans the same one again. `both`, the default, is the fake
guest for nine kills of ten, since it is quick, and the tiny guest for the others.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

PARTS = "common", "guests", "operations", "kills"
SCRIPT = "\n\n".join((Path(__file__).parent / f"torture_script/{part}.py").read_text() for part in PARTS)


def run(vms, guest, seed, kills, first=1, faults=1, seconds=None, **named):
    """Returns the Result of a run of the driver with so many kills, which ends after so many faults."""
    settings = {"guest": guest, "seed": seed, "kills": kills, "first": first, "faults": faults}
    seconds = seconds or 120 + kills * (10 if guest == "fake" else 40)
    return harness.run(harness.PROCESSES + SCRIPT, vms, status=None, seconds=seconds, global_timeout=seconds,
                       env={"TORTURE": json.dumps(settings)}, **named)


def start_scripts(guest, directory):
    if guest == "tiny":
        command = [harness.ROOT / "tests/guests/make-vm", "--out", directory, "tiny", "machine"]
        return {"machine": subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split()[-1]}
    script = Path(directory, "run-machine-vm")
    script.symlink_to(harness.ROOT / "tests/fake/run-fake-vm")
    return {"machine": str(script)}


def torture(guest, kills, options):
    """Returns whether everything held."""
    print(f"seed {options.seed}, kills {options.first} to {options.first + kills - 1}, {guest} guest", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        result = run(start_scripts(guest, directory), guest, options.seed, kills, options.first, options.faults)
    print("\n".join(result.lines), flush=True)
    if result.status:
        print(result.log[-5000:], flush=True)
    return not result.status


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", default="1")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--guest", choices=["fake", "tiny", "both"], default="both")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--faults", type=int, default=1, help="the run ends after so many")
    options = parser.parse_args()
    shares = {"fake": options.kills - options.kills // 10, "tiny": options.kills // 10}
    if options.guest != "both":
        shares = {options.guest: options.kills}
    held = [torture(guest, kills, options) for guest, kills in shares.items() if kills]
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
