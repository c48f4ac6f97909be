# Times of `execute` and `succeed` with a command that does nothing. They take turns, so that both see the
# same machine.
import json
import os
import statistics
import time

BLOCKS, CALLS = 5, 30
machine = machines[0]


def times(method):
    for _ in range(CALLS):
        began = time.perf_counter()
        method("true")
        yield (time.perf_counter() - began) * 1e3


samples = {"execute": [], "succeed": []}
machine.succeed("true")
for _ in range(BLOCKS):
    for name, collected in samples.items():
        collected.extend(times(getattr(machine, name)))

with open(os.environ["BENCH_RESULT"], "w") as result:
    json.dump({name: statistics.median(collected) for name, collected in samples.items()}, result)
