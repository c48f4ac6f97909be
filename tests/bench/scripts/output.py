# Measures how long much output takes, and whether it arrives whole while three Python threads keep the interpreter
# busy, and while the driver is stopped for two seconds. The root shell's console drops bytes that are not read in time,
# so a driver that reads late loses some.
import hashlib
import os
import subprocess
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
report({"lost": SIZE, "stopped_lost": SIZE})  # counts if the driver does not survive the output


def lost():
    whole = hashlib.sha256(output.encode()).hexdigest() == checksum
    return 0 if whole else max(1, SIZE - len(output))


quiet = duration(receive) / 1e3
stopper = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -STOP {os.getpid()}; sleep 2; kill -CONT {os.getpid()}"])
receive()
stopper.wait()
figures = {"lost": SIZE, "stopped_lost": lost(), "quiet": quiet}
report(figures)
busy = True
for _ in range(3):
    threading.Thread(target=spin, daemon=True).start()
try:
    seconds = duration(receive) / 1e3
finally:
    busy = False
report(figures | {"lost": lost(), "seconds": seconds})
