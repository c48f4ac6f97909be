# The monitor of QEMU.
# vms: machine=tiny

machine.start()
#: machine: starting vm
#: machine: QEMU running (pid ...)
status = machine.send_monitor_command("info status")
assert "VM status: running" in status and status.endswith("\r\n(qemu) "), status
assert "unknown command: 'frobnicate'" in machine.send_monitor_command("frobnicate")
assert len(machine.send_monitor_command("help")) > 5000
machine.send_monitor_command("stop")
assert "paused" in machine.send_monitor_command("info status")
machine.send_monitor_command("cont")
assert "running" in machine.send_monitor_command("info status")
machine.send_monitor_command("quit")
machine.wait_for_shutdown()
#: machine: waiting for the VM to power off
#: (finished: waiting for the VM to power off, in S.SS seconds)
assert machine.pid is None and not machine.booted
