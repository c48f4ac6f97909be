# The services of the test bed do what they are for: SSH, the user, Docker.
{
  name = "vm-service-test";
  nodes.testbed =
    { pkgs, ... }:
    {
      imports = [ ../../nix/testbed.nix ];
      virtualisation = {
        diskSize = 4096;
        memorySize = 1536;
      };
      # What the container runs: there is no registry here to get an image from.
      environment.systemPackages = [ pkgs.pkgsStatic.busybox ];
    };

  testScript =
    { nodes, ... }:
    let
      inherit (nodes.testbed.nixpkgs.pkgs.pkgsStatic) busybox;
    in
    ''
      testbed.wait_for_unit("multi-user.target")

      with subtest("the user exists and may use Docker"):
          groups = testbed.succeed("id --name --groups alice").split()
          assert "docker" in groups, f"alice is in {groups}"

      with subtest("SSH lets the user in with a key"):
          testbed.wait_for_unit("sshd.service")
          testbed.wait_for_open_port(22)
          testbed.succeed(
              "su - alice -c \"ssh-keygen -q -t ed25519 -N ''' -f .ssh/id_ed25519\"",
              "su - alice -c 'cp .ssh/id_ed25519.pub .ssh/authorized_keys'",
          )
          ssh = "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes"
          assert testbed.succeed(f"su - alice -c '{ssh} localhost whoami'") == "alice\n"

      with subtest("SSH lets nobody in without one"):
          testbed.fail(f"{ssh} -o ConnectTimeout=10 alice@localhost true")

      with subtest("Docker runs a container for the user"):
          testbed.wait_for_unit("docker.service")
          testbed.succeed(
              "mkdir -p /tmp/image/bin && cp ${busybox}/bin/busybox /tmp/image/bin/echo",
              "tar -C /tmp/image -c . | docker import - image",
          )
          assert testbed.succeed("su - alice -c 'docker run --rm image /bin/echo hello'") == "hello\n"
    '';
}
