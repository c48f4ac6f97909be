# A check that fails: the traceback, as test errors in the log.
# vms: machine=fake
# status: 1
# needs: t

def helper(command):
    machine.succeed(command)


helper("exit 9")
#: !!! Traceback (most recent call last):
#: !!!   File "<string>", line ..., in <module>
#: !!!     helper("exit 9")
#: !!!   File "<string>", line ..., in helper
#: !!!     machine.succeed(command)
#: !!!...
#: !!! RequestedAssertionFailed: command `exit 9` failed (exit code 9)
#: cleanup
