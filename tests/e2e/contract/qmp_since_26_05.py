# QMP of newer drivers: waits with a time-out, errors with fields, and sessions that a script makes.
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
assert client.read_pending_messages() is None
started = time.monotonic()
assert isinstance(raised(client.wait_for_event, timeout=0.5), TimeoutError)
assert isinstance(raised(machine.wait_for_qmp_event, lambda event: True, timeout=0.5), TimeoutError)
assert time.monotonic() - started > 0.9
client.send("stop")
assert isinstance(raised(machine.wait_for_qmp_event, lambda event: event["event"] == "RESUME", timeout=0.5), TimeoutError)
client.send("cont")
assert [event["event"] for event in client.events()] == ["RESUME"]

# A session of the script's own, with a second QMP monitor of QEMU.
machine.crash()
assert machine.qmp_client is client
path = machine.tmp_dir / "second"
os.environ["QEMU_OPTS"] = f"-qmp unix:{path},server=on,wait=off"
machine.start()
own = QMPSession.from_path(path)
assert own.send("query-name") == {"return": {"name": "machine"}}
refused(QMPAPIError, re.compile("<QMP API error.*no-such-command has not been found>"), own.send, "no-such-command")
machine.qmp_client.send("stop")
assert own.wait_for_event()["event"] == "STOP"  # QEMU sends events to all monitors
own.close()
raised(own.send, "query-name")
QMPSession.from_path(str(path)).send("cont")
machine.wait_for_qmp_event(lambda event: event["event"] == "RESUME")
raised(QMPSession.from_path, machine.tmp_dir / "nothing")
machine.crash()
path.unlink(missing_ok=True)
