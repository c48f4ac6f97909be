# The order of events: the lines of the log before, in and after a script.
# vms: machine=fake
# vlans: 1
# timeout: 100

#: Machine state will be reset. To keep it, pass --keep-...-state
#: start all VLans
#: start vlan
#: running vlan (pid ...; ctl .../vde1.ctl)
#: (finished: start all VLans, in S.SS seconds)
#: Test will time out and terminate in 100... seconds
#: run the VM test script
machine.execute("true")
#: machine: waiting for the VM to finish booting
#: machine: starting vm
#: (finished: waiting for the VM to finish booting, in S.SS seconds)
#: (finished: run the VM test script, in S.SS seconds)
