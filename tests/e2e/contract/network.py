# Two machines on one network.
# vms: alpha=tiny beta=tiny
# vlans: 1

start_all()
alpha.wait_until_succeeds("ping -c1 -W1 192.168.1.2")
beta.succeed("ping -c1 -W5 192.168.1.1")
alpha.block()
alpha.fail("ping -c1 -W1 192.168.1.2")
alpha.unblock()
alpha.wait_until_succeeds("ping -c1 -W1 192.168.1.2")
alpha.succeed("echo shared > /tmp/shared/file")
assert beta.succeed("cat /tmp/shared/file") == "shared\n"
