# Measures the boot of all machines, a snapshot of them at one moment, and a restore until each has answered a command, in
# percent of the boot's time.
import os
import statistics

from measure import duration, report

TIMES = 5
prefix = os.environ["BENCH_PREFIX"]


def boot():
    start_all()
    for machine in machines:
        machine.connect()
        if machine.execute("test -e /run/systemd/system")[0] == 0:
            machine.wait_for_unit("multi-user.target")


def restore():
    driver.restore("bench")
    for machine in machines:
        machine.succeed("true")


booting = duration(boot)
saving = statistics.median(duration(driver.snapshot, "bench") for _ in range(TIMES))
restoring = statistics.median(duration(restore) for _ in range(TIMES))
report({f"{prefix}_boot": booting / 1e3, f"{prefix}_save": saving / booting * 100,
        f"{prefix}_restore": restoring / booting * 100})
