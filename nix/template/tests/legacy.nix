{
  name = "legacy";

  nodes.machine = {
    services.openssh.enable = true;
  };

  testScript = ''
    machine.wait_for_unit("sshd.service")
    machine.wait_for_open_port(22)
  '';
}
