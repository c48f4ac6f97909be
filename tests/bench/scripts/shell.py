# Measures the time from the start of the driver until a machine has its shell, and that of its first command, in which
# a driver may prepare what makes the next ones quicker.
import time

from measure import duration, report

machines[0].connect()
shell = time.perf_counter() - float(os.environ["BENCH_BEGAN"])
report({"shell": shell, "first": duration(machines[0].succeed, "true")})
machines[0].crash()
