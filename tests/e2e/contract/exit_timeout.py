# The end of a script at the global time-out, while a `finally` block goes on.
# vms: machine=fake
# timeout: 2
# status: 143

try:
    machine.succeed("sleep 100")
finally:
    machine.execute("sleep 100")
#: timeout reached; test terminating...
#: kill ... (pid ...)
#! test script finished...
