# How much longer does a command take while a guest floods its serial console? During the first half of the
# flood it is a command in another, idle guest, during the second one in the same guest. Whether all of the
# flood arrived is for the caller to count.
import json
import os
import statistics
import threading
import time

CALM_CALLS = 50
HALF = int(os.environ["BENCH_LINES"]) // 2
# Setting a mode of a terminal waits until all has been sent.
SEND = "> /dev/ttyS0; stty -F /dev/ttyS0 onlcr"

idle, noisy = sorted(machines, key=lambda machine: machine.name)


def duration(machine):
    began = time.perf_counter()
    machine.execute("true")
    return (time.perf_counter() - began) * 1e3


def extra(machine, flood, ongoing):
    calm = statistics.median(duration(machine) for _ in range(CALM_CALLS))
    flood()
    during = [duration(machine)]
    while ongoing():
        during.append(duration(machine))
    return {"median": statistics.median(during) - calm, "max": max(during) - calm}


start_all()
noisy.copy_from_host(os.environ["BENCH_FLOOD"], "/tmp/flood")
first = threading.Thread(target=noisy.execute, args=(f"head -n {HALF} /tmp/flood {SEND}",))
elsewhere = extra(idle, first.start, first.is_alive)
began = time.perf_counter()
same = extra(
    noisy,
    lambda: noisy.succeed(
        f"(tail -n +{HALF + 1} /tmp/flood {SEND}; : > /tmp/over) > /dev/null 2>&1 &"
    ),
    lambda: noisy.execute("test -e /tmp/over")[0] != 0,
)
results = {"seconds": time.perf_counter() - began}
results |= {f"idle_{name}": value for name, value in elsewhere.items()}
results |= {f"same_{name}": value for name, value in same.items()}
with open(os.environ["BENCH_RESULT"], "w") as result:
    json.dump(results, result)
