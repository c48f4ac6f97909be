# Units of systemd, also those of a user.
# vms: machine=systemd

machine.wait_for_unit("multi-user.target")
#: machine: waiting for unit multi-user.target
#: (finished: waiting for unit multi-user.target, in S.SS seconds)
machine.succeed("systemctl start --no-block slow.service")
machine.wait_for_unit("slow.service", timeout=60)
machine.start_job("failing.service")
refused(RequestedAssertionFailed, 'unit "failing.service" reached state "failed"', machine.wait_for_unit, "failing.service")
#: machine: waiting for unit failing.service
for unit in "good.service", "no-such.service":
    refused(RequestedAssertionFailed, f'unit "{unit}" is inactive and there are no pending jobs',
            machine.wait_for_unit, unit)
#! (finished: waiting for unit failing.service...
#! (finished: waiting for unit good.service...
machine.log("next")
#: machine: next

assert machine.systemctl("is-active good.service") == (3, "inactive\n")
assert machine.start_job("good.service") == (0, "")
assert machine.systemctl(q="is-active good.service") == (0, "active\n")
machine.require_unit_state("good.service")
#: machine: checking if unit 'good.service' has reached state 'active'
#: (finished: checking if unit 'good.service' has reached state 'active', in S.SS seconds)
assert machine.stop_job("good.service") == (0, "")
refused(RequestedAssertionFailed, "Expected unit 'good.service' to to be in state 'active' but it is in state 'inactive'",
        machine.require_unit_state, "good.service")
machine.require_unit_state("good.service", require_state="inactive")
status, output = machine.start_job("no-such.service")
assert status != 0 and output == ""

info = machine.get_unit_info("good.service")
assert (info["Id"], info["ActiveState"], info["Description"]) == ("good.service", "inactive", "Unit that stays, with a = sign")
assert machine.get_unit_info("no-such.service")["LoadState"] == "not-found"
refused(RequestedAssertionFailed, 'retrieving systemctl info for unit "a"b" failed with exit code 2', machine.get_unit_info, 'a"b')
assert machine.get_unit_property("good.service", "Description") == "Unit that stays, with a = sign"
assert isinstance(raised(machine.get_unit_property, "good.service", "NoSuchProperty"), (AssertionError, RequestedAssertionFailed))

machine.succeed("loginctl enable-linger alice")
machine.wait_for_file("/run/user/$(id -u alice)/systemd/private")
machine.wait_for_unit("default.target", "alice")
#: machine: waiting for unit default.target with user alice
#: (finished: waiting for unit default.target with user alice, in S.SS seconds)
machine.wait_for_unit("basic.target", user="alice", timeout=30)
assert machine.systemctl("show --property='Names' 'basic.target'", "alice") == (0, "Names=basic.target\n")
assert machine.get_unit_info("default.target", "alice")["ActiveState"] == "active"
assert machine.get_unit_property("default.target", "ActiveState", user="alice") == "active"
assert machine.start_job("good.service", "alice") == (0, "")
machine.wait_for_unit("good.service", "alice")
machine.require_unit_state("good.service", "inactive")  # the system's unit of that name
assert machine.stop_job("good.service", user="alice") == (0, "")
refused(RequestedAssertionFailed, 'unit "good.service" is inactive and there are no pending jobs',
        machine.wait_for_unit, "good.service", "alice")
machine.start_job("failing.service", "alice")
refused(RequestedAssertionFailed, 'unit "failing.service" reached state "failed"',
        machine.wait_for_unit, "failing.service", "alice")
error = raised(machine.get_unit_info, 'a"b', "alice")
assert str(error).startswith('retrieving systemctl info for unit "a"b" under user "alice" failed with exit code '), error
