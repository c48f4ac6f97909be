# Does much output arrive whole while three Python threads keep the interpreter busy? The root shell's
# console drops what is not read in time, so a driver that reads in Python loses some.
import hashlib
import json
import os
import threading
import time

RANDOM_BYTES = 15_000_000  # 20 MB in base64
machine = machines[0]


def report(**results):
    with open(os.environ["BENCH_RESULT"], "w") as result:
        json.dump(results, result)


def spin():
    while busy:
        pass


machine.succeed(f"head -c {RANDOM_BYTES} /dev/urandom | base64 -w 0 > /tmp/data")
expected = machine.succeed("sha256sum < /tmp/data").split()[0]
report(complete=0)  # what holds if the driver never gets to the end of it

busy = True
for _ in range(3):
    threading.Thread(target=spin, daemon=True).start()
began = time.perf_counter()
try:
    status, output = machine.execute("cat /tmp/data")
    complete = status == 0 and hashlib.sha256(output.encode()).hexdigest() == expected
finally:
    busy = False
report(complete=int(complete), seconds=time.perf_counter() - began)
