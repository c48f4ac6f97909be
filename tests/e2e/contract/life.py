# The life of a machine: its lines in the log, and its attributes.
# vms: machine=tiny

machine.start()
#: machine: starting vm
#: machine: QEMU running (pid ...)
assert machine.booted and not machine.connected and not machine.is_up()
assert machine.pid == machine.process.pid and machine.process.poll() is None
machine.start()
#! machine: starting vm
machine.succeed("touch /tmp/mark")
assert machine.is_up() and machine.connected
machine.crash()
#: machine: forced crash
#: machine: waiting for the VM to power off
#: (finished: waiting for the VM to power off, in S.SS seconds)
assert (machine.booted, machine.connected, machine.pid) == (False, False, None)
for nothing in machine.crash, machine.shutdown, machine.wait_for_shutdown, machine.release:
    assert nothing() is None
#! machine: waiting for the VM to power off
#! kill ...

machine.start(allow_reboot=True)
#: machine: starting vm
machine.fail("test -e /tmp/mark")
#: machine: waiting for the VM to finish booting
first, pid = machine.succeed("cat /proc/sys/kernel/random/boot_id"), machine.pid
machine.reboot()
#: machine: sending key 'ctrl-alt-delete'
assert machine.booted and not machine.connected
machine.connect()
#: machine: waiting for the VM to finish booting
#: machine: connected to guest root shell
assert machine.succeed("cat /proc/sys/kernel/random/boot_id") != first and machine.pid == pid
machine.shutdown()
#: machine: waiting for the VM to power off
assert not machine.is_up() and machine.pid is None

machine.start()
machine.connect()
machine.reboot()  # ends QEMU, since the machine was started without allow_reboot
machine.wait_for_shutdown()
start_all()
#: start all VMs
#: machine: starting vm
#: (finished: start all VMs, in S.SS seconds)
machine.succeed("true")
machine.execute("poweroff", check_return=False)
join_all()
#: wait for all VMs to finish
#: machine: waiting for the VM to power off
#: (finished: wait for all VMs to finish, in S.SS seconds)
assert not machine.booted
