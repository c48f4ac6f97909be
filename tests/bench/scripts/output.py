# Measures whether much output arrives whole while three Python threads keep the interpreter busy. The root
# shell's console drops bytes that are not read in time, so a driver that reads late loses some.
import hashlib
import threading

from measure import duration, report

RANDOM, SIZE = 15_000_000, 20_000_000  # bytes before and after base64
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
report({"lost": SIZE})  # counts if the driver does not survive the output

busy = True
for _ in range(3):
    threading.Thread(target=spin, daemon=True).start()
try:
    seconds = duration(receive) / 1e3
finally:
    busy = False
whole = hashlib.sha256(output.encode()).hexdigest() == checksum
report({"lost": 0 if whole else max(1, SIZE - len(output)), "seconds": seconds})
