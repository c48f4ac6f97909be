# A check that fails within a subtest: the lines of the log up to the end of the run.
# vms: machine=fake
# status: 1

def helper():
    machine.succeed("exit 9")


with subtest("the title"):
    helper()
#: subtest: the title
#: machine: must succeed: exit 9
#: ...Test "the title" failed with error: "command `exit 9` failed (exit code 9)"
#: cleanup
#: kill ... (pid ...)
#: (finished: cleanup, in S.SS seconds)
#! (finished: subtest: the title...
#! test script finished...
