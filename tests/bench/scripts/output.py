# Does much output arrive whole while three Python threads keep the interpreter busy? The root
# shell's console drops what is not read in time, so a driver that is late to read loses some.
import hashlib
import threading

from measure import duration, report

RANDOM, SIZE = 15_000_000, 20_000_000  # before and after base64
machine = machines[0]
output = ""


def spin():
    while busy:
        pass


def receive():
    global output
    status, output = machine.execute("cat /tmp/data")
    assert status == 0


machine.succeed(f"head -c {RANDOM} /dev/urandom | base64 -w 0 > /tmp/data")
checksum = machine.succeed("sha256sum < /tmp/data").split()[0]
report({"lost": SIZE})  # what holds if the driver does not get over it

busy = True
for _ in range(3):
    threading.Thread(target=spin, daemon=True).start()
try:
    seconds = duration(receive) / 1e3
finally:
    busy = False
whole = hashlib.sha256(output.encode()).hexdigest() == checksum
report({"lost": 0 if whole else max(1, SIZE - len(output)), "seconds": seconds})
