# Times of `execute` and `succeed` with a command that does nothing. They take turns, so that both see the
# same machine.
import statistics

from measure import duration, report

BLOCKS, CALLS = 5, 30
machine = machines[0]

samples = {"execute": [], "succeed": []}
machine.succeed("true")
for _ in range(BLOCKS):
    for name, collected in samples.items():
        method = getattr(machine, name)
        collected.extend(duration(method, "true") for _ in range(CALLS))
report({name: statistics.median(collected) for name, collected in samples.items()})
