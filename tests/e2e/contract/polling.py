# Polling conditions.
# vms: machine=fake

calls = []


@polling_condition
def the_name():
    calls.append("name")


@polling_condition(seconds_interval=0, description="a description")
def condition():
    return bool(state)


@polling_condition(seconds_interval=0)
def with_docstring():
    "the docstring"
    assert state, "raising is failing"


state = True
with condition:
    machine.succeed("true")
    #: Checking polling condition 'a description'
    #: (not called yet)
    #: Polling condition succeeded: a description
    state = False
    error = raised(machine.execute, "true")
    assert type(error).__name__ == "PollingConditionError", repr(error)
    assert str(error) == "Polling condition failed: a description", str(error)
    #: Checking polling condition 'a description'
    #: Time since last: S.SSs
    #: Polling condition failed: a description
    assert type(raised(machine.send_monitor_command, "info status")).__name__ == "PollingConditionError"
machine.succeed("true")  # the condition is no longer checked
with the_name, with_docstring:
    assert str(raised(machine.succeed, "true")) == "Polling condition failed: the docstring"
#: Checking polling condition 'the_name'
#: Polling condition succeeded: the_name
#: Checking polling condition 'the docstring'
#: Polling condition failed: the docstring
assert calls == ["name"]

refused(RequestedAssertionFailed, timed_out(1), condition.wait, timeout=1)
#: waiting for a description
#: (a description failure not fatal yet)
#: Last chance for a description
state = True
condition.wait()
#: waiting for a description
#: (finished: waiting for a description, in S.SS seconds)
