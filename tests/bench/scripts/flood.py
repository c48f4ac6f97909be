# Measures how much longer a command takes while a guest floods its serial console. During the first half
# of the flood the command runs in another, idle guest, during the second half in the same guest.
# ../rows.py counts whether all of the flood has arrived.
import statistics
import threading

from measure import duration, report

CALM_CALLS = 50
HALF = int(os.environ["BENCH_LINES"]) // 2
# stty waits until the serial port has sent all output.
SEND = "> /dev/ttyS0; stty -F /dev/ttyS0 onlcr"

idle, noisy = sorted(machines, key=lambda machine: machine.name)


def extra(machine, flood, ongoing):
    calm = statistics.median(duration(machine.execute, "true") for _ in range(CALM_CALLS))
    flood()
    during = [duration(machine.execute, "true")]
    while ongoing():
        during.append(duration(machine.execute, "true"))
    return statistics.median(during) - calm, max(during) - calm


def flood_in_background():
    job = f"tail -n +{HALF + 1} /tmp/flood {SEND}; : > /tmp/over"
    noisy.succeed(f"({job}) > /dev/null 2>&1 &")


def background_ongoing():
    return noisy.execute("test -e /tmp/over")[0] != 0


start_all()
noisy.copy_from_host(os.environ["BENCH_FLOOD"], "/tmp/flood")
first = threading.Thread(target=noisy.execute, args=(f"head -n {HALF} /tmp/flood {SEND}",))
elsewhere = extra(idle, first.start, first.is_alive)
same = extra(noisy, flood_in_background, background_ongoing)
report({"idle": elsewhere[0], "idle_max": elsewhere[1], "same": same[0], "same_max": same[1]})
