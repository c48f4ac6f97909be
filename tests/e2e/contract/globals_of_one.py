# The only machine of a run has the name `machine`, too.
# vms: server=fake

assert machine.name == server.name == "server" and machines == [server]
assert machine.booted is False and machine.connected is False and not machine.is_up()
assert machine.pid is None and machine.process is None and machine.qmp_client is None
assert vlans == []
assert repr(server).endswith("'server'>"), repr(server)
