# Two machines on a network, while a network cable is pulled and plugged in again.
{
  name = "vlan-faults";

  nodes = {
    left = { };
    right = { };
  };

  testScript = ''
    start_all()
    for machine in left, right:
        machine.wait_for_unit("network.target")
    left.wait_until_succeeds("ping -c 1 right")

    with subtest("a machine without its cable cannot be reached"):
        right.block()
        left.fail("ping -c 1 -W 3 right")

    with subtest("it can be reached when the cable is back"):
        right.unblock()
        left.wait_until_succeeds("ping -c 1 right")
  '';
}
