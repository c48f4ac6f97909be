# Containers beside a virtual machine, on two networks. What a host needs for it is in nix/README.md, "Use containers".
{
  name = "containers";

  defaults.networking.firewall.enable = false;

  nodes.vm.virtualisation.vlans = [ 1 ];

  containers = {
    left.virtualisation.vlans = [ 1 ];
    right.virtualisation.vlans = [ 1 ];
    apart.virtualisation.vlans = [ 2 ];
  };

  testScript = ''
    start_all()
    for machine in machines:
        machine.wait_for_unit("network.target")

    with subtest("containers reach each other on one network"):
        left.wait_until_succeeds("ping -c 1 right")
        right.wait_until_succeeds("ping -c 1 left")

    with subtest("a container and a virtual machine reach each other"):
        left.wait_until_succeeds("ping -c 1 vm")
        vm.wait_until_succeeds("ping -c 1 left")

    with subtest("nobody reaches another network"):
        left.fail("ping -c 1 -W 3 apart")
        vm.fail("ping -c 1 -W 3 apart")
        apart.fail("ping -c 1 -W 3 left")

    with subtest("a file goes from one container to the host, and to another container"):
        left.succeed("echo content > /root/file")
        left.copy_from_machine("/root/file")
        copy = left.out_dir / "file"
        assert copy.read_text() == "content\n"
        right.copy_from_host(str(copy), "/root/copy")
        assert right.succeed("cat /root/copy") == "content\n"

    with subtest("a container can be stopped and started again"):
        left.shutdown()
        assert not left.is_up()
        right.fail("ping -c 1 -W 3 left")
        left.start()
        left.wait_for_unit("network.target")
        right.wait_until_succeeds("ping -c 1 left")
        assert left.succeed("cat /root/file") == "content\n"

    with subtest("a container has nothing of QEMU's"):
        for name in "crash", "send_key", "screenshot", "send_monitor_command":
            assert hasattr(vm, name) and not hasattr(left, name), name
  '';
}
