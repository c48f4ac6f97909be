# execute() with check_output=False does not wait for the command; the next command still gets its own reply.
# vms: machine=tiny
# ours: other drivers give the late output of such a command to the next command

assert machine.execute("sleep 0.5; echo lost", check_output=False) == (-2, "")
assert machine.execute("echo next") == (0, "next\n")
assert machine.execute("echo out; exit 2", check_return=False) == (-1, "out\n")
assert machine.execute("echo next; exit 3") == (3, "next\n")
