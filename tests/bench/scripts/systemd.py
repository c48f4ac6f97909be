# Measures a guest with systemd: its boot, a command, and how long after a unit is active `wait_for_unit`
# returns. The unit becomes active when its process ends, which sends a notice as its last act; what
# systemd does in between counts too.
import random
import statistics

from measure import Notices, duration, report

CALLS, SAMPLES = 30, 10
SHORTEST, LONGEST = 0.3, 3.0
machine = machines[0]


def wait_latency(i):
    delay = SHORTEST + (i + random.random()) * (LONGEST - SHORTEST) / SAMPLES
    machine.succeed(
        f"systemd-run --quiet --no-block --unit=bench-{i} --property=Type=oneshot"
        f" --property=RemainAfterExit=yes bash -c 'sleep {delay:.3f}; {notices.command}'"
    )
    machine.wait_for_unit(f"bench-{i}.service")
    return notices.since()


boot = duration(machine.connect) / 1e3
machine.wait_for_unit("multi-user.target")
notices = Notices(machine)
report(
    {
        "boot": boot,
        "execute": statistics.median(duration(machine.execute, "true") for _ in range(CALLS)),
        "unit": statistics.mean(map(wait_latency, range(SAMPLES))),
    }
)
