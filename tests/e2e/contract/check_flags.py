# Without output nothing is awaited; the next command still gets its own reply.
# vms: machine=tiny
# ours: other drivers give the output of a command that was not awaited to the next one

assert machine.execute("sleep 0.5; echo lost", check_output=False) == (-2, "")
assert machine.execute("echo next") == (0, "next\n")
assert machine.execute("echo out; exit 2", check_return=False) == (-1, "out\n")
assert machine.execute("echo next; exit 3") == (3, "next\n")
