# QMP, QEMU's machine protocol.
# vms: machine=tiny

assert machine.qmp_client is None
refused(RuntimeError, "QMP API is not ready yet, is the VM ready?", machine.wait_for_qmp_event, lambda event: True)
machine.start()
client = machine.qmp_client
assert client.send("query-status")["return"]["status"] == "running"
assert client.send("query-name") == {"return": {"name": "machine"}}
reply = client.send("human-monitor-command", {"command-line": "info status"})
assert "running" in reply["return"]
key = {"type": "qcode", "data": "a"}
assert client.send("input-send-event", args={"events": [
    {"type": "key", "data": {"down": True, "key": key}}, {"type": "key", "data": {"down": False, "key": key}}]}) == {"return": {}}
error = raised(client.send, "no-such-command")
assert isinstance(error, RuntimeError), repr(error)
assert client.send("query-name") == {"return": {"name": "machine"}}  # the reply belongs to this command

for command in "stop", "cont", "stop", "cont":
    client.send(command)
events = list(client.events())
assert [event["event"] for event in events][-4:] == ["STOP", "RESUME"] * 2, events
assert list(client.events()) == []
client.send("stop")
event = client.wait_for_event()
assert event["event"] == "STOP" and event["timestamp"]["seconds"] > 1e9
client.send("cont")
asked = []
event = machine.wait_for_qmp_event(lambda event: asked.append(event["event"]) or event["event"] == "RESUME")
assert event["event"] == "RESUME" == asked[-1]
refused(ZeroDivisionError, "division by zero", lambda: [client.send("stop"), machine.wait_for_qmp_event(lambda event: 1 / 0, 5)])
client.send("cont")
machine.wait_for_qmp_event(lambda event: event["event"] == "RESUME", timeout=20)
assert "paused" not in machine.send_monitor_command("info status")
