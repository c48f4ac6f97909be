# QMP where waits end, refusals can be read, and clients can be made.
# vms: machine=tiny
# needs: machines_nspawn

from test_driver.machine.qmp import QMPAPIError, QMPSession

machine.start()
client = machine.qmp_client
refused(QMPAPIError, "<QMP API error related to transaction None [CommandNotFound]: "
        "The command no-such-command has not been found>", client.send, "no-such-command")
error = raised(client.send, "screendump", {"filename": "/nowhere/at/all"})
assert (error.class_name, error.transaction_id) == ("GenericError", None) and "/nowhere/at/all" in error.description
assert isinstance(error, RuntimeError)
