{
  name = "pytest";

  nodes.machine = {
    services.openssh.enable = true;
  };

  testScript = ''
    def test_ssh_runs(machine):
        machine.wait_for_unit("sshd.service")


    def test_ssh_listens(machine):
        machine.wait_for_open_port(22)
  '';
}
