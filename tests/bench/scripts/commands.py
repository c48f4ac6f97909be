# Measures `execute` and `succeed` with a command that does nothing. The two calls take turns, so that both
# see the same load of the host, and so do the drivers that are compared.
import statistics

from measure import Turn, duration, report

BLOCKS, CALLS = 15, 10
machine = machines[0]

samples = {"execute": [], "succeed": []}
with Turn():
    machine.succeed("true")
for _ in range(BLOCKS):
    with Turn():
        for name, collected in samples.items():
            method = getattr(machine, name)
            collected.extend(duration(method, "true") for _ in range(CALLS))
report({name: statistics.median(collected) for name, collected in samples.items()})
