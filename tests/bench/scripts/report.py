# Measures a run of commands, and of lines on the console: its time, and the processor time and the peak memory of the
# driver. ../rows.py does this with and without a report.
import re
import time

from measure import report

COMMANDS, LINES = 150, 20_000
machine = machines[0]

machine.succeed("true")
began, used = time.perf_counter(), time.process_time()
for _ in range(COMMANDS):
    machine.succeed("echo a line of output; echo a line of the console > /dev/ttyS0")
machine.succeed(f"seq 1 {LINES} | sed 's/$/ is the number of this line/' > /dev/ttyS0; stty -F /dev/ttyS0 onlcr")
figures = {"seconds": time.perf_counter() - began, "used": time.process_time() - used}
memory = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
report(figures | {"memory": memory / 1000})
