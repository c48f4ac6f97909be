# Measures ten clones of a machine: until each has answered a command, and their memory: the proportional shares (PSS) of
# their QEMUs, beside that of the machine.
from measure import duration, report

CLONES = 10
machine = machines[0]
clones = []


def clone():
    clones.extend(machine.clone(CLONES))
    for each in clones:
        each.succeed("true")


def memory(pid):
    """In kB, of the process with its share of what it has in common with others."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


machine.succeed("true")
own = memory(machine.pid)
seconds = duration(clone) / 1e3
report({"clones": seconds, "clone_memory": sum(memory(each.pid) for each in clones) / own})
