# Measures commands in threads: many short ones on three machines, a thread each, and four that only wait, at the same
# time on one machine. A driver that mixes up commands of several threads never completes the four.
import math
import threading
import time

from measure import duration, report

ROUNDS, COMMANDS = 3, 50
SLEEPERS, SLEEP, PATIENCE = 4, "sleep 1", 20


def together(functions, seconds=None):
    """Calls functions in a thread each. Returns whether all have returned in time."""
    returned = []
    threads = [threading.Thread(target=lambda f=f: returned.append(f()), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    end = seconds and time.monotonic() + seconds
    for thread in threads:
        thread.join(end and max(0, end - time.monotonic()))
    return len(returned) == len(threads)


def commands(machine):
    for _ in range(COMMANDS):
        machine.succeed("true")


def sleep():
    assert machines[0].execute(SLEEP)[0] == 0


def sleepers():
    return together([sleep] * SLEEPERS, PATIENCE)


start_all()
for machine in machines:
    machine.succeed("true")
three = [duration(together, [lambda m=machine: commands(m) for machine in machines]) / 1e3 for _ in range(ROUNDS)]
began = time.perf_counter()
report({"commands": min(three), "sleepers": time.perf_counter() - began if sleepers() else math.inf})
