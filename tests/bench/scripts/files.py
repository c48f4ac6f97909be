# Measures copies of files to the guest. They take turns with those of the drivers that are compared.
import os
import pathlib
import statistics
import tempfile

from measure import Turn, duration, report

ROUNDS = 5
machine = machines[0]
work = pathlib.Path(tempfile.mkdtemp())
(work / "small").write_bytes(os.urandom(90_000))
(work / "large").write_bytes(os.urandom(50_000_000))

samples = {"shell": [], "large": []}
with Turn():
    machine.succeed("true")
for _ in range(ROUNDS + 1):
    with Turn():
        samples["shell"].append(duration(machine.copy_from_host_via_shell, str(work / "small"), "/tmp/small"))
    with Turn():
        samples["large"].append(duration(machine.copy_from_host, str(work / "large"), "/tmp/large"))
        machine.succeed("rm /tmp/large")
report({name: statistics.median(collected[1:]) for name, collected in samples.items()})
