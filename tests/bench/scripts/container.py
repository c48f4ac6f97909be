# Measures a container's boot, and a command in it beside the least that Python can do for one. The two take turns,
# so that both see the same load of the host.
import os
import statistics
import subprocess

from measure import duration, report

CALLS = 100
machine = machines[0]


def init_below(pid):
    """Returns the first process below another one that is process 1 of a namespace of its own. Other processes come and
    go meanwhile."""
    parents, inits = {}, []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/status") as status:
                fields = dict(line.split(":\t", 1) for line in status.read().splitlines())
        except OSError:
            continue
        parents[int(entry)] = int(fields["PPid"])
        if fields["NSpid"].endswith("\t1"):
            inits.append(int(entry))
    return next(init for init in inits if pid in (parents[init], parents[parents[init]]))


def boot():
    machine.start()
    machine.succeed("true")


figures = {"boot": duration(boot) / 1000}
leader = init_below(machine.pid)
command = ["nsenter", "--target", str(leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "/bin/bash", "-c",
           "set -eo pipefail; source /etc/profile; set -u; true"]
samples = {"execute": [], "plain": []}
for _ in range(CALLS):
    samples["execute"].append(duration(machine.execute, "true"))
    samples["plain"].append(duration(lambda: subprocess.run(command, env={}, stdout=subprocess.PIPE)))
report(figures | {name: statistics.median(collected) for name, collected in samples.items()})
